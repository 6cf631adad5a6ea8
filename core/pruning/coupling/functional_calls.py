"""Layers whose weight is handed to a function, and which are not called themselves."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class FunctionalCalls(TorchFunctionMode):
    """Calls of `F.linear` with the weight of a layer that is not called itself.

    Args:
        gives: what to give in place of the output, by identity of the weight.
        reads: whom to tell the input, by identity of the weight.
    """

    def __init__(self, gives: dict[int, Callable[[Tensor], Tensor]], reads: dict[int, Callable[[Tensor], None]]):
        super().__init__()
        self._gives, self._reads, self._inside = gives, reads, 0

    def enter(self, *_: Any) -> None:
        """A layer is called as a module, and hooks see to it."""
        self._inside += 1

    def leave(self, *_: Any) -> None:
        """It is done."""
        self._inside -= 1

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not F.linear or self._inside:
            return func(*args, **(kwargs or {}))
        named = {**dict(zip(("input", "weight", "bias"), args, strict=False)), **(kwargs or {})}
        weight = id(named.get("weight"))
        if read := self._reads.get(weight):
            read(named["input"])
        out = func(*args, **(kwargs or {}))
        give = self._gives.get(weight)
        return give(out) if give else out
