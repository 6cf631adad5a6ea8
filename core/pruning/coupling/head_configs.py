"""Numbers of heads in the configuration objects that Hugging Face's attention modules share."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from core.pruning.coupling.attention import HeadLayout
from core.workload.layers.linear import is_linear, n_outputs

Staying = dict[str, tuple[Sequence[int], Sequence[int]]]  # by path: query heads and key/value heads that stay


def tell_configurations(model: nn.Module, layouts: Mapping[str, HeadLayout], staying: Staying) -> None:
    """Write into the configurations of a shrunk copy which heads are left.

    One configuration serves all layers. Where each of them is left with the same number of heads, and a model made of
    the configuration would still get heads of the same size (it has `head_dim` or `num_key_value_heads`, as Llama's),
    `num_attention_heads`, `num_key_value_heads` and `head_dim` are set. Else these stay as they were, the modules' own
    numbers are right, and the removed heads are noted in `config.pruned_heads`, layer by layer, as transformers 4 did
    for BERT: there `hidden_size // num_attention_heads` is the size of a head, so another number would be wrong. So
    too if the configuration does not accept the numbers. Heads of cross-attention are in no configuration.

    Args:
        model: shrunk; its configurations are changed, so they must be its own.
        layouts: of the dense model's attention, by path.
        staying: heads that stay, of the modules that lost some.
    """
    users: dict[int, list[str]] = {}
    configs: dict[int, Any] = {}
    for path, layout in layouts.items():
        config = getattr(_core(model, layout), "config", None)
        if config is not None and not isinstance(config, dict):
            users.setdefault(id(config), []).append(path)
            configs[id(config)] = config
    for key, paths in users.items():
        if any(path in staying for path in paths):
            _tell(model, configs[key], {path: layouts[path] for path in paths}, staying)


def _tell(model: nn.Module, config: Any, layouts: Mapping[str, HeadLayout], staying: Staying) -> None:
    dense = getattr(config, "num_attention_heads", None)
    left = {
        tuple(len(heads) for heads in staying[path]) if path in staying else (layout.n_heads, layout.n_kv)
        for path, layout in layouts.items()
    }
    sized = hasattr(config, "head_dim") or hasattr(config, "num_key_value_heads")
    if len(left) == 1 and sized and dense == next(iter(layouts.values())).n_heads:
        n_heads, n_kv = left.pop()
        new = {"num_attention_heads": n_heads, "head_dim": next(iter(layouts.values())).head_dim}
        if hasattr(config, "num_key_value_heads"):
            new["num_key_value_heads"] = n_kv
        if _accepted(config, new):
            return
    pruned: dict[int, list[int]] = {int(k): list(v) for k, v in (getattr(config, "pruned_heads", None) or {}).items()}
    for number, (path, layout) in enumerate(layouts.items()):
        core = _core(model, layout)
        if path not in staying or getattr(model.get_submodule(path), "is_cross_attention", False):
            continue
        index = getattr(core, "layer_idx", None)
        index = index if isinstance(index, int) else number
        gone = pruned.get(index, [])
        there = [head for head in range(layout.n_heads + len(gone)) if head not in gone]  # pruned before, counted anew
        pruned[index] = sorted({*gone, *(there[h] for h in range(layout.n_heads) if h not in staying[path][0])})
    config.pruned_heads = pruned


def tell_widths(model: nn.Module, dense: nn.Module) -> None:
    """Write into the configurations of a shrunk copy how wide its perceptrons are now.

    Only where one number fits them all: every linear layer that made `intermediate_size` neurons still makes equally
    many. Else the configuration stays as it was; the layers' own sizes are right.

    Args:
        model: shrunk; its configurations are changed, so they must be its own.
        dense: what it was made from.
    """
    configs = {id(config): config for m in model.modules() if (config := getattr(m, "config", None)) is not None}
    for config in configs.values():
        for name in ("intermediate_size", "ffn_dim", "n_inner"):
            old = getattr(config, name, None)
            if not isinstance(old, int):
                continue
            made = [path for path, m in dense.named_modules() if is_linear(m) and n_outputs(m) == old]
            there = dict(model.named_modules())
            new = {n_outputs(m) if is_linear(m := there[path]) else old for path in made if path in there}
            if len(new) == 1 and new != {old}:
                _accepted(config, {name: new.pop()})


def _accepted(config: Any, new: Mapping[str, int]) -> bool:
    """Set attributes of a configuration, or leave it as it was if it finds the new values wrong."""
    missing = object()
    old: dict[str, Any] = {name: getattr(config, name, missing) for name in new}
    try:
        for name, value in new.items():
            setattr(config, name, value)
        if hasattr(config, "validate"):
            config.validate()
    except Exception:  # each version of transformers has errors of its own for this
        for name, value in old.items():
            if getattr(config, name, missing) is value:
                continue  # it was not set: a property, Falcon's head_dim
            if value is missing:
                delattr(config, name)
            else:
                setattr(config, name, value)
        return False
    return True


def _core(model: nn.Module, layout: HeadLayout) -> nn.Module:
    return model.get_submodule(".".join(part for part in (layout.path, layout.core) if part))
