"""A folder that `from_pretrained` reads: the configuration and safetensors, no code."""

import contextlib
import copy
import inspect
import io
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from core.delivery.formats.facts import FORMATS
from core.delivery.formats.fresh import Exchange, compared_outputs, outputs_in_fresh_process
from core.delivery.formats.huggingface_config import changed_numbers, fitted
from core.delivery.formats.huggingface_files import odd_files, taken_along
from core.delivery.formats.subject import CannotHoldError, Subject
from core.errors import SecateurError
from core.workload.inputs.names import plain_class

SCRIPT = """
import json, sys
import torch, transformers
from safetensors.torch import load_file, save_file
path, given, found, threads, words = sys.argv[1:]
torch.set_num_threads(int(threads))
said = json.loads(words)
cls = getattr(transformers, said["words"]["class"])
how = {"attn_implementation": said["words"]["attention"]} if said["words"]["attention"] else {}
model = cls.from_pretrained(path, dtype="auto", use_safetensors=True, local_files_only=True, **how).eval()
inputs, outputs = load_file(given), {}
with torch.inference_mode():
    for i in range(said["batches"]):
        tensors = {key.partition(":")[2]: x for key, x in inputs.items() if key.startswith(f"{i}:")}
        leaves = torch.utils._pytree.tree_leaves(model(**tensors, **said["words"]["others"]))
        for k, x in enumerate(x for x in leaves if isinstance(x, torch.Tensor)):
            outputs[f"{i}:{k}"] = x.clone().contiguous()
save_file(outputs, found)
"""


def write(subject: Subject, path: Path) -> None:
    """Save the Hugging Face model in a workload's model, if its configuration says what it has become.

    Args:
        subject: its model is one of transformers', or holds just one and no parameter beside it.
        path: of the folder, which is made.

    Raises:
        CannotHoldError: there is no such model; its class is not one of transformers'; or a model made of its
            configuration would have other shapes.
    """
    _, inner = inner_model(subject.model)
    model = _made(inner)
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):  # progress bars
            model.save_pretrained(path, max_shard_size="1000GB")
    except (OSError, SafetensorError) as error:  # a full disk says nothing of the model
        raise SecateurError(
            f"cannot write {path}: {_first_line(error)}; free some space or choose another place"
        ) from None
    except Exception as error:  # each version of transformers has errors of its own
        raise CannotHoldError(f"save_pretrained: {type(error).__name__}: {_first_line(error)}") from error
    odd = odd_files(path)
    if odd:
        raise CannotHoldError(f"save_pretrained wrote {odd[0]}, which is neither configuration nor safetensors")
    source = Path(str(getattr(inner.config, "name_or_path", "") or "?"))
    if source.is_absolute() and (source / "config.json").is_file():  # where it was read from, by whomever
        taken_along(source, path)


def check(subject: Subject, path: Path) -> float:
    """Largest difference of the outputs of `from_pretrained` in a fresh process; 0.0 is the same bits.

    Raises:
        CannotHoldError: it cannot be loaded or run, or gives other outputs; or the folder holds other files.
    """
    odd = odd_files(path)
    if odd:
        raise CannotHoldError(f"{path.name} holds {odd[0]}, which `secateur export` did not write")
    name, inner = inner_model(subject.model)
    inputs, others, outputs = _calls(subject, name)
    words = {
        "class": type(inner).__name__,
        "attention": getattr(inner.config, "_attn_implementation", None),
        "others": others,
    }
    found = outputs_in_fresh_process(path, Exchange(SCRIPT, inputs, words, ("transformers",)), subject)
    return compared_outputs(path.name, outputs, found, FORMATS["huggingface"].tolerance)


def said(subject: Subject, path: Path) -> dict[str, Any]:
    """`"config"`: of each number that `config.json` says otherwise than the dense model's what it was and is now."""
    if subject.dense is None:
        return {}
    _, dense = inner_model(subject.dense)
    now = type(dense.config).from_pretrained(path, local_files_only=True)
    return {"config": changed_numbers(dense.config, now)}


def inner_model(model: nn.Module) -> tuple[str, Any]:
    """Path and module of the one Hugging Face model in a model.

    Raises:
        CannotHoldError: none, several, or parameters beside it.
    """
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        inside = any(not outer or name.startswith(f"{outer}.") for outer in found)
        if hasattr(module, "save_pretrained") and hasattr(module, "config") and not inside:
            found[name] = module
    kind = type(model).__name__
    if not found:
        raise CannotHoldError(f"{kind} is not a Hugging Face model: there is no configuration that could rebuild it")
    if len(found) > 1:
        raise CannotHoldError(f"{kind} holds {len(found)} Hugging Face models; a folder is of one")
    ((name, inner),) = found.items()
    beside = [p for p, _ in model.named_parameters() if name and not p.startswith(f"{name}.")]
    if beside:
        raise CannotHoldError(f"{kind} has parameters beside its Hugging Face model, {beside[0]}, that would be lost")
    home = type(inner).__module__
    if not home.startswith("transformers."):
        raise CannotHoldError(
            f"{type(inner).__name__} is a class of {home}, without which nobody could load the folder"
        )
    return name, inner


def _plain(inner: Any) -> Any:
    """The model as one of transformers' own class, which shares all with it but the configuration.

    A twin that is called by name has a class that was made for it; and saving writes into the configuration.
    """
    model: Any = object.__new__(plain_class(type(inner)))
    vars(model).update(vars(inner))
    model.config = copy.deepcopy(inner.config)
    return model


def _made(inner: Any) -> Any:
    """The model that is saved: the plain one, or one made of a configuration that was told what was cut."""
    found = fitted(inner)
    if found.is_own:
        return _plain(inner)
    with torch.device("meta"):
        model = plain_class(type(inner))(found.config)
    model.load_state_dict(found.state, assign=True)
    model.tie_weights()
    if getattr(inner, "generation_config", None) is not None:
        model.generation_config = copy.deepcopy(inner.generation_config)
    return model.eval()


def _calls(subject: Subject, name: str) -> tuple[list[dict[str, Tensor]], dict[str, Any], list[list[Tensor]]]:
    """What the workload's model gives its inner model for each batch, and what that answers."""
    inputs: list[dict[str, Tensor]] = []
    others: list[dict[str, Any]] = []
    outputs: list[list[Tensor]] = []
    inner = subject.model.get_submodule(name)
    names = list(inspect.signature(inner.forward).parameters)

    def note(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        inputs.append({key: x.clone() for key, x in given.items() if isinstance(x, Tensor)})
        others.append({key: x for key, x in given.items() if not isinstance(x, Tensor)})
        outputs.append([x.clone() for x in pytree.tree_leaves(output) if isinstance(x, Tensor)])

    handle = inner.register_forward_hook(note, with_kwargs=True)
    try:
        subject.outputs()
    finally:
        handle.remove()
    if len(inputs) != len(subject.batches) or any(not isinstance(x, bool | int | float | str | None)
                                                  for one in others for x in one.values()):  # fmt: skip
        raise CannotHoldError("its Hugging Face model is called more than once, or with other things than tensors")
    return inputs, others[0], outputs


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]
