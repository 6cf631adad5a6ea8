"""What a profile is asked to measure. No torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from core.errors import SecateurError
from core.plans.checked import checked_sparsity

ENGINE_NAMES = ("eager", "compile", "onnx")
FEWEST_ROUNDS = 6  # with 5 pairs the widest interval there is, from the least to the greatest, holds only 94 %


@dataclass(frozen=True)
class ProfileRequest:
    """How to time some models.

    Attributes:
        batch_sizes: examples per forward pass; each is a setting of its own.
        threads: that the engine may use within one operation; `None` stands for torch's default on this machine.
        engines: of `ENGINE_NAMES`. `"eager"`: torch as it is. `"compile"`: `torch.compile`. `"onnx"`: ONNX Runtime on
            the CPU.
        rounds: how often each model is timed at a setting; in every round each has one turn.
        seconds: of timing at one setting, after which no new round begins; `FEWEST_ROUNDS` are made in any case.
        savings: fractions in (0, 1) at which every target is cut alone to see what time that saves; empty: not asked.
        device: where torch runs, e.g. `"cpu"`, `"cuda"`.

    Raises:
        SecateurError: something of it makes no sense; the message says what to give instead.
    """

    batch_sizes: tuple[int, ...] = (1, 64)
    threads: tuple[int | None, ...] = (None,)
    engines: tuple[str, ...] = ("eager", "onnx")
    rounds: int = 30
    seconds: float = 30.0
    savings: tuple[float, ...] = ()
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, example in (("batch_sizes", "(1, 64)"), ("threads", "(1, 2)"), ("engines", "('eager', 'onnx')")):
            object.__setattr__(self, name, _several(name, getattr(self, name), example))
        for size in self.batch_sizes:
            _check_whole("a batch size", size, 1, "examples per forward pass")
        for n in self.threads:
            if n is not None:
                _check_whole("threads", n, 1, "or None for the default")
        for engine in self.engines:
            if engine not in ENGINE_NAMES:
                raise SecateurError(f"no engine {engine!r}; choose of {', '.join(ENGINE_NAMES)}")
        _check_whole("rounds", self.rounds, FEWEST_ROUNDS, "fewer make no 95 % interval")
        if not _is_number(self.seconds) or not 0 < self.seconds < math.inf:
            raise SecateurError(f"seconds must be a number above 0, the time for one setting; got {self.seconds!r}")
        given: Any = self.savings
        if isinstance(given, Real | str):
            raise SecateurError(f"savings must be several fractions such as (0.5, 0.9), got {given!r}")
        object.__setattr__(self, "savings", tuple(sorted({checked_sparsity(s) for s in given} - {0.0})))

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "ProfileRequest":
        """Inverse of `dataclasses.asdict` after a trip through JSON, where tuples become lists."""
        plain: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
        return cls(**plain)


def _several(name: str, given: Any, example: str) -> tuple[Any, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise SecateurError(f"{name} must be several values such as {example}, at least one; got {given!r}")
    return tuple(dict.fromkeys(given))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_whole(name: str, value: Any, least: int, why: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SecateurError(f"{name} must be a whole number of at least {least} ({why}); got {value!r}")
