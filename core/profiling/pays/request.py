"""What is asked of engines. No torch."""

import math
from dataclasses import dataclass
from typing import Any

from core.engines.adapters.needs import NOT_RUN
from core.errors import SecateurError
from core.profiling.request import FEWEST_ROUNDS

ENGINE_NAMES = ("eager", "compile", "sparse", "onnx", "openvino", "litert", "executorch", "ncnn", "coreml", "ethos-u")
TIMED_NAMES = tuple(name for name in ENGINE_NAMES if name not in NOT_RUN)


def check_timed(engine: Any) -> None:
    """Refuse what is no engine, or one that nothing here can time.

    Raises:
        SecateurError: says which engines can, or why this one cannot and what to do in its place.
    """
    if engine in NOT_RUN:
        raise SecateurError(
            f"nothing can be timed on {engine} here: {NOT_RUN[engine]}; `secateur pays` tells the bytes of its files, "
            "and --costs takes times that you measured on a device"
        )
    if engine not in ENGINE_NAMES:
        raise SecateurError(f"no engine {engine!r}; choose of {', '.join(TIMED_NAMES)}")


def check_turns(threads: Any, batch: Any, rounds: Any, seconds: Any, at_once: str) -> None:
    """How models have turns in an engine.

    Args:
        threads, batch, rounds, seconds: as `PaysRequest` has them.
        at_once: whose time the seconds are, in words.

    Raises:
        SecateurError: one of them makes no sense.
    """
    for what, value, least in (("threads", threads, 1), ("batch", batch, 1), ("rounds", rounds, FEWEST_ROUNDS)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise SecateurError(f"{what} must be a whole number of at least {least}; got {value!r}")
    if not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise SecateurError(f"seconds must be a number above 0, the time for {at_once}; got {seconds!r}")


@dataclass(frozen=True)
class PaysRequest:
    """How a plan's models are compared, engine by engine.

    Attributes:
        engines: of `ENGINE_NAMES`, in this order.
        threads: within one operation.
        batch: examples per forward pass.
        rounds: how often each model of an engine has its turn.
        seconds: of timing in one engine, after which no new round begins; `FEWEST_ROUNDS` are made in any case.
        pythons: (engine, interpreter): where an engine that has an environment of its own is installed.

    Raises:
        SecateurError: something of it makes no sense; the message says what to give instead.
    """

    engines: tuple[str, ...] = ENGINE_NAMES
    threads: int = 1
    batch: int = 1
    rounds: int = 20
    seconds: float = 30.0
    pythons: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.engines:
            raise SecateurError(f"no engine is named; choose of {', '.join(ENGINE_NAMES)}")
        object.__setattr__(self, "engines", tuple(dict.fromkeys(self.engines)))
        for engine in (*self.engines, *(name for name, _ in self.pythons)):
            if engine not in ENGINE_NAMES:
                raise SecateurError(f"no engine {engine!r}; choose of {', '.join(ENGINE_NAMES)}")
        check_turns(self.threads, self.batch, self.rounds, self.seconds, "one engine")

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "PaysRequest":
        """Inverse of `dataclasses.asdict` after a trip through JSON, where tuples become lists."""
        pythons = tuple((name, path) for name, path in fields["pythons"])
        return cls(**{**fields, "engines": tuple(fields["engines"]), "pythons": pythons})
