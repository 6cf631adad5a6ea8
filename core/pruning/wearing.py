"""Cut tensors in a model's place: for a while, or for good in a copy."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from core.workload.kept_state import sharing_copy


def cut_weight(weight: Tensor, mask: Tensor) -> Tensor:
    """A copy of `weight` with exact +0 where `mask` is False; the rest bit for bit."""
    return torch.where(mask, weight.detach(), torch.zeros((), dtype=weight.dtype, device=weight.device))


@contextmanager
def replaced(model: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Parameters and buffers point at `tensors` inside the block, and back at their own storage after it."""
    own = {name: own_tensor(model, name) for name in tensors}
    dense = {name: tensor.data for name, tensor in own.items()}
    try:
        for name, tensor in own.items():
            # what a forward pass may write into is lent as a copy: the caller's may serve other passes
            tensor.data = tensors[name] if isinstance(tensor, nn.Parameter) else tensors[name].clone()
        yield
    finally:
        for name, tensor in own.items():
            tensor.data = dense[name]


def own_tensor(model: nn.Module, name: str) -> Tensor:
    """A parameter or buffer of a model, by its state-dict name.

    Raises:
        AttributeError: it has none of that name.
    """
    path, _, attribute = name.rpartition(".")
    module = model.get_submodule(path)
    found = module._buffers.get(attribute)
    return model.get_parameter(name) if found is None else found


def put(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Replace parameters and buffers for good: of a copy that belongs to the caller, never of a workload's model.

    Args:
        model: whose tensors point at tensors of the same devices afterwards.
        tensors: by state-dict name, as `MaskMaker.cut_tensors` gives them; copied.
    """
    for name, tensor in tensors.items():
        own = own_tensor(model, name)
        own.data = tensor.detach().to(own.device, copy=True)


def pruned_copy(model: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a model with some tensors cut for good, as `MaskMaker.cut_tensors` gives them; `model` stays."""
    clone = copy.deepcopy(model)
    put(clone, tensors)
    return clone


def pruned_sharing(model: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """As `pruned_copy`, but what is not cut shares the model's memory: to look at, and thrown away soon."""
    clone = sharing_copy(model)
    for name, tensor in tensors.items():
        clone.get_parameter(name).data = tensor
    return clone
