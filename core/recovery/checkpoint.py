"""A checkpoint per round: weights, masks and what the optimiser remembers, in one safetensors file. Never a pickle."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from core.errors import SecateurError
from core.recovery.history import Round
from core.recovery.making import Making, Makings
from core.recovery.round_file import FORMAT, HASH, MADE_BY, checked_header, content_hash, damaged, path_of, rounds_in
from core.workload.examples import tensor_bytes


@dataclass(frozen=True)
class Checkpoint:
    """A model between two rounds.

    Attributes:
        history: of all rounds so far.
        key: of what it depends on: model, data, plan, settings. Another key, another recovery.
        dense: of the dense model with its metric, whatever the settings were.
        model: the state dict, tensors that are tied once.
        masks: by state-dict name, True = kept.
        gone: by granularity and target what of it stays, as `GrowingMasks.gone`.
        optimiser: by name of the parameter and of what is remembered of it.
        optimiser_name: whose memory that is.
        made_by: what made its rounds; `None` in a file from before that was kept.
    """

    history: tuple[Round, ...]
    key: str
    dense: str
    model: Mapping[str, Tensor]
    masks: Mapping[str, Tensor]
    gone: Mapping[tuple[str, str], Tensor]
    optimiser: Mapping[tuple[str, str], Tensor]
    optimiser_name: str
    made_by: Makings | None = None


def model_state(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, each once, as copies on the CPU."""
    found = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in found.items()}


@torch.no_grad()
def put_model_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Inverse of `model_state`, into the same storage."""
    found = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    if found.keys() != state.keys():
        raise SecateurError(f"the checkpoint is of another model: {sorted(found.keys() ^ state.keys())[:3]} differ")
    for name, tensor in found.items():
        if tensor.shape != state[name].shape:
            raise SecateurError(
                f"the checkpoint is of another model: {name} has the shape {tuple(state[name].shape)}, here "
                f"{tuple(tensor.shape)}"
            )
    for name, tensor in found.items():
        tensor.copy_(state[name])


def optimiser_state(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[tuple[str, str], Tensor]:
    """What is remembered of each parameter, as tensors on the CPU."""
    found: dict[tuple[str, str], Tensor] = {}
    for name, parameter in model.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            if value is not None:
                found[name, key] = torch.as_tensor(value).detach().cpu().clone().contiguous()
    return found


def put_optimiser_state(
    model: nn.Module, optimiser: torch.optim.Optimizer, state: Mapping[tuple[str, str], Tensor]
) -> None:
    """Inverse of `optimiser_state`, into a new optimiser of the same kind."""
    parameters = dict(model.named_parameters())
    for (name, key), value in state.items():
        parameter = parameters[name]
        # AdamW counts its steps in a tensor on the CPU, wherever the parameter lies
        device = torch.device("cpu") if key == "step" else parameter.device
        optimiser.state[parameter][key] = value.to(device).clone()


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write the checkpoint of the last round in its history; it is there whole, or not at all.

    Raises:
        SecateurError: it could not be written; earlier rounds are as they were.
    """
    path = path_of(folder, len(checkpoint.history))
    tensors = {
        **{f"model/{name}": tensor for name, tensor in checkpoint.model.items()},
        **{f"mask/{name}": tensor.cpu().contiguous() for name, tensor in checkpoint.masks.items()},
        **{f"gone/{kind}/{name}": tensor.cpu().contiguous() for (kind, name), tensor in checkpoint.gone.items()},
        **{f"optimiser/{key}/{name}": tensor for (name, key), tensor in checkpoint.optimiser.items()},
    }
    rows = json.dumps([row.to_json() for row in checkpoint.history])
    partial = path.with_suffix(".partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        about = {"key": checkpoint.key, "dense": checkpoint.dense, "optimiser": checkpoint.optimiser_name}
        about[HASH] = _hash_of(tensors)
        if checkpoint.made_by is not None:
            about[MADE_BY] = json.dumps([making.to_json() for making in checkpoint.made_by])
        save_file(tensors, partial, {"format": FORMAT, "history": rows, **about})
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        kept = len(checkpoint.history) - 1
        before = f"round {kept} is kept" if kept else "no round is kept yet"
        raise SecateurError(
            f"the checkpoint of round {kept + 1}, {path}, could not be written ({error}); {before}: free some space "
            "and resume"
        ) from error
    return path


def _hash_of(tensors: Mapping[str, Tensor]) -> str:
    return content_hash({name: partial(tensor_bytes, tensor) for name, tensor in tensors.items()})


def read_checkpoint(path: Path) -> Checkpoint:
    """Inverse of `write_checkpoint`.

    Raises:
        SecateurError: there is none, it is damaged, or it is something else.
    """
    parts: dict[str, dict[Any, Tensor]] = {"model": {}, "mask": {}, "gone": {}, "optimiser": {}}
    tensors: dict[str, Tensor] = {}
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            for name in file.keys():  # noqa: SIM118 - it is no dict
                kind, _, rest = name.partition("/")
                first, _, second = rest.partition("/")
                key = {"gone": (first, second), "optimiser": (second, first)}.get(kind, rest)
                tensors[name] = parts[kind][key] = file.get_tensor(name)
        history = tuple(Round.from_json(row) for row in checked_header(about))
        made_by = tuple(map(Making.from_json, json.loads(about[MADE_BY]))) if MADE_BY in about else None
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error
    if HASH in about and about[HASH] != _hash_of(tensors):
        raise damaged(path, "its tensors were changed")
    return Checkpoint(
        history, about["key"], about["dense"], parts["model"], parts["mask"], parts["gone"], parts["optimiser"],
        about["optimiser"], made_by,
    )  # fmt: skip


def last_checkpoint(folder: Path, key: str) -> Checkpoint | None:
    """The checkpoint of the latest round of this recovery that can be read; `None` if there is none.

    Raises:
        SecateurError: rounds of another recovery lie there, which those of this one would overwrite.
    """
    for path in rounds_in(folder):
        try:
            found = read_checkpoint(path)
        except SecateurError:
            continue  # written by half: the round before it is whole
        if found.key == key:
            return found
        raise SecateurError(
            f"{path} is of another recovery (another model, other data, other settings, or by another version); "
            "choose another folder, or remove that one if you need its rounds no longer"
        )
    return None
