"""Masks that training cannot move: what was cut stays exactly zero, in weights, gradients and optimiser alike."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


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
        self._gone = [~mask for mask in masks.values()]
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
            not parameter.detach()[self._gone_from(parameter, at)].count_nonzero()
            for at, parameter in enumerate(self._parameters)
        )

    def _hold_gradient(self, at: int) -> None:
        gradient = self._parameters[at].grad
        if gradient is not None:
            self._clear(gradient, at)

    @torch.no_grad()
    def _clear(self, tensor: Tensor, at: int) -> None:
        tensor.masked_fill_(self._gone_from(tensor, at), 0.0)

    def _gone_from(self, tensor: Tensor, at: int) -> Tensor:
        """What is gone of a parameter, where a tensor of its shape lies: a trainer may move the model after all."""
        if self._gone[at].device != tensor.device:
            self._gone[at] = self._gone[at].to(tensor.device)
        return self._gone[at]
