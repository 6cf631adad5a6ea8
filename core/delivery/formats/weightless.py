"""Channels that have no weight any more and still a bias: a constant, which other tools' static int8 mistreats."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

OUTPUTS: Mapping[type[nn.Module], int] = MappingProxyType(
    {nn.Linear: 0, nn.Conv1d: 0, nn.Conv2d: 0, nn.Conv3d: 0, nn.ConvTranspose1d: 1, nn.ConvTranspose2d: 1,
     nn.ConvTranspose3d: 1}
)  # fmt: skip
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def weightless(model: nn.Module, inputs: tuple[Any, ...]) -> dict[str, int]:
    """Of each layer how many of its outputs are a constant that is not 0: no weight, but a bias.

    The bias is the layer's own, or that of the batch norm which reads what it gives, as an exporter folds it in.

    Args:
        model: in evaluation mode; run once. Not modified.
        inputs: of a small batch.
    """
    dead: dict[str, torch.Tensor] = {}
    for path, module in model.named_modules():
        axis = next((axis for kind, axis in OUTPUTS.items() if isinstance(module, kind)), None)
        if axis is None or not isinstance(module.weight, torch.Tensor) or (getattr(module, "groups", 1) > 1 and axis):
            continue
        rows = (module.weight.detach() == 0).transpose(0, axis).flatten(1).all(1)
        if rows.any():
            dead[path] = rows
    if not dead:
        return {}
    norms = _norms_behind(model, dead, inputs)
    found = {}
    for path, rows in dead.items():
        layer = model.get_submodule(path)
        assert isinstance(layer.weight, torch.Tensor)
        none = layer.weight.new_zeros(len(rows))
        bias = layer.bias.detach() if isinstance(layer.bias, torch.Tensor) else none
        norm = norms.get(path)
        if norm is not None and norm.running_mean is not None and norm.running_var is not None:
            scale = norm.weight.detach() if norm.affine else none + 1
            shift = norm.bias.detach() if norm.affine else none
            bias = (bias - norm.running_mean) * scale / (norm.running_var + norm.eps).sqrt() + shift
        n = int((rows & (bias != 0)).sum())
        if n:
            found[path] = n
    return found


def _norms_behind(model: nn.Module, paths: Mapping[str, Any], inputs: tuple[Any, ...]) -> dict[str, Any]:
    """Of layers the batch norm that takes the very tensor which they give."""
    given: dict[int, tuple[str, Any]] = {}  # with the tensor itself, or another could get its number
    norms: dict[str, Any] = {}
    hooks = []

    def layer_hook(path: str) -> Any:
        def hook(module: nn.Module, args: Any, out: Any) -> None:
            given[id(out)] = (path, out)

        return hook

    def norm_hook(module: nn.Module, args: Any) -> None:
        if args and id(args[0]) in given:
            norms[given[id(args[0])][0]] = module

    try:
        for path, module in model.named_modules():
            if path in paths:
                hooks.append(module.register_forward_hook(layer_hook(path)))
            elif isinstance(module, NORMS):
                hooks.append(module.register_forward_pre_hook(norm_hook))
        with torch.inference_mode():
            model(*inputs)
    finally:
        for one in hooks:
            one.remove()
    return norms
