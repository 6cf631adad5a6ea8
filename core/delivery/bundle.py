"""A bundle: weights, plan and manifest in one folder and a zip. Told of only when reloaded and compared."""

import contextlib
import errno
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from core.delivery import export_steps
from core.delivery.card.facts import card_of
from core.delivery.card.markdown import markdown
from core.delivery.card.numbers import class_rows, command_of, variant_rows
from core.delivery.card.page import page
from core.delivery.formats.facts import WANTED, checked_formats
from core.delivery.formats.registry import write_formats
from core.delivery.formats.safetensors_file import unique_state
from core.delivery.formats.subject import subject_of
from core.delivery.manifest import CARD, FORMAT, MANIFEST, PAGE, PLAN, VERSION, sealed, sha256_of
from core.delivery.sealed_zip import write_zip
from core.delivery.shrunk import shrunk_workload
from core.errors import SecateurError
from core.plans.plan import Form, SparsityPlan
from core.pruning.masks import pruned_copy
from core.sensitivity.measurement import Measurement
from core.sensitivity.plan_measurement import PlanMeasurement, plan_measurement
from core.workload.fingerprint import state_fingerprint
from core.workload.workload import Workload


def write_bundle(
    workload_ref: str,
    measurement: Measurement,
    plan: SparsityPlan,
    folder: Path,
    on_phase: Callable[[str], None] = lambda phase: None,
    form: Form = "masked",
    formats: Iterable[str] | None = None,
    opset: int | None = None,
    leave_out: bool = False,
) -> dict[str, Any]:
    """Write a bundle and check it.

    Args:
        workload_ref: sample name or file, so that the bundle can be verified later.
        measurement: entered, of the workload and the examples to measure on.
        plan: what to cut.
        folder: must not exist. `folder.zip` is written beside it.
        on_phase: told what is being done.
        form: `"masked"`: zeros in place, same shapes. `"shrunk"`: channels, heads and blocks are gone.
        formats: names in `FORMATS`; safetensors is always written. `None` adds ONNX to a shrunk model, which then needs
            none of its classes any more, or the manifest says why there is none.
        opset: of ONNX, by default what the exporter thinks best.
        leave_out: a format that was asked for and cannot hold the model is left out, and the manifest says why.

    Returns:
        The manifest.

    Raises:
        CannotHoldError: a format that was asked for cannot hold the model and is not to be left out; names it and the
            reason.
        SecateurError: the folder exists, the plan cannot be measured, the disk is full, or the reloaded bundle
            differs. Then nothing is left behind.
    """
    names = checked_formats(WANTED[form] if formats is None else formats, opset)
    optional = names if formats is None or leave_out else ()
    for path in (folder, _archive(folder)):
        if path.exists():
            raise SecateurError(f"{path} exists already; choose another place, or remove it first")
    on_phase(export_steps.MEASURE)
    measured = plan_measurement(measurement, plan)
    if measured.outcome.metric is None:
        raise SecateurError(f"the plan cannot be exported: {measured.outcome.reason}")
    shrunk = None
    if form == "shrunk":
        on_phase(export_steps.SHRINK)
        shrunk = shrunk_workload(measurement, plan)
        pruned = shrunk.model
    else:
        pruned = pruned_copy(measurement.workload.model, measurement.maker.cut_tensors(plan)).eval()
    with _placed(folder) as draft:
        on_phase(export_steps.WRITE)
        (draft / PLAN).write_text(plan.to_json(), encoding="utf-8")
        written, refused = write_formats(subject_of(measurement, pruned, opset), names, draft, optional, on_phase)
        on_phase(export_steps.DESCRIBE)
        found = shrunk.outcome if shrunk else measured.outcome
        models = {
            "dense": (measurement.workload.model, measured.dense, None),
            form: (pruned, found.metric, found.drop),
        }
        manifest = {
            **_head(workload_ref, measurement, measured),
            **({"form": "shrunk", "shrunk": shrunk.to_json()} if shrunk else {}),
            **_origin(measurement.workload),
            "files": _entries(draft, {**_kinds(written), PLAN: "plan"}),
            "formats": written,
            "refused": refused,
            "variants": variant_rows(measurement, models),
            "classes": class_rows(measurement, plan),
            "command": command_of(workload_ref, form, written, opset, measurement),
        }
        _write_card(draft, manifest, plan)
        manifest["files"].update(_entries(draft, {CARD: "card", PAGE: "card"}))
        (draft / MANIFEST).write_text(sealed(manifest), encoding="utf-8")
        on_phase(export_steps.RELOAD)
        _verify_in_fresh_process(draft, workload_ref, measurement.check)
        on_phase(export_steps.PACK)
        write_zip(draft, _archive(draft), folder.name)
    return manifest


def _archive(folder: Path) -> Path:
    return folder.with_name(folder.name + ".zip")


@contextlib.contextmanager
def _placed(folder: Path) -> Iterator[Path]:
    """A draft beside the goal, for the bundle and its zip; both are moved there once whole, or leave nothing behind.

    Raises:
        SecateurError: it cannot be written, or somebody else took the place in the meantime.
    """
    new_parents = [path for path in folder.parents if not path.exists()]  # innermost first
    try:
        draft = _make_draft_folder(folder)
    except SecateurError:
        _remove_empty(new_parents)
        raise
    placed = False
    try:
        yield draft
        draft.chmod(0o777 & ~_umask())  # mkdtemp and safetensors are more private than a folder one would make
        for path in draft.rglob("*"):
            path.chmod((0o777 if path.is_dir() else 0o666) & ~_umask())
        if _archive(folder).exists():  # since we looked: replacing it would be silent
            raise FileExistsError(errno.EEXIST, f"{_archive(folder)} was made by somebody else in the meantime")
        os.replace(draft, folder)  # first: the zip is made from it, and not the other way round
        placed = True
        os.replace(_archive(draft), _archive(folder))
    except OSError as error:
        if placed:  # what somebody else put there in the meantime is not ours to remove
            shutil.rmtree(folder, ignore_errors=True)
        raise SecateurError(
            f"cannot write the bundle {folder}: {error.strerror or error}; free some space or choose another place"
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        _archive(draft).unlink(missing_ok=True)
        if not folder.exists():
            _remove_empty(new_parents)


def _head(workload_ref: str, measurement: Measurement, measured: PlanMeasurement) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "workload": workload_ref,
        "made_with": {
            "secateur": version("secateur"),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "threads": torch.get_num_threads(),
        },
        "dense_model": measurement.model_hash,
        "dense_state": state_fingerprint(unique_state(measurement.workload.model)),
        "measured": measured.to_json(),
        "examples": measurement.batches.n,
    }


def _origin(workload: Workload) -> dict[str, Any]:
    """How a model that was recovered or made smaller before came to be."""
    return {"recovery": [stage.to_json() for stage in workload.origin]} if workload.origin else {}


def _kinds(written: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """By file, the format that it belongs to."""
    return {name: kind for kind, made in written.items() for name in made["files"]}


def _entries(folder: Path, kinds: Mapping[str, str]) -> dict[str, Any]:
    """Of each file its bytes, hash and what it belongs to."""
    return {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name), "format": kind}
        for name, kind in kinds.items()
    }


def _write_card(folder: Path, manifest: Mapping[str, Any], plan: SparsityPlan) -> None:
    """The card as Markdown and as a page."""
    card = card_of(manifest, plan)
    for name, text in ((CARD, markdown(card)), (PAGE, page(card, manifest))):
        (folder / name).write_text(text, encoding="utf-8")


def _make_draft_folder(folder: Path) -> Path:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # beside the goal, so that moving it there is one atomic step on one file system
        return Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise SecateurError(f"cannot write to {folder.parent}: {error.strerror}; choose another place") from None


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):  # somebody else put something there in the meantime
            folder.rmdir()


def _umask() -> int:
    """The process's mask for new files; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _verify_in_fresh_process(folder: Path, workload_ref: str, check: Callable[[], None]) -> None:
    command = [sys.executable, "-P", "-m", "core.delivery.verify", str(folder), workload_ref, "--without-formats"]
    with tempfile.TemporaryFile("w+") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            while process.poll() is None:
                check()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
        except BaseException:
            process.kill()
            raise
        said.seek(0)
        lines = said.read().strip().splitlines()
    if process.returncode != 0:
        what = (lines or ["it ended without a word"])[-1]
        raise SecateurError(f"the bundle was not written, since the reloaded one differs: {what}")
