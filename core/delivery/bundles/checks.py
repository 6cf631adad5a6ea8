"""What the files of a bundle must be: hashes, tensors, and the dense model that they were cut from."""

import shlex
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.delivery.formats.facts import FORMATS
from core.delivery.manifest import PLAN, WEIGHTS, formats_of, sha256_of
from core.engines.state import unique_state
from core.errors import SecateurError
from core.plans.plan import SparsityPlan
from core.workload.identity.fingerprint import model_fingerprint, state_fingerprint
from core.workload.loading import sample_names
from core.workload.sources.reference import runs_python
from core.workload.workload import Workload


def check_files(folder: Path, manifest: dict[str, Any]) -> None:
    """Compare every file of a bundle with its hash in the manifest.

    Raises:
        SecateurError: one is missing, was changed, or lies in the folder of a format and was not exported.
    """
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise SecateurError(f"{name} is missing from the bundle {folder}; export it again")
        if path.stat().st_size != expected["bytes"] or sha256_of(path) != expected["sha256"]:
            raise SecateurError(
                f"{name} in {folder} is not the file that was exported (its hash differs); export it again"
            )
    for name in formats_of(manifest):
        place = folder / FORMATS[name].path
        inside = {file.relative_to(folder).as_posix() for file in place.rglob("*") if not file.is_dir()}
        odd = sorted(inside - set(manifest["files"]))
        if odd:  # what reads a folder reads all of it
            raise SecateurError(f"{odd[0]} in {folder} was not exported; remove it")


def contents(folder: Path, manifest: dict[str, Any]) -> tuple[SparsityPlan, dict[str, Tensor]]:
    """The plan and the weights of a bundle, whose files are what its manifest says.

    Raises:
        SecateurError: as `check_files`, or one of the two cannot be read.
    """
    check_files(folder, manifest)
    return SparsityPlan.read(folder / PLAN), read_weights(folder / WEIGHTS)


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
    check_shapes(f"the shrunk {name}", expected, state, folder)
    check_bits(expected, state, folder)
    model.load_state_dict(state, strict=False)


def printable(text: str) -> str:
    """Somebody else's text without signs that would steer a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def installed(workload: str, command: str = "secateur verify … --model") -> str:
    """The workload that a manifest names, if it is an installed sample.

    Args:
        workload: as the manifest names it.
        command: how a person names it after a look at it.

    Raises:
        SecateurError: it is a file, which would be run as Python, or names others on this machine.
    """
    if workload not in sample_names():
        shown, python = printable(workload), runs_python(workload)
        raise SecateurError(
            f"this bundle was cut from the {'workload file' if python else 'model'} {shown}, which "
            f"{'would be run as Python' if python else 'lies outside of it'}; "
            f"if you trust it, name it: {command} {shlex.quote(shown)}"
        )
    return workload


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file.

    Raises:
        SecateurError: missing, truncated or damaged.
    """
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError, ValueError) as error:
        raise SecateurError(f"{path} cannot be read ({error}); restore or export it again") from None


def check_shapes(name_of_model: str, expected: dict[str, Tensor], state: dict[str, Tensor], folder: Path) -> None:
    """Compare names, shapes and types of a bundle's tensors with those of the model.

    Raises:
        SecateurError: one is missing, too many, or of another shape or type.
    """
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


def check_bits(expected: dict[str, Tensor], state: dict[str, Tensor], folder: Path) -> None:
    """Compare every tensor of a bundle with what the plan makes of the dense weights, bit for bit.

    Raises:
        SecateurError: one differs.
    """
    for name, tensor in expected.items():
        if not torch.equal(_bits(tensor), _bits(state[name])):
            raise SecateurError(
                f"{name} in {folder / WEIGHTS} is not what the plan makes of the dense weights; export it again"
            )


def _bits(tensor: Tensor) -> Tensor:
    return tensor.flatten().view(torch.uint8)
