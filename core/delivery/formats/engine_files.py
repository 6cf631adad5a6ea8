"""Files of the engines that people ship to: made by an engine's own tools, and read and run by itself, elsewhere."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.delivery.formats.facts import FORMATS
from core.delivery.formats.fresh import compared_outputs
from core.delivery.formats.pt2_program import Plain
from core.delivery.formats.subject import Batch, CannotHoldError, Subject
from core.drafted import scratch
from core.engines.adapters.adapter import Place
from core.engines.adapters.installed import installed
from core.engines.adapters.process import Process
from core.engines.adapters.registry import ADAPTERS
from core.engines.adapters.source import Source
from core.engines.engine import EngineUnavailable, reason_of
from core.errors import SecateurError
from core.workload.outputs import tensors_of

EXAMPLES = 8  # that a file for one example is compared on, one after the other
SCALED = 1e-5  # of the largest entry: how far rows may be from multiples of what they were folded from
FIRST = {"openvino": "model.xml", "ncnn": "model.ncnn.param"}  # of a folder the file that the engine is told


@contextmanager
def _told() -> Iterator[None]:
    """Why an engine cannot, as formats say it."""
    try:
        yield
    except EngineUnavailable as error:
        raise CannotHoldError(str(error)) from None
    except OSError as error:
        raise SecateurError(
            f"cannot write the engine's files: {error.strerror}; free some space or choose another place"
        ) from None


def write(name: str, subject: Subject, path: Path) -> None:
    """Have an engine's own tools write a model.

    Args:
        name: of the format, which is the engine's.
        subject: what is written; its `pythons` say where the engine is.
        path: of the file, or of the folder.

    Raises:
        CannotHoldError: the engine is not there, lacks an operation or dies of it.
        SecateurError: the disk is full.
    """
    version(name, subject)
    with scratch() as folder, _told():
        place = _place(name, subject, Path(folder, "files"))
        batch = subject.batches[-1] if FORMATS[name].sized else _examples(subject)[0]
        free = subject.dynamic if FORMATS[name].sized else None
        with torch.no_grad():
            source = Source(_plain(subject, batch), batch, None, Path(folder, "source"), free)
            files = ADAPTERS[name].write(source, "float32", place).files
        if len(files) == 1:
            shutil.copyfile(files[0], path)
            return
        root = Path(os.path.commonpath(files))
        for file in files:
            target = path / file.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def check(name: str, subject: Subject, path: Path) -> float | None:
    """Largest difference of the outputs of the engine, in a process of its own; `None` of one that is not run here.

    What is not run is read back by its own library, and holds as many inputs and outputs, of the same shapes.

    Raises:
        CannotHoldError: the engine is not there, does not take the file, or gives other outputs.
    """
    version(name, subject)
    facts, adapter = FORMATS[name], ADAPTERS[name]
    assert adapter.runner is not None
    if not facts.run:
        _read_back(name, subject, path)
        return None
    with scratch() as folder, _told():
        place = _place(name, subject, Path(folder))
        file = (path / FIRST[name] if name in FIRST else path).resolve()
        batches = subject.batches if facts.sized else _examples(subject)
        theirs = _outputs(subject, batches)
        with Process(adapter.runner, place, torch.get_num_threads()) as process:
            ours = process.run(file, [_saved(batch, place.folder, i) for i, batch in enumerate(batches)])
    ours = [_typed(a, b) for a, b in zip(theirs, ours, strict=True)]
    return compared_outputs(path.name, theirs, ours, facts.tolerance, subject.terms)


def said(name: str, subject: Subject, path: Path) -> dict[str, Any]:
    """The engine with its version, and, of a file for one example, the sizes of its inputs."""
    sizes = {} if FORMATS[name].sized else {"inputs": [list(x.shape) for x in _examples(subject)[0]]}
    engine = {"engine": f"{ADAPTERS[name].title} {version(name, subject)}"}
    if FORMATS[name].run:
        return {**engine, **sizes}
    return {**engine, **sizes, "not_run": ADAPTERS[name].not_run, "weights": _read_back(name, subject, path)}


def functions(name: str) -> dict[str, Callable[..., Any]]:
    """`write`, `check` and `said` of one engine."""
    return {"write": partial(write, name), "check": partial(check, name), "said": partial(said, name)}


def version(name: str, subject: Subject) -> str:
    """Of the engine, where the subject says that it is.

    Raises:
        CannotHoldError: it is not installed, with how to get it.
    """
    with _told():
        return installed(ADAPTERS[name], subject.pythons.get(name))


def _read_back(name: str, subject: Subject, path: Path) -> dict[str, int]:
    """How many of a model's weights stand in a file, of how many: bit for bit, or as a folded batch norm scales them.

    Raises:
        CannotHoldError: it cannot be read, or its inputs or outputs have other shapes than the model's.
    """
    adapter, batch = ADAPTERS[name], _examples(subject)[0]
    assert adapter.runner is not None
    with scratch() as folder, _told():
        with Process(adapter.runner, _place(name, subject, Path(folder))) as process:
            found = process.look(path.resolve())
        (outputs,) = _outputs(subject, [batch])
    for what, theirs in (("inputs", batch), ("outputs", tuple(outputs))):
        expected = [list(tensor.shape) for tensor in theirs]
        if found[what] != expected:
            raise CannotHoldError(f"{path.name} has {what} of the shapes {found[what]} in place of {expected}")
    weights = [p.detach() for p in subject.model.parameters() if p.dim() > 1]
    alike = [[one for one in found["weights"] if one.shape == weight.shape] for weight in weights]
    same = [any(torch.equal(weight, one) for one in those) for weight, those in zip(weights, alike, strict=True)]
    scaled = [
        not bits and any(_is_scaled(weight, one) for one in those)
        for bits, weight, those in zip(same, weights, alike, strict=True)
    ]
    return {"same_bits": sum(same), "scaled": sum(scaled), "of": len(weights)}


def _is_scaled(weight: Tensor, found: Tensor) -> bool:
    """Whether each row is that of a weight times one number."""
    x, y = weight.flatten(1).double(), found.flatten(1).double()
    scale = (x * y).sum(1, keepdim=True) / (x * x).sum(1, keepdim=True).clamp_min(1e-30)
    return bool((y - scale * x).abs().max() <= SCALED * y.abs().max())


def _place(name: str, subject: Subject, folder: Path) -> Place:
    folder.mkdir(exist_ok=True)
    return Place(folder, subject.pythons.get(name), subject.check)


def _plain(subject: Subject, batch: Batch) -> torch.nn.Module:
    """The model; with outputs of a class of its own, as one that gives them as a tuple."""
    with torch.inference_mode():
        outputs = subject.model(*batch)
    return subject.model if isinstance(outputs, Tensor) else Plain(subject.model).eval()


def _examples(subject: Subject) -> list[Batch]:
    """Batches of one example each."""
    first = subject.batches[0]
    return [tuple(x[i : i + 1].clone() for x in first) for i in range(min(EXAMPLES, len(first[0])))]


def _outputs(subject: Subject, batches: list[Batch] | tuple[Batch, ...]) -> list[list[Tensor]]:
    try:
        with torch.inference_mode():
            return [[out.clone() for out in tensors_of(subject.model(*batch))] for batch in batches]
    except Exception as error:
        raise EngineUnavailable(f"the model itself does not run on one example alone: {reason_of(error)}") from None


def _typed(theirs: list[Tensor], ours: list[Tensor]) -> list[Tensor]:
    """Outputs in the types of the model's, for some engines know no int64."""
    return [y.to(x.dtype) for x, y in zip(theirs, ours, strict=True)] if len(theirs) == len(ours) else ours


def _saved(batch: Batch, folder: Path, i: int) -> list[Path]:
    paths = []
    for k, tensor in enumerate(batch):
        paths.append(folder / f"in{i}-{k}.npy")
        np.save(paths[-1], tensor.numpy())
    return paths
