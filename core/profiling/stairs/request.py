"""What is asked of a measuring of widths. No torch."""

from dataclasses import dataclass
from typing import Any

from core.errors import SecateurError
from core.profiling.pays.request import TIMED_NAMES, check_timed, check_turns


@dataclass(frozen=True)
class StairsRequest:
    """How milliseconds are measured against width.

    Attributes:
        engines: of `TIMED_NAMES`, in this order.
        threads: within one operation.
        batch: examples per forward pass.
        rounds: how often each model of a handful has its turn.
        seconds: of timing one handful, after which no new round begins; `FEWEST_ROUNDS` are made in any case.
        pythons: (engine, interpreter): where an engine that has an environment of its own is installed.

    Raises:
        SecateurError: something of it makes no sense; the message says what to give instead.
    """

    engines: tuple[str, ...] = ("onnx",)
    threads: int = 1
    batch: int = 1
    rounds: int = 20
    seconds: float = 30.0
    pythons: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.engines:
            raise SecateurError(f"no engine is named; choose of {', '.join(TIMED_NAMES)}")
        object.__setattr__(self, "engines", tuple(dict.fromkeys(self.engines)))
        for engine in (*self.engines, *(name for name, _ in self.pythons)):
            check_timed(engine)
        check_turns(self.threads, self.batch, self.rounds, self.seconds, "one handful")

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "StairsRequest":
        """Inverse of `dataclasses.asdict` after a trip through JSON, where tuples become lists."""
        pythons = tuple((name, path) for name, path in fields["pythons"])
        return cls(**{**fields, "engines": tuple(fields["engines"]), "pythons": pythons})
