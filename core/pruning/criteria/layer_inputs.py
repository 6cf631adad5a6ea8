"""What a weight is multiplied with: inputs of linear layers, convolutions, and the projections of an attention.

A weight (rows, ...) flattened to (rows, columns) is divided into blocks of equally many rows, each of which multiplies
inputs of its own: the groups of a grouped convolution; query, key and value of a packed attention; else one block.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from core.pruning.coupling.channel_graph import CONVS
from core.workload.layers.linear import is_linear
from core.workload.target import READING_INPUTS

Seen = Callable[[Tensor], None]  # is told of (blocks, n, columns): what each column was multiplied with, n times
_ROLES = {"q_proj_weight": 0, "k_proj_weight": 1, "v_proj_weight": 2}


def multiplies(module: nn.Module, attribute: str) -> bool:
    """Whether it is known what a module multiplies this parameter of its with."""
    if isinstance(module, nn.MultiheadAttention):
        return attribute == "in_proj_weight" or attribute in _ROLES
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        return attribute in READING_INPUTS
    transposed = isinstance(module, nn.modules.conv._ConvTransposeNd)
    return attribute == "weight" and not transposed and (isinstance(module, CONVS) or is_linear(module))


@contextmanager
def watched(model: nn.Module, path: str, attribute: str, seen: Seen) -> Iterator[None]:
    """Inside the block, `seen` is told what a weight is multiplied with whenever the model runs.

    Args:
        model: as it stands; hooked for as long as the block lasts.
        path, attribute: of a weight that `multiplies`.
        seen: called with a tensor (blocks, n, columns), or views of it in turn.
    """
    module = model.get_submodule(path)
    handles = [module.register_forward_pre_hook(_hook(attribute, seen), with_kwargs=True)]
    parent = model.get_submodule(path.rpartition(".")[0]) if path else None
    if isinstance(parent, nn.MultiheadAttention) and module is parent.out_proj:
        handles.append(parent.register_forward_hook(_OutProjection(seen), with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(attribute: str, seen: Seen) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = [*args, *kwargs.values()] if not isinstance(module, nn.MultiheadAttention) else _attended(args, kwargs)
        if isinstance(module, nn.MultiheadAttention):
            chosen = given if attribute == "in_proj_weight" else [given[_ROLES[attribute]]]
            parts = [x.detach().flatten(0, -2) for x in chosen]
            if len({len(part) for part in parts}) == 1:
                seen(torch.stack(parts))
            else:  # keys of another length than the queries: what is missing is 0, which changes no sum
                longest = max(len(part) for part in parts)
                seen(torch.stack([F.pad(part, (0, 0, 0, longest - len(part))) for part in parts]))
        elif isinstance(given[0], PackedSequence):
            seen(given[0].data.detach().unsqueeze(0))
        elif isinstance(module, CONVS):
            seen(_windows(module, given[0].detach()))
        else:
            seen(given[0].detach().reshape(1, -1, given[0].shape[-1]))

    return hook


def _attended(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    return [args[i] if i < len(args) else kwargs[name] for i, name in enumerate(("query", "key", "value"))]


class _OutProjection:
    """Tells what the output projection of an `nn.MultiheadAttention` multiplies, which it hands to a function.

    The attention is run once more on the same arguments with the identity in the projection's place: then what it
    gives is what the projection would have got.
    """

    def __init__(self, seen: Seen) -> None:
        self._seen, self._busy = seen, False

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            weight, bias = (getattr(module.out_proj, name) for name in ("weight", "bias"))
            as_it_is = {"out_proj.weight": torch.eye(len(weight), dtype=weight.dtype, device=weight.device)}
            if bias is not None:
                as_it_is["out_proj.bias"] = torch.zeros_like(bias)
            joined = torch.func.functional_call(module, as_it_is, args, kwargs)[0]
        finally:
            self._busy = False
        self._seen(joined.detach().reshape(1, -1, joined.shape[-1]))


def _windows(conv: Any, x: Tensor) -> Tensor:
    """What a convolution's filters are laid on: (groups, examples * places, inputs * kernel)."""
    n_dims = len(conv.kernel_size)
    x = x.unsqueeze(0) if x.dim() == n_dims + 1 else x
    mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
    x = F.pad(x, conv._reversed_padding_repeated_twice, mode=mode)
    for i, (size, stride, dilation) in enumerate(zip(conv.kernel_size, conv.stride, conv.dilation, strict=True)):
        x = x.unfold(2 + i, dilation * (size - 1) + 1, stride)[..., ::dilation]
    # (n, inputs, *places, *kernel) -> (groups, n, *places, inputs of a group, *kernel)
    x = x.unflatten(1, (conv.groups, -1)).movedim(1, 0).movedim(2, 2 + n_dims)
    return x.flatten(2 + n_dims).flatten(1, -2)


def input_channels(module: nn.Module, x: Tensor) -> Tensor | None:
    """A layer's inputs by channel: (n, channels); `None` for a layer of unknown kind."""
    if isinstance(module, CONVS):
        spatial: Sequence[int] = module.kernel_size
        x = x.unsqueeze(0) if x.dim() == len(spatial) + 1 else x
        return x.movedim(1, -1).flatten(0, -2)
    return x.reshape(-1, x.shape[-1]) if is_linear(module) else None
