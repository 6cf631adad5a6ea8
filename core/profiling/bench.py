"""Copies of some models on one device, and batches for them: what a profile works on, so that no model is touched."""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from core.engines.engine import Forward, reason_of, tensors_of
from core.errors import SecateurError
from core.workload.device import checked_device


class Bench:
    """Where models are measured.

    Args:
        variants: by name, the one that others are compared with first. Never changed: what runs is a copy of each, in
            evaluation mode on the device.
        inputs: examples, as the model's positional arguments; each (n, ...).
        device: e.g. `"cpu"`.
        check: called between passes; raises `Cancelled` to stop.
        tell: told how many steps are done, of how many, and what is being done.

    Attributes:
        models: the copies, by name.

    Raises:
        SecateurError: no model, no inputs, a model that cannot be copied, or no such device here.
    """

    def __init__(
        self,
        variants: Mapping[str, nn.Module],
        inputs: Sequence[Tensor],
        device: str,
        check: Callable[[], None],
        tell: Callable[[int, int, str], None],
    ) -> None:
        if not variants:
            raise SecateurError("nothing to profile: give at least one model, by name")
        if not inputs or not len(inputs[0]):
            raise SecateurError("profiling needs inputs: a tuple of tensors of at least one example each, got none")
        self.device = checked_device(device)
        self.check, self._tell, self._inputs = check, tell, tuple(inputs)
        self.done = self.total = 0
        self.models = {name: self.copy_of(model) for name, model in variants.items()}
        self.baseline = next(iter(self.models))

    def copy_of(self, model: nn.Module) -> nn.Module:
        """A copy in evaluation mode on the device."""
        try:
            return copy.deepcopy(model).to(self.device).eval()
        except Exception as error:
            raise SecateurError(
                f"the model cannot be copied ({reason_of(error)}), and a profile never runs the model itself; "
                "keep tensors with a history out of its attributes"
            ) from error

    def renewed(self, name: str, inputs: tuple[Tensor, ...]) -> Forward:
        """A forward pass of a fresh copy of one of the models, at another place in memory."""
        return partial(copy.deepcopy(self.models[name]), *inputs)

    def batch(self, size: int) -> tuple[Tensor, ...]:
        """The first `size` examples on the device; where there are fewer, they come again from the first on."""
        rows = torch.arange(size) % len(self._inputs[0])
        return tuple(x[rows].to(self.device) for x in self._inputs)

    def expected(self, name: str, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        """Outputs of a model as torch computes them.

        Raises:
            SecateurError: it fails on a batch of that size.
        """
        try:
            return tensors_of(self.models[name](*inputs))
        except Exception as error:
            raise SecateurError(
                f"the {name} model fails on a batch of {len(inputs[0])} ({reason_of(error)}); choose other batch sizes"
            ) from error

    def say(self, phase: str) -> None:
        """What is being done."""
        self._tell(self.done, self.total, phase)

    def stepping(self, steps: int, phase: str) -> Callable[[int], None]:
        """For work of that many steps: what is to be called with how many of them are done."""
        before = self.done

        def step(n: int) -> None:
            self.done = before + min(n, steps)
            self.say(phase)

        return step
