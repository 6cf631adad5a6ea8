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
    """Parameters of the model point at `tensors` inside the block, and back at their own storage after it."""
    parameters = {name: model.get_parameter(name) for name in tensors}
    dense = {name: parameter.data for name, parameter in parameters.items()}
    try:
        for name, parameter in parameters.items():
            parameter.data = tensors[name]
        yield
    finally:
        for name, parameter in parameters.items():
            parameter.data = dense[name]


def put(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Replace parameters for good: of a copy that belongs to the caller, never of a workload's model.

    Args:
        model: whose parameters point at tensors of the same devices afterwards.
        tensors: by state-dict name, as `MaskMaker.cut_tensors` gives them; copied.
    """
    for name, tensor in tensors.items():
        parameter = model.get_parameter(name)
        parameter.data = tensor.detach().to(parameter.device, copy=True)


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
