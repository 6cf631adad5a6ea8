"""Where a training stands after a step, so that another goes on from there as if it were the same one."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core.recovery.checkpoint import model_state, put_model_state


@dataclass(frozen=True)
class Moment:
    """A training between two steps; as copies.

    Attributes:
        step: how many steps were made.
        model: parameters and buffers, on the CPU.
        optimiser: what it remembers; `None` before the first step.
        random: state of torch's own generators, which dropout draws from; empty before the first step.
    """

    step: int
    model: dict[str, Tensor]
    optimiser: dict[str, Any] | None = None
    random: tuple[Tensor, ...] = ()

    @classmethod
    def now(cls, step: int, model: nn.Module, optimiser: torch.optim.Optimizer) -> "Moment":
        """To be called between two steps of a training."""
        device = next(model.parameters()).device
        random = [torch.get_rng_state()]
        if device.type == "cuda":
            random.append(torch.cuda.get_rng_state(device))
        return cls(step, model_state(model), copy.deepcopy(optimiser.state_dict()), tuple(random))

    def put(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Give a model its weights and a new optimiser of it its memory, into the same storage."""
        put_model_state(model, self.model)
        if self.optimiser is not None:
            optimiser.load_state_dict(copy.deepcopy(self.optimiser))  # which keeps tensors that fit, and steps on them

    def put_random(self, device: torch.device) -> None:
        """Let dropout draw on from there."""
        for state, place in zip(self.random, ("cpu", device), strict=False):
            if place == "cpu":
                torch.set_rng_state(state)
            else:
                torch.cuda.set_rng_state(state, device)
