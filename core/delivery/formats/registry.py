"""Every format with what writes it and what checks it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.delivery.export_steps import format_step
from core.delivery.formats import (
    compressed_graph,
    engine_files,
    huggingface_folder,
    onnx_graph,
    packed_weights,
    pt2_program,
    quantized_graph,
    safetensors_file,
)
from core.delivery.formats.facts import ALWAYS, FORMATS
from core.delivery.formats.subject import CannotHoldError, Subject
from core.errors import SecateurError


@dataclass(frozen=True)
class Format:
    """A format's functions.

    Attributes:
        write: makes the file or folder; `CannotHoldError` says why the format cannot hold the model.
        check: reads it in a fresh process, compares with the model in memory, and gives the largest difference; `None`
            of a file that only another machine can run.
        reader: of one that quantizes: what the file gives, called as the model is.
        said: what the manifest says of what was written, beside what it says of every format.
    """

    write: Callable[[Subject, Path], None]
    check: Callable[[Subject, Path], float | None]
    reader: Callable[[Subject, Path], Callable[..., Any]] | None = None
    said: Callable[[Subject, Path], dict[str, Any]] | None = None


REGISTRY: Mapping[str, Format] = MappingProxyType(
    {
        "safetensors": Format(safetensors_file.write, safetensors_file.check),
        "pt2": Format(pt2_program.write, pt2_program.check),
        "onnx": Format(onnx_graph.write, onnx_graph.check),
        "compressed": Format(compressed_graph.write, compressed_graph.check),
        "huggingface": Format(huggingface_folder.write, huggingface_folder.check, said=huggingface_folder.said),
        "int8": Format(packed_weights.write, packed_weights.check, packed_weights.reader),
        "onnx-int8": Format(quantized_graph.write, quantized_graph.check, quantized_graph.reader),
        **{name: Format(**engine_files.functions(name)) for name, facts in FORMATS.items() if facts.needs is not None},
    }
)


def write_formats(
    subject: Subject,
    names: Iterable[str],
    folder: Path,
    optional: Iterable[str] = (),
    on_phase: Callable[[str], None] = lambda phase: None,
    batch_only: bool = False,
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Write formats into a folder, each checked in a fresh process.

    Args:
        subject: what is written.
        names: of formats.
        folder: there already.
        optional: formats that nobody asked for: refused ones are left out.
        on_phase: told what is being done.
        batch_only: of a program's inputs only the first dimension shall be free. Else every one that the model takes in
            another size, where the written file does, too: it is run with another one.

    Returns:
        Of each format that was written `"files"`, `"checked"`, `"difference"` and, of ONNX, `"opset"`, of a program
        `"inputs"`, as `shapes_of`; and why others were not.

    Raises:
        CannotHoldError: a format that was asked for cannot hold the model; names it and the reason.
        SecateurError: a file cannot be written.
    """
    written: dict[str, dict[str, Any]] = {}
    refused: dict[str, str] = {}
    freed = subject.freed() if any(FORMATS[name].sized for name in names) and not batch_only else None
    for name in names:
        facts, path = FORMATS[name], folder / FORMATS[name].path
        on_phase(format_step(name))
        try:
            sized, difference = _written(subject, freed if facts.sized else None, name, path)
        except CannotHoldError as error:
            if name == ALWAYS:
                raise SecateurError(f"the bundle was not written, since the reloaded one differs: {error}") from None
            if name not in optional:
                raise CannotHoldError(
                    f"the format {name} cannot hold this model: {error}; leave {name} out, or --skip-refused"
                ) from None
            refused[name] = str(error)
            _remove(path)
            continue
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        opset = {"opset": onnx_opset(path)} if facts.opset else {}
        said = REGISTRY[name].said
        written[name] = {
            "files": [file.relative_to(folder).as_posix() for file in files if file.is_file()],
            "checked": facts.checked,
            "difference": difference,
            **opset,
            **(said(subject, path) if said else {}),
            **({"inputs": shapes_of(sized)} if facts.sized else {}),
        }
    return written, refused


def _written(subject: Subject, freed: Subject | None, name: str, path: Path) -> tuple[Subject, float | None]:
    """Write and check with free dimensions, or where that cannot be without; with what was written."""
    for one in (freed, subject):
        if one is None:
            continue
        try:
            REGISTRY[name].write(one, path)
            return one, REGISTRY[name].check(one, path)
        except CannotHoldError:
            if one is subject:
                raise
            _remove(path)
    raise AssertionError("one of the two is returned or raised")


def shapes_of(subject: Subject) -> list[list[int | None]]:
    """Shape of each input that a program was written for; `None` for a dimension of any size."""
    return [
        [None if dim in free else size for dim, size in enumerate(tensor.shape)]
        for tensor, free in zip(subject.batches[0], subject.dynamic, strict=True)
    ]


def check_formats(
    subject: Subject,
    names: Iterable[str],
    folder: Path,
    on_phase: Callable[[str], None] = lambda phase: None,
    told: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> dict[str, float | None]:
    """Check formats that lie in a folder; their largest differences, `None` of those that only other machines can run.

    Args:
        subject: what was written.
        names: of formats.
        folder: where they lie.
        on_phase: told what is being done.
        told: what a manifest says of each: of a file that is not run, how many weights were read back.

    Raises:
        SecateurError: one is not what is in memory any more, or not what is told of it; names it.
    """
    found = {}
    for name in names:
        on_phase(f"reading {name} in a fresh process")
        try:
            path, said = folder / FORMATS[name].path, REGISTRY[name].said
            found[name] = REGISTRY[name].check(subject, path)
            counted = told.get(name, {}).get("weights")
            if said is not None and counted is not None and (now := said(subject, path).get("weights")) != counted:
                raise CannotHoldError(f"of its weights {_counts(now)} come back; its manifest says {_counts(counted)}")
        except CannotHoldError as error:
            raise SecateurError(f"the format {name} is not what was exported: {error}; export it again") from None
    return found


def _counts(weights: Any) -> str:
    if not isinstance(weights, Mapping):
        return repr(weights)
    return ", ".join(f"{name} {n}" for name, n in weights.items())


def onnx_opset(path: Path) -> int:
    """The opset of an ONNX file's standard operators."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    return next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))


def _remove(path: Path) -> None:
    if path.is_dir():
        for file in sorted(path.rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
