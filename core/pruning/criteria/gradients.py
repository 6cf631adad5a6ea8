"""Losses, and parameters that ask for their gradients for a while."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from core.errors import SecateurError
from core.workload.examples import Examples

Loss = Callable[[Any, Tensor], Tensor]


def summed_loss(model: nn.Module, loss: Loss, batch: Examples, whose: str) -> Tensor:
    """Loss of a batch, summed over its examples.

    Raises:
        SecateurError: it is not one number per example, or no gradient comes through the model.
    """
    parameter = next(model.parameters())
    outputs = model(*(x.to(parameter.device) for x in batch.inputs))
    losses = loss(outputs, batch.labels.to(parameter.device))
    if losses.shape != (len(batch),):
        raise SecateurError(
            f"the loss of {whose} must be one number per example, shape ({len(batch)},), got {tuple(losses.shape)}"
        )
    if not losses.requires_grad:
        raise SecateurError("no gradient comes through the model: does its forward pass run under torch.no_grad?")
    return losses.sum()


@contextmanager
def requiring_gradients(parameters: Sequence[Tensor]) -> Iterator[None]:
    """Frozen parameters ask for gradients inside the block; a flag, and not a copy that some forward may overlook."""
    flags = [parameter.requires_grad for parameter in parameters]
    try:
        for parameter in parameters:
            parameter.requires_grad_(True)
        yield
    finally:
        for parameter, flag in zip(parameters, flags, strict=True):
            parameter.requires_grad_(flag)
