"""Masks that training cannot move: what was cut stays exactly zero, in weights, gradients and optimiser alike."""

import weakref
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

WHOLE = {  # whole numbers of as many bits
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
}


class HeldMasks:
    """Masks of a model's parameters, held through training.

    A mask on the weights alone is not enough: momentum from before a cut, weight decay and the running averages of
    AdamW would move what was cut at the next step.

    Args:
        model: that is trained; its cut entries are set to zero at once.
        masks: by state-dict name, shape of the parameter, True = kept.
    """

    def __init__(self, model: nn.Module, masks: Mapping[str, Tensor]) -> None:
        self._parameters = [model.get_parameter(name) for name in masks]
        self._bits = [-mask.to(torch.int8) for mask in masks.values()]  # all bits where an entry stays, none where not
        self._cleared: dict[int, tuple[weakref.ref[Tensor], int]] = {}  # gradients, and how often they were written to
        self.hold()

    @torch.no_grad()
    def hold_gradients(self) -> None:
        """After the backward pass, before gradients are clipped: what is gone has no part in their norm."""
        for at in range(len(self._parameters)):
            self._hold_gradient(at)

    def hook_gradients(self) -> list[RemovableHandle]:
        """The same after every backward pass by itself, until the handles are removed; frozen parameters have none."""
        return [
            parameter.register_post_accumulate_grad_hook(lambda _, at=at: self._hold_gradient(at))
            for at, parameter in enumerate(self._parameters)
            if parameter.requires_grad
        ]

    @torch.no_grad()
    def hold(self) -> None:
        """After every step: exact +0 where an entry is gone."""
        for at, parameter in enumerate(self._parameters):
            self._clear(parameter, at)

    @torch.no_grad()
    def hold_state(self, optimiser: torch.optim.Optimizer) -> None:
        """After masks have grown: what the optimiser remembers of entries that are gone now is forgotten."""
        for at, parameter in enumerate(self._parameters):
            for value in optimiser.state.get(parameter, {}).values():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    self._clear(value, at)

    def are_held(self) -> bool:
        """Whether every entry that is gone is exactly zero."""
        return all(
            not parameter.detach()[self._bits_for(parameter, at) == 0].count_nonzero()
            for at, parameter in enumerate(self._parameters)
        )

    def _hold_gradient(self, at: int) -> None:
        gradient = self._parameters[at].grad
        if gradient is None:
            return
        cleared, version = self._cleared.get(at, (None, None))
        if cleared is not None and cleared() is gradient and version == gradient._version:
            return  # nobody has written into it since
        self._clear(gradient, at)
        self._cleared[at] = weakref.ref(gradient), gradient._version

    @torch.no_grad()
    def _clear(self, tensor: Tensor, at: int) -> None:
        """Exact +0 where an entry is gone, whatever stood there; all others keep their bits."""
        bits = self._bits_for(tensor, at)
        whole = WHOLE.get(tensor.dtype)
        if whole is None:
            tensor.masked_fill_(bits == 0, 0.0)
        else:  # a third of the time of masked_fill_, which is much beside the step of a small model
            tensor.view(whole).bitwise_and_(bits)

    def _bits_for(self, tensor: Tensor, at: int) -> Tensor:
        """Where a tensor of a parameter's shape lies: a trainer may move the model after all."""
        if self._bits[at].device != tensor.device:
            self._bits[at] = self._bits[at].to(tensor.device)
        return self._bits[at]
