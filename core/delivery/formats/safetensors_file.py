"""The state dict as safetensors: names, shapes and bytes."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from core.delivery.formats.fresh import run_fresh
from core.delivery.formats.subject import CannotHoldError, Subject
from core.drafted import scratch
from core.engines.state import unique_state
from core.errors import SecateurError

SCRIPT = """
import hashlib, json, sys
from safetensors import deserialize
with open(sys.argv[1], "rb") as file:
    tensors = deserialize(file.read())
found = {name: [list(t["shape"]), hashlib.sha256(bytes(t["data"])).hexdigest()] for name, t in tensors}
with open(sys.argv[2], "w") as file:
    json.dump(found, file)
assert "torch" not in sys.modules
"""


def write_state(state: dict[str, Tensor], path: Path) -> None:
    """Write tensors.

    Raises:
        SecateurError: the disk is full.
    """
    try:
        save_file(state, path, metadata={"format": "pt"})
    except Exception as error:  # safetensors raises its own error type for a full disk
        raise SecateurError(f"cannot write the weights to {path.parent.parent}: {error}") from None


def write(subject: Subject, path: Path) -> None:
    """Write the state of a model, tied tensors once."""
    write_state(unique_state(subject.model), path)


def check(subject: Subject, path: Path) -> float:
    """0.0 if a fresh process without torch reads the bits that are in memory.

    Raises:
        CannotHoldError: a tensor is missing, or another.
    """
    expected = {
        name: [list(tensor.shape), hashlib.sha256(tensor.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()]
        for name, tensor in unique_state(subject.model).items()
    }
    with scratch() as folder:
        answer = Path(folder, "found.json")
        run_fresh(SCRIPT, [str(path.resolve()), str(answer)], subject, folder)
        found = json.loads(answer.read_text(encoding="utf-8"))
    odd = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if odd:
        raise CannotHoldError(f"{odd[0]} as a fresh process reads it from {path.name} is not what is in memory")
    return 0.0
