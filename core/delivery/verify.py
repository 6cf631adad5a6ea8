"""Verifying a bundle: every hash, every tensor, and the metric measured again from the reloaded weights."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.delivery.bundle import FORMAT, MANIFEST, ONNX, PLAN, VERSION, WEIGHTS, sealed, sha256_of, unique_state
from core.delivery.onnx_file import check_onnx
from core.delivery.shrunk import shrunk_workload
from core.errors import SecateurError
from core.plans.plan import SparsityPlan
from core.pruning.masks import replaced
from core.pruning.structure import maker_for
from core.sensitivity.measurement import Measurement
from core.workload.fingerprint import model_fingerprint, state_fingerprint
from core.workload.loading import load_workload, sample_names
from core.workload.workload import Workload

ONNX_BATCHES = 4  # that the ONNX file is compared on
ENTRIES = {"workload", "dense_model", "dense_state", "measured", "examples", "files"}  # of a manifest, that are read


def verify_bundle(folder: Path, workload: str | None = None) -> dict[str, Any]:
    """Check a bundle from end to end; it is only read.

    Args:
        folder: of the bundle.
        workload: sample name or file to measure with. A file must be named here: the one in the manifest is not run,
            since whoever made the bundle wrote the manifest too. `None` takes the sample that the manifest names.

    Returns:
        What was checked: `"metric"` as measured now, `"n"`, `"tensors"`, `"workload"`.

    Raises:
        SecateurError: a file is missing or changed, a tensor has another shape or value than the plan gives, or the
            metric differs from the manifest's.
    """
    manifest = read_manifest(folder)
    return _verified(folder, manifest, workload)


def check_files(folder: Path, manifest: dict[str, Any]) -> None:
    """Compare every file of a bundle with its hash in the manifest.

    Raises:
        SecateurError: one is missing or was changed.
    """
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise SecateurError(f"{name} is missing from the bundle {folder}; export it again")
        if path.stat().st_size != expected["bytes"] or sha256_of(path) != expected["sha256"]:
            raise SecateurError(
                f"{name} in {folder} is not the file that was exported (its hash differs); export it again"
            )


def check_dense(workload: Workload, manifest: dict[str, Any]) -> None:
    """Compare a workload's model with the one that a bundle was cut from.

    Raises:
        SecateurError: its weights, code or settings are others.
    """
    if model_fingerprint(workload.model) != manifest["dense_model"]:
        same_weights = state_fingerprint(unique_state(workload.model)) == manifest["dense_state"]
        what = "code or settings differ (an attribute that is new each time?)" if same_weights else "weights differ"
        raise SecateurError(
            f"{workload.name} as loaded now is not the model that this bundle was cut from: its {what}; "
            "check out the code of that time, or export again"
        )


def put_weights(model: nn.Module, name: str, state: dict[str, Tensor], folder: Path) -> None:
    """Give a model that was shrunk anew the weights of its bundle, which must be those that it has, bit for bit.

    Raises:
        SecateurError: a tensor has another shape, type or value than the plan makes of the dense weights.
    """
    expected = unique_state(model)
    _check_shapes(f"the shrunk {name}", expected, state, folder)
    _check_bits(expected, state, folder)
    model.load_state_dict(state, strict=False)


def _verified(folder: Path, manifest: dict[str, Any], workload: str | None) -> dict[str, Any]:
    check_files(folder, manifest)
    plan = SparsityPlan.read(folder / PLAN)
    state = read_weights(folder / WEIGHTS)
    loaded = load_workload(workload or installed(manifest["workload"]))
    shrunk = manifest.get("form") == "shrunk"
    if not shrunk:
        _check_shapes(loaded.name, unique_state(loaded.model), state, folder)
    check_dense(loaded, manifest)
    if shrunk:
        metric = _shrunk_again(loaded, plan, state, folder, manifest)
    else:
        _compare_with_plan(loaded, plan, state, folder)
        metric = _measured_again(loaded, plan, state, manifest)
    return {
        "folder": str(folder),
        "workload": loaded.name,
        "tensors": len(state),
        "metric": metric,
        "n": manifest["examples"],
        "verified": True,
    }


def installed(workload: str, command: str = "secateur verify … --model") -> str:
    """The workload that a manifest names, if it is an installed sample.

    Args:
        workload: as the manifest names it.
        command: how a person names it after a look at it.

    Raises:
        SecateurError: it is a file, which would be run as Python.
    """
    if workload not in sample_names():
        raise SecateurError(
            f"this bundle was cut from the workload file {workload}, which would be run as Python; "
            f"if you trust it, name it: {command} {workload}"
        )
    return workload


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle, if it is the one that was written.

    Raises:
        SecateurError: missing, damaged, from a newer version, or changed in any byte.
    """
    path = folder / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text)
    except OSError as error:
        raise SecateurError(
            f"{folder} is not a bundle: cannot read {MANIFEST} ({error.strerror}); "
            "name the folder that `secateur export` wrote"
        ) from None
    except (ValueError, RecursionError):
        raise SecateurError(f"{path} is damaged: it is not JSON; export the bundle again") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise SecateurError(f"{path} is not a Secateur manifest; name the folder that `secateur export` wrote")
    if document.get("version") != VERSION:
        raise SecateurError(
            f"{path} is of version {document.get('version')!r}, this Secateur reads {VERSION}; upgrade secateur"
        )
    unsealed = {key: value for key, value in document.items() if key != "sha256"}
    if document.get("form") == "shrunk" and not {"shrunk", "no_onnx"} <= unsealed.keys():
        raise SecateurError(f"{path} says that the model was shrunk, and not how; export the bundle again")
    if sealed(unsealed) != text or not unsealed.keys() >= ENTRIES or set(unsealed["files"]) != _files(unsealed):
        raise SecateurError(f"{path} was changed after it was written (its hash differs); export the bundle again")
    return document


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file.

    Raises:
        SecateurError: missing, truncated or damaged.
    """
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError, ValueError) as error:
        raise SecateurError(f"{path} cannot be read ({error}); restore or export it again") from None


def _files(manifest: dict[str, Any]) -> set[str]:
    has_onnx = manifest.get("form") == "shrunk" and manifest.get("no_onnx") is None
    return {WEIGHTS, PLAN, ONNX} if has_onnx else {WEIGHTS, PLAN}


def _check_shapes(name_of_model: str, expected: dict[str, Tensor], state: dict[str, Tensor], folder: Path) -> None:
    if set(state) != set(expected):
        odd = sorted(set(state) ^ set(expected))
        raise SecateurError(
            f"{WEIGHTS} in {folder} has other tensors than {name_of_model}: {', '.join(odd[:3])}; export it again"
        )
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            raise SecateurError(
                f"{name} in {folder / WEIGHTS} has shape {tuple(tensor.shape)}, {name_of_model} needs "
                f"{tuple(expected[name].shape)}; export it again"
            )
        if tensor.dtype != expected[name].dtype:  # loading would convert it in silence
            raise SecateurError(
                f"{name} in {folder / WEIGHTS} holds {tensor.dtype}, {name_of_model} needs {expected[name].dtype}; "
                "export it again"
            )


def _compare_with_plan(workload: Workload, plan: SparsityPlan, state: dict[str, Tensor], folder: Path) -> None:
    with replaced(workload.model, maker_for(workload, plan).cut_tensors(plan)):
        expected = unique_state(workload.model)
    _check_bits(expected, state, folder)


def _shrunk_again(
    workload: Workload, plan: SparsityPlan, state: dict[str, Tensor], folder: Path, manifest: dict[str, Any]
) -> float:
    """Metric of the model that is shrunk anew and given the weights of the file; and its ONNX file is compared."""

    with Measurement(workload, None, manifest["examples"]) as measurement:
        found = shrunk_workload(measurement, plan, lambda model: put_weights(model, workload.name, state, folder))
        few = [measurement.inputs(i) for i in range(min(ONNX_BATCHES, len(measurement.batches)))]
        if manifest["no_onnx"] is None:
            check_onnx(folder / ONNX, found.model, few)
    assert found.outcome.metric is not None
    now, written = found.to_json(), manifest["shrunk"]
    for name in ("parameters", "dense_parameters", "other_scores", "notes"):
        if now[name] != written[name]:
            raise SecateurError(f"the manifest says {name} {written[name]}, it is {now[name]}; export the bundle again")
    _as_written(now["drop"]["value"], written["drop"]["value"])
    return _as_written(found.outcome.metric.value, written["metric"]["value"])


def _check_bits(expected: dict[str, Tensor], state: dict[str, Tensor], folder: Path) -> None:
    for name, tensor in expected.items():
        if not torch.equal(_bits(tensor), _bits(state[name])):
            raise SecateurError(
                f"{name} in {folder / WEIGHTS} is not what the plan makes of the dense weights; export it again"
            )


def _bits(tensor: Tensor) -> Tensor:
    return tensor.flatten().view(torch.uint8)


def _measured_again(
    workload: Workload, plan: SparsityPlan, state: dict[str, Tensor], manifest: dict[str, Any]
) -> float:
    if workload.metric.against == "dense":  # of a model that was overwritten there is nothing to compare with
        with Measurement(workload, None, manifest["examples"]) as measurement:
            outcome = measurement.measure(plan)
            value = outcome.metric.value if outcome.metric else math.nan
    else:
        # tied tensors are stored once; the names were compared before
        workload.model.load_state_dict(state, strict=False)
        with Measurement(workload, None, manifest["examples"]) as measurement:
            value = measurement.dense().value
    return _as_written(value, manifest["measured"]["pruned"]["value"])


def _as_written(metric: float, written: float) -> float:
    # the same machine gives the same bits; another processor may round a last digit differently
    if not abs(metric - written) <= 1e-5 * max(1.0, abs(written)):
        raise SecateurError(
            f"the reloaded model measures {metric:.6g}, the manifest says {written:.6g}; export the bundle again"
        )
    return metric


def main() -> None:
    """`python -m core.delivery.verify FOLDER WORKLOAD`: 0 when all is well, else one line on standard error and 2."""
    try:
        verify_bundle(Path(sys.argv[1]), sys.argv[2])
    except SecateurError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
