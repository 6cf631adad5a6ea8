"""What is asked of engines. No torch."""

import math
from dataclasses import dataclass
from typing import Any

from core.errors import SecateurError
from core.profiling.request import FEWEST_ROUNDS

ENGINE_NAMES = ("eager", "compile", "sparse", "onnx", "openvino", "litert", "executorch", "ncnn", "coreml", "ethos-u")
NEVER_RUN = ("coreml", "ethos-u")  # their files are written and not run here: bytes alone
TIMED_NAMES = tuple(name for name in ENGINE_NAMES if name not in NEVER_RUN)


def check_timed(engine: Any) -> None:
    """An engine that milliseconds can be measured in.

    Raises:
        SecateurError: there is no such engine, or its files are not run here.
    """
    if engine in NEVER_RUN:
        raise SecateurError(
            f"{engine} is not run here, so it has no milliseconds; choose of {', '.join(TIMED_NAMES)}, or give what "
            f"you measured on a device to --costs; its bytes are told by `secateur pays MODEL PLAN --engines {engine}`"
        )
    if engine not in ENGINE_NAMES:
        raise SecateurError(f"no engine {engine!r}; choose of {', '.join(TIMED_NAMES)}")


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
        for what, value, least in (
            ("threads", self.threads, 1), ("batch", self.batch, 1), ("rounds", self.rounds, FEWEST_ROUNDS),
        ):  # fmt: skip
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise SecateurError(f"{what} must be a whole number of at least {least}; got {value!r}")
        if not isinstance(self.seconds, int | float) or not 0 < self.seconds < math.inf:
            raise SecateurError(f"seconds must be a number above 0, the time for one engine; got {self.seconds!r}")

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "PaysRequest":
        """Inverse of `dataclasses.asdict` after a trip through JSON, where tuples become lists."""
        pythons = tuple((name, path) for name, path in fields["pythons"])
        return cls(**{**fields, "engines": tuple(fields["engines"]), "pythons": pythons})
