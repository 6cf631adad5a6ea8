"""The state of a model as any file holds it: names and tensors, each tied one once."""

import torch
from torch import Tensor, nn


def unique_state(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the state dict with each tied tensor once, under its first name, as safetensors wants it.

    Entries that are no tensors (a module's `get_extra_state`) are left out: a safetensors file cannot hold them.
    """
    state: dict[str, Tensor] = {}
    seen: set[tuple[int, tuple[int, ...], tuple[int, ...], torch.dtype]] = set()
    for name, tensor in model.state_dict().items():
        if not isinstance(tensor, Tensor):
            continue
        key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        if tensor.numel() and key in seen:
            continue
        seen.add(key)
        state[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    return state
