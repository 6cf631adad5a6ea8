"""What follows an encoder of sentences: pooling, dense layers, length 1; as the folder says. Imports torch."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from core.errors import SecateurError
from core.workload.sources.folder import file_shapes, read_json
from core.workload.sources.sentences import SentencePairs, Sentences
from core.workload.sources.tasks import Inferred

POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}
ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "Tanh": nn.Tanh,
    "Identity": nn.Identity,
    "ReLU": nn.ReLU,
    "GELU": nn.GELU,
}


def wrapped(found: Inferred, encoder: nn.Module, names: Sequence[str]) -> tuple[Sentences, tuple[str, ...]]:
    """The encoder with what follows it, and a note on that; `names` are inputs that tokenizer and encoder share.

    Raises:
        SecateurError: the folder holds a part that is not known here.
    """
    if not {"input_ids", "attention_mask"} <= set(names):
        raise SecateurError(
            f"{type(encoder).__name__} takes no attention_mask of its tokenizer, and padding would be pooled with "
            "the text; wrap it in a module of your own, in a workload file: secateur init my_model.py"
        )
    pooling, after, normalized = _parts(found.folder.path)
    cls = SentencePairs if found.task == "sentence similarity" else Sentences
    said = f"pooling: {pooling}" + (", of length 1" if normalized else "")
    if not (found.folder.path / "modules.json").is_file():
        said += " (the folder does not say; modules.json of sentence-transformers would)"
    return cls(encoder, nn.Sequential(*after), pooling, normalized), (said,)


def _parts(folder: Path) -> tuple[str, list[nn.Module], bool]:
    file = folder / "modules.json"
    if not file.is_file():
        return "mean", [], False
    try:
        modules = json.loads(file.read_text(encoding="utf-8"))
        parts = [(str(module["type"]).rpartition(".")[2], str(module["path"])) for module in modules]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SecateurError(f"modules.json of {folder.name} does not list its parts ({error}); restore it") from None
    if [kind for kind, _ in parts[:2]] != ["Transformer", "Pooling"] or parts[0][1]:
        raise SecateurError(
            f"modules.json of {folder.name} must begin with a Transformer in the folder itself and a Pooling; it lists "
            f"{', '.join(kind for kind, _ in parts)[:120]}"
        )
    pooling = _pooling(folder, parts[1][1])
    after: list[nn.Module] = []
    normalized = False
    for kind, place in parts[2:]:
        if kind == "Normalize":
            normalized = True
        elif kind == "Dense" and not normalized:
            after += _dense(_inside(folder, place))
        else:
            raise SecateurError(f"{folder.name} ends with a {kind}, which is not known here; write a workload file")
    return pooling, after, normalized


def _inside(folder: Path, place: str) -> Path:
    if place != Path(place).name or place in ("", ".", ".."):
        raise SecateurError(
            f"modules.json of {folder.name} names {place!r}, which lies outside of the folder; restore it"
        )
    return folder / place


def _pooling(folder: Path, place: str) -> str:
    settings = read_json(_inside(folder, place) / "config.json")
    given = [name for name, value in settings.items() if name.startswith("pooling_mode") and value]
    if settings.get("pooling_mode") in POOLING.values():
        return str(settings["pooling_mode"])
    known = [POOLING[name] for name in given if name in POOLING]
    if len(given) != 1 or len(known) != 1:
        raise SecateurError(
            f"pooling of {folder.name} is {', '.join(given) or 'not given'}; one of {', '.join(POOLING)} is known"
        )
    return known[0]


def _dense(folder: Path) -> list[nn.Module]:
    settings: dict[str, Any] = read_json(folder / "config.json")
    activation = str(settings.get("activation_function", "")).rpartition(".")[2]
    if activation not in ACTIVATIONS:
        raise SecateurError(f"{folder.name} has the activation {activation!r}; {', '.join(ACTIVATIONS)} are known")
    path = folder / "model.safetensors"
    if not path.is_file():
        raise SecateurError(f"{folder} has no model.safetensors; save it again with safetensors")
    shapes, _ = file_shapes(path)
    weight = shapes.get("linear.weight", ())
    if len(weight) != 2 or set(shapes) - {"linear.weight", "linear.bias"}:
        raise SecateurError(
            f"{folder.name} must hold linear.weight and linear.bias, got {', '.join(shapes)[:80]}; restore it"
        )
    linear = nn.Linear(weight[1], weight[0], bias="linear.bias" in shapes)
    linear.load_state_dict({name.removeprefix("linear."): tensor for name, tensor in load_file(path).items()})
    return [linear, ACTIVATIONS[activation]()]
