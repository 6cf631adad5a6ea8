"""A model that runs an exported program, operation by operation, and whose layers are modules again."""

import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

# A step is (name of its value, operation, arguments, keyword arguments, values that nobody needs after it). In
# arguments a list is a list, and a tuple says what stands there: ("value", name), ("tensor", path), ("torch", name).
Step = tuple[str, str, tuple[Any, ...], Mapping[str, Any], tuple[str, ...]]
LAYER = "layer "  # begins an operation that is a module of the model, and not one of torch


class Part(nn.Module):
    """A place in a program for the layers and tensors below it; what it did itself stands in the graph."""


class ProgramModel(nn.Module):
    """An exported program.

    Attributes:
        program_inputs: names of what it takes, in order.
        program_steps: what it does, as plain values, so that it is the same in every process.
        program_outputs: where its outputs come from.
        program_reasons: by the name of a parameter that is no layer's, why it is none; and of what else is not found.
    """

    def __init__(
        self, inputs: tuple[str, ...], steps: tuple[Step, ...], outputs: tuple[Any, ...], reasons: Mapping[str, str]
    ) -> None:
        """Without layers and tensors; these are put at their paths after."""
        super().__init__()
        self.program_inputs = inputs
        self.program_steps = steps
        self.program_outputs = outputs
        self.program_reasons = dict(reasons)

    def forward(self, *inputs: Tensor) -> Any:
        """The program's output; a tuple where it has several."""
        values: dict[str, Any] = dict(zip(self.program_inputs, inputs, strict=True))
        for name, operation, args, kwargs, done in self.program_steps:
            given = [self._of(value, values) for value in args]
            named = {key: self._of(value, values) for key, value in kwargs.items()}
            if operation.startswith(LAYER):
                values[name] = self.get_submodule(operation.removeprefix(LAYER))(*given)
            else:
                values[name] = operation_named(operation)(*given, **named)
            for gone in done:
                del values[gone]
        found = tuple(self._of(output, values) for output in self.program_outputs)
        return found[0] if len(found) == 1 else found

    def _of(self, value: Any, values: Mapping[str, Any]) -> Any:
        if isinstance(value, list):
            return [self._of(item, values) for item in value]
        if not isinstance(value, tuple):
            return value
        kind, name = value
        if kind == "value":
            return values[name]
        if kind == "torch":
            return getattr(torch, name)
        path, _, attribute = name.rpartition(".")
        return getattr(self.get_submodule(path), attribute)


@functools.cache
def operation_named(name: str) -> Callable[..., Any]:
    """`aten.add.Tensor`, or what Python does with whole numbers; only names that `archive` let through come here."""
    place, _, rest = name.partition(".")
    if place == "operator":
        return getattr(operator, rest)
    found: Any = {"torch": torch, "math": __import__("math")}.get(place)
    if found is None:
        found = getattr(torch.ops, place)
    for part in rest.split("."):
        found = getattr(found, part)
    return found
