"""Mixed precision of recovery training, chosen by the device."""

from contextlib import AbstractContextManager, nullcontext

import torch


def training_dtype(device: torch.device) -> torch.dtype:
    """What the layers of a training step calculate in; weights, gradients and the optimiser's memory stay as they are.

    bfloat16 where a GPU has units for it: it has the range of float32, so no loss needs to be scaled. Else float32: a
    GPU that only imitates bfloat16 is slower with it, and so are most CPUs.
    """
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32


def autocast_for(device: torch.device) -> AbstractContextManager[object]:
    """The context for a loss and the forward passes that lead to it; without effect where they are float32."""
    dtype = training_dtype(device)
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)
