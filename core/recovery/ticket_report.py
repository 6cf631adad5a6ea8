"""What a lottery-ticket experiment found, and whether that is a winning ticket. Plain values; no torch."""

import base64
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from scipy.special import stdtrit

from core.errors import SecateurError
from core.sensitivity.report import Estimate
from core.workload.scale import Scale

Variant = Literal["dense", "ticket", "reinitialised", "random_mask"]
VARIANTS: tuple[Variant, ...] = ("ticket", "reinitialised", "random_mask")


@dataclass(frozen=True)
class Trained:
    """One training: its seed, round, variant, sparsity and metric on `n` evaluation examples.

    `steps`: that were made in it; what is rewound to a step of the dense training makes those that follow.
    `next_mask`: packed mask of the next round, of a dense model and a ticket; else empty.
    """

    seed: int
    round: int
    variant: Variant
    sparsity: float
    metric: float
    n: int
    steps: int
    next_mask: str = ""

    @property
    def file_name(self) -> str:
        """In the folder of its experiment."""
        return f"{self.seed}-{self.round}-{self.variant}.json"

    @classmethod
    def read(cls, path: Path) -> "Trained":
        """Of its file.

        Raises:
            SecateurError: it is missing, damaged, or that of another training.
        """
        try:
            found = cls(**json.loads(path.read_bytes()))
            numbers = (found.seed, found.round, found.sparsity, found.metric, found.n, found.steps)
            if found.file_name != path.name or not all(isinstance(x, int | float) for x in numbers):
                raise ValueError("it is another training's")
            if found.variant in ("dense", "ticket"):
                zlib.decompress(base64.b64decode(found.next_mask, validate=True))
        except (OSError, ValueError, TypeError, RecursionError, zlib.error) as error:
            raise SecateurError(
                f"{path} is no training of a ticket experiment, or damaged ({error}); delete it, and it is done again"
            ) from error
        return found


@dataclass(frozen=True)
class TicketRow:
    """One sparsity. Each difference is paired by seed: how much better the ticket is, in the metric's unit.

    Its `n` counts seeds.
    """

    round: int
    sparsity: float
    ticket: float
    over_dense: Estimate
    over_reinitialised: Estimate
    over_random_mask: Estimate
    tolerance: float = 0.0

    @property
    def wins(self) -> bool:
        """Not worse than the dense model and better than both controls, each by its 95 % interval."""
        controls = min(self.over_reinitialised.low, self.over_random_mask.low)
        return controls > 0 and self.over_dense.low >= -self.tolerance


def over_seeds(differences: Sequence[float]) -> Estimate:
    """Mean of paired differences with Student's 95 % interval over seeds; infinitely wide for a single one."""
    n = len(differences)
    mean = math.fsum(differences) / n
    if n < 2:
        return Estimate(mean, -math.inf, math.inf, n)
    deviation = math.sqrt(math.fsum((d - mean) ** 2 for d in differences) / (n - 1))
    half = float(stdtrit(n - 1, 0.975)) * deviation / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


@dataclass(frozen=True)
class TicketReport:
    """All trainings.

    Attributes:
        scale: of the metric.
        trained: what was trained so far.
        tolerance: how much worse than dense still counts as not worse, in the metric's unit.
    """

    scale: Scale
    trained: tuple[Trained, ...]
    tolerance: float = 0.0

    def rows(self) -> tuple[TicketRow, ...]:
        """Sparsities of which at least one seed has all variants, over those seeds."""
        at = {(unit.seed, unit.round, unit.variant): unit for unit in self.trained}
        seeds = sorted({unit.seed for unit in self.trained})
        rows = []
        for number in sorted({unit.round for unit in self.trained} - {0}):
            whole = [
                s for s in seeds if (s, 0, "dense") in at and all((s, number, variant) in at for variant in VARIANTS)
            ]
            if not whole:
                continue
            tickets = [at[s, number, "ticket"] for s in whole]

            def over(variant: Variant, of: int, whole: list[int] = whole, number: int = number) -> Estimate:
                pairs = [(at[s, of, variant].metric, at[s, number, "ticket"].metric) for s in whole]
                return over_seeds([-self.scale.drop(other, ticket) for other, ticket in pairs])

            mean = math.fsum(unit.metric for unit in tickets) / len(tickets)
            controls = over("reinitialised", number), over("random_mask", number)
            rows.append(TicketRow(number, tickets[0].sparsity, mean, over("dense", 0), *controls, self.tolerance))
        return tuple(rows)

    def verdict(self) -> str:
        """At which sparsities a winning ticket was found, or that none was."""
        rows = self.rows()
        if not rows:
            return "Nothing can be said yet: no seed has a ticket and both controls."
        won = [f"{100 * row.sparsity:.3g} %" for row in rows if row.wins]
        if won:
            return f"Winning tickets at sparsities {', '.join(won)}: not worse than dense, better than both controls."
        return (
            "No winning ticket was found: at no sparsity do the intervals show one; that does not show there is none."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "TicketReport":
        """Reverse of `to_json`."""
        trained = tuple(Trained(**unit) for unit in fields["trained"])
        return cls(Scale.from_json(dict(fields["scale"])), trained, fields["tolerance"])
