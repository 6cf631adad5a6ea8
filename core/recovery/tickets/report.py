"""What a lottery-ticket experiment found, and whether that is a winning ticket. Plain values; no torch."""

import base64
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from scipy.special import stdtr, stdtrit

from core.bounded import read_text
from core.errors import SecateurError
from core.sensitivity.report import Estimate
from core.shown import Shown
from core.workload.scale import Scale

Variant = Literal["dense", "ticket", "reinitialised", "random_mask"]
VARIANTS: tuple[Variant, ...] = ("ticket", "reinitialised", "random_mask")
LEVEL = 0.975  # of probability below the upper end of a two-sided 95 % interval
ROUNDING = 1e-9  # of the differences; seeds that are apart by less are equal but for rounding


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
            found = cls(**json.loads(read_text(path, "the training")))
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
    def chance(self) -> float:
        """Largest probability of such differences if this were no winning ticket; in [0, 1].

        It has to be not worse than the dense model and better than both controls, so the least sure of the three
        one-sided claims decides (intersection-union test: Berger 1982, Technometrics 24:295).
        """
        claims = (self.over_dense, -self.tolerance), (self.over_reinitialised, 0.0), (self.over_random_mask, 0.0)
        return max(chance_above(found, least) for found, least in claims)


def over_seeds(differences: Sequence[float]) -> Estimate:
    """Mean of paired differences with Student's 95 % interval over seeds; infinitely wide for a single one.

    Equal differences have no spread that Student's could go by: their interval is that of order statistics, from the
    smallest to the largest difference from six seeds on, and infinitely wide below, where it holds less than 95 %.
    """
    n = len(differences)
    mean = math.fsum(differences) / n
    deviation = math.sqrt(math.fsum((d - mean) ** 2 for d in differences) / max(1, n - 1))
    if deviation <= ROUNDING * max(abs(d) for d in differences):
        half = 0.0 if 0.5**n <= 1 - LEVEL else math.inf
    else:
        half = float(stdtrit(n - 1, LEVEL)) * deviation / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


def chance_above(found: Estimate, least: float) -> float:
    """Largest probability of differences as large as these if their mean were at most `least`; one-sided.

    Student's; for equal differences that of a sign test: every seed on the same side by chance.
    """
    half = found.high - found.value
    if math.isinf(half):
        return 1.0
    if half == 0:
        return 0.5**found.n if found.value > least else 1.0
    error = half / float(stdtrit(found.n - 1, LEVEL))
    return float(stdtr(found.n - 1, (least - found.value) / error))


@dataclass(frozen=True)
class TicketReport(Shown):
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

    def winning(self) -> tuple[TicketRow, ...]:
        """Rows that are winning tickets; of searches where there is none at most 2.5 % find one.

        Holm's correction over all rows (1979, Scandinavian Journal of Statistics 6:65): the surest must stand up to the
        number of them, the next to one less, until one does not. Of one row alone its intervals say the same.
        """
        rows = self.rows()  # all that were asked for: the first seed has every round before a second makes one sure
        surest = sorted(rows, key=lambda row: row.chance)
        won = takewhile(lambda at: at[1].chance * (len(rows) - at[0]) <= 1 - LEVEL, enumerate(surest))
        return tuple(sorted((row for _, row in won), key=lambda row: row.round))

    def verdict(self) -> str:
        """At which sparsities a winning ticket was found, or that none was; of how many that were looked at."""
        n = len(self.rows())
        if not n:
            return "Nothing can be said yet: no seed has a ticket and both controls."
        looked = f"{n} sparsities looked at, with Holm's correction for so many" if n > 1 else "1 sparsity looked at"
        won = [f"{100 * row.sparsity:.3g} %" for row in self.winning()]
        if won:
            return (
                f"Winning tickets at sparsities {', '.join(won)}: not worse than dense, better than both controls "
                f"(of {looked})."
            )
        return f"No winning ticket was found: of {looked}, none shows one; that does not show there is none."

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "TicketReport":
        """Reverse of `to_json`."""
        trained = tuple(Trained(**unit) for unit in fields["trained"])
        return cls(Scale.from_json(dict(fields["scale"])), trained, fields["tolerance"])
