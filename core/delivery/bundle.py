"""A bundle: weights, plan and manifest in one folder and a zip. Told of only when reloaded and compared."""

import contextlib
import errno
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from core.delivery.onnx_file import CannotExportError, check_onnx, write_onnx
from core.delivery.shrunk import Shrunk, shrunk_workload
from core.errors import SecateurError
from core.plans.plan import Form, SparsityPlan
from core.pruning.masks import replaced
from core.sensitivity.measurement import Measurement
from core.sensitivity.plan_measurement import PlanMeasurement, plan_measurement
from core.workload.fingerprint import state_fingerprint

WEIGHTS, PLAN, MANIFEST, ONNX = "model.safetensors", "plan.json", "manifest.json", "model.onnx"
FORMAT, VERSION = "secateur.bundle", 1


def write_bundle(
    workload_ref: str,
    measurement: Measurement,
    plan: SparsityPlan,
    folder: Path,
    on_phase: Callable[[str], None] = lambda phase: None,
    form: Form = "masked",
) -> dict[str, Any]:
    """Write a bundle and check it.

    Args:
        workload_ref: sample name or file, so that the bundle can be verified later.
        measurement: entered, of the workload and the examples to measure on.
        plan: what to cut.
        folder: must not exist. `folder.zip` is written beside it.
        on_phase: told what is being done.
        form: `"masked"`: zeros in place, same shapes. `"shrunk"`: channels, heads and blocks are gone; an ONNX file is
            written as well, which needs none of the model's classes, or the manifest says why there is none.

    Returns:
        The manifest.

    Raises:
        SecateurError: the folder exists, the plan cannot be measured, the disk is full, or the reloaded bundle
            differs. Then nothing is left behind.
    """
    archive = folder.with_name(folder.name + ".zip")
    for path in (folder, archive):
        if path.exists():
            raise SecateurError(f"{path} exists already; choose another place, or remove it first")
    on_phase("measuring the plan")
    measured = plan_measurement(measurement, plan)
    if measured.outcome.metric is None:
        raise SecateurError(f"the plan cannot be exported: {measured.outcome.reason}")
    dense = unique_state(measurement.workload.model)
    if form == "shrunk":
        on_phase("shrinking the model and comparing it with the masked one")
        shrunk = shrunk_workload(measurement, plan)
        pruned = unique_state(shrunk.model)
    else:
        shrunk = None
        with replaced(measurement.workload.model, measurement.maker.cut_tensors(plan)):
            pruned = unique_state(measurement.workload.model)
    no_onnx: str | None = None
    new_parents = [path for path in folder.parents if not path.exists()]  # innermost first
    try:
        draft = _make_draft_folder(folder)
    except SecateurError:
        _remove_empty(new_parents)
        raise
    placed = False
    try:
        on_phase("writing the bundle")
        _write_weights(pruned, draft / WEIGHTS)
        (draft / PLAN).write_text(plan.to_json(), encoding="utf-8")
        if shrunk:
            on_phase("writing ONNX")
            no_onnx = _write_checked_onnx(shrunk.model, measurement, draft / ONNX)
        manifest = _manifest(workload_ref, measurement, measured, dense, draft, shrunk, no_onnx)
        (draft / MANIFEST).write_text(sealed(manifest), encoding="utf-8")
        on_phase("reloading the bundle in a fresh process")
        _verify_in_fresh_process(draft, workload_ref, measurement.check)
        on_phase("packing the zip")
        packed = draft.with_name(draft.name + ".zip")
        _zip(draft, packed, folder.name)
        draft.chmod(0o777 & ~_umask())  # mkdtemp and safetensors are more private than a folder one would make
        for path in draft.iterdir():
            path.chmod(0o666 & ~_umask())
        if archive.exists():  # since we looked: replacing it would be silent
            raise FileExistsError(errno.EEXIST, f"{archive} was made by somebody else in the meantime")
        os.replace(draft, folder)  # first: the zip is made from it, and not the other way round
        placed = True
        os.replace(packed, archive)
    except OSError as error:
        if placed:  # what somebody else put there in the meantime is not ours to remove
            shutil.rmtree(folder, ignore_errors=True)
        raise SecateurError(
            f"cannot write the bundle {folder}: {error.strerror or error}; free some space or choose another place"
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        draft.with_name(draft.name + ".zip").unlink(missing_ok=True)
        if not folder.exists():
            _remove_empty(new_parents)
    return manifest


def _write_checked_onnx(model: nn.Module, measurement: Measurement, path: Path) -> str | None:
    """Write a model as ONNX and compare what ONNX Runtime makes of it; returns why there is no such file."""
    inputs = measurement.inputs(0)
    try:
        write_onnx(model, tuple(tensor[:2] for tensor in inputs), path)
        check_onnx(path, model, [inputs])
    except CannotExportError as error:
        path.unlink(missing_ok=True)
        return str(error)
    return None


def _manifest(
    workload_ref: str,
    measurement: Measurement,
    measured: PlanMeasurement,
    dense: Mapping[str, Tensor],
    folder: Path,
    shrunk: Shrunk | None,
    no_onnx: str | None,
) -> dict[str, Any]:
    files = (WEIGHTS, PLAN, ONNX) if shrunk and no_onnx is None else (WEIGHTS, PLAN)
    made = {"form": "shrunk", "shrunk": shrunk.to_json(), "no_onnx": no_onnx} if shrunk else {}
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
        "dense_state": state_fingerprint(dense),
        "measured": measured.to_json(),
        "examples": measurement.batches.n,
        "files": {
            name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)} for name in files
        },
        **made,
    }


def unique_state(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the state dict with each tied tensor once, under its first name, as safetensors wants it.

    Entries that are no tensors (a module's `get_extra_state`) are left out: a safetensors file cannot hold them.
    """
    state: dict[str, Tensor] = {}
    seen: set[tuple[int, tuple[int, ...], tuple[int, ...], torch.dtype]] = set()
    for name, tensor in model.state_dict().items():
        if not isinstance(tensor, Tensor):
            continue
        key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        if tensor.numel() and key in seen:
            continue
        seen.add(key)
        state[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    return state


def sealed(manifest: dict[str, Any]) -> str:
    """The manifest file: indented JSON whose last entry is the hash of all that stands before it."""
    seal = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    return json.dumps({**manifest, "sha256": seal}, indent=2) + "\n"


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def _write_weights(state: dict[str, Tensor], path: Path) -> None:
    try:
        save_file(state, path, metadata={"format": "pt"})
    except Exception as error:  # safetensors raises its own error type for a full disk
        raise SecateurError(f"cannot write the weights to {path.parent.parent}: {error}") from None


def _verify_in_fresh_process(folder: Path, workload_ref: str, check: Callable[[], None]) -> None:
    command = [sys.executable, "-P", "-m", "core.delivery.verify", str(folder), workload_ref]
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


def _zip(folder: Path, archive: Path, name: str) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(folder.iterdir()):
            out.write(path, f"{name}/{path.name}")
