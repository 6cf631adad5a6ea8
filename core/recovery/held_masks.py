"""Masks that training cannot move: what was cut stays exactly zero, in weights, gradients and optimiser alike."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class HeldMasks:
    """Masks of a model's parameters, held through training.

    A mask on the weights alone is not enough: momentum from before a cut, weight decay and the running averages of
    AdamW would move what was cut at the next step.

    Args:
        model: that is trained; its cut entries are set to zero at once.
        masks: by state-dict name, shape of the parameter, True = kept.
    """

    def __init__(self, model: nn.Module, masks: Mapping[str, Tensor]) -> None:
        self._gone = [(model.get_parameter(name), ~mask) for name, mask in masks.items()]
        self.hold()

    @torch.no_grad()
    def hold_gradients(self) -> None:
        """After the backward pass, before gradients are clipped: what is gone has no part in their norm."""
        for parameter, gone in self._gone:
            if parameter.grad is not None:
                parameter.grad.masked_fill_(gone, 0.0)

    @torch.no_grad()
    def hold(self) -> None:
        """After every step: exact +0 where an entry is gone."""
        for parameter, gone in self._gone:
            parameter.masked_fill_(gone, 0.0)

    @torch.no_grad()
    def hold_state(self, optimiser: torch.optim.Optimizer) -> None:
        """After masks have grown: what the optimiser remembers of entries that are gone now is forgotten."""
        for parameter, gone in self._gone:
            for value in optimiser.state.get(parameter, {}).values():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    value.masked_fill_(gone, 0.0)

    def are_held(self) -> bool:
        """Whether every entry that is gone is exactly zero."""
        return all(not parameter.detach()[gone].count_nonzero() for parameter, gone in self._gone)
