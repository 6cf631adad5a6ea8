"""Which level each target takes: the multiple-choice knapsack, solved exactly. No torch.

`relaxation` solves the linear relaxation on the convex hulls of the rows (Sinha & Zoltners 1979; Dyer 1984,
Zemel 1984); `enumeration` leaves out by reduced cost what cannot be in an optimum, and enumerates the rest
from the most undecided rows outwards, after Pisinger 1995 (EJOR 83, 394–410).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, isfinite, isnan

import numpy as np

from core.errors import SecateurError
from core.plans.solver.enumeration import Choice, cheapest
from core.plans.solver.relaxation import Table

TIME_LIMIT = 2.0  # seconds


@dataclass(frozen=True)
class Row:
    """One target, or several that are tied together, with the levels it may take.

    Attributes:
        name: for messages.
        harm: of each level, finite, additive over rows; below 0 where a cut helps. By custom level 0 is "not cut".
        cost: what is left at each level (non-zeros, FLOPs, bytes, milliseconds), finite, additive over rows.
    """

    name: str
    harm: tuple[float, ...]
    cost: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.harm or len(self.harm) != len(self.cost):
            raise SecateurError(
                f"{self.name} needs a harm and a cost for each level, at least one; "
                f"got {len(self.harm)} of harm and {len(self.cost)} of cost"
            )
        if not all(map(isfinite, (*self.harm, *self.cost))):
            raise SecateurError(
                f"harm and cost of {self.name} must be finite numbers; leave out levels that were not measured"
            )


@dataclass(frozen=True)
class Solution:
    """A level for every row.

    Attributes:
        levels: positions in `Row.harm`, one per row.
        harm, cost: their sums, rounded once.
        proven: no choice within the limit is better by more than a billionth of what the limit costs (the objective
            less the least it could be without the limit); of whole numbers, none is better at all.
        bound: nothing within the limit has a smaller objective (harm of `least_harm`, cost of `least_cost`).
        feasible: within the limit. If not, nothing is, and `levels` come nearest: the least cost that there is for
            `least_harm`, the least harm for `least_cost`.
    """

    levels: tuple[int, ...]
    harm: float
    cost: float
    proven: bool
    bound: float
    feasible: bool


def least_harm(
    rows: Sequence[Row],
    max_cost: float,
    allowed: Sequence[Sequence[int] | None] | None = None,
    time_limit: float = TIME_LIMIT,
) -> Solution:
    """The choice of least total harm whose total cost is at most `max_cost`.

    Args:
        rows: with their levels; none is the empty choice.
        max_cost: in the unit of the costs; exceeded by rounding errors at most (1e-12 of the sum of the largest costs).
        allowed: of each row the levels that may be chosen, `None` for all.
        time_limit: seconds after which the best choice so far is given, with its bound and `proven` False.

    Returns:
        The same for the same arguments, unless the time is up. Among equals the one that is found first.

    Raises:
        SecateurError: the limit is not a number, or a row has no level left or one that it has not.
    """
    return _solved(rows, max_cost, allowed, time_limit, by_harm=True)


def least_cost(
    rows: Sequence[Row],
    max_harm: float,
    allowed: Sequence[Sequence[int] | None] | None = None,
    time_limit: float = TIME_LIMIT,
) -> Solution:
    """The choice of least total cost whose total harm is at most `max_harm`; otherwise as `least_harm`."""
    return _solved(rows, max_harm, allowed, time_limit, by_harm=False)


def _solved(
    rows: Sequence[Row],
    limit: float,
    allowed: Sequence[Sequence[int] | None] | None,
    time_limit: float,
    by_harm: bool,
) -> Solution:
    if isnan(limit):
        raise SecateurError("the limit is not a number (NaN); give the most cost or harm that is accepted")
    if allowed is not None and len(allowed) != len(rows):
        raise SecateurError(f"allowed levels are for each of {len(rows)} rows; got {len(allowed)}")
    if not rows:
        feasible = limit >= 0
        return Solution((), 0.0, 0.0, True, 0.0, feasible)
    levels = _levels(rows, allowed)
    values, weights = (_padded(rows, levels, harm) for harm in (by_harm, not by_harm))
    found = cheapest(Table(values, weights), limit, time_limit)
    return _solution(rows, levels, found, by_harm)


def _levels(rows: Sequence[Row], allowed: Sequence[Sequence[int] | None] | None) -> list[Sequence[int]]:
    """Of each row the levels to choose from."""
    every = [range(len(row.harm)) for row in rows]
    if allowed is None:
        return list(every)
    for row, known, chosen in zip(rows, every, allowed, strict=True):
        if chosen is not None and (not chosen or not all(level in known for level in chosen)):
            raise SecateurError(
                f"{row.name} has levels 0 to {len(known) - 1}, and one of them at least must be allowed; "
                f"got {list(chosen)}"
            )
    return [known if chosen is None else chosen for known, chosen in zip(every, allowed, strict=True)]


def _padded(rows: Sequence[Row], levels: Sequence[Sequence[int]], harm: bool) -> np.ndarray:
    """(rows, most levels) float64; what a row has not is infinite."""
    table = np.full((len(rows), max(map(len, levels))), np.inf)
    for i, (row, chosen) in enumerate(zip(rows, levels, strict=True)):
        numbers = row.harm if harm else row.cost
        table[i, : len(chosen)] = numbers if isinstance(chosen, range) else [numbers[level] for level in chosen]
    return table


def _solution(rows: Sequence[Row], levels: Sequence[Sequence[int]], found: Choice, by_harm: bool) -> Solution:
    chosen = tuple(of[int(at)] for of, at in zip(levels, found.columns, strict=True))
    harm = fsum(row.harm[level] for row, level in zip(rows, chosen, strict=True))
    cost = fsum(row.cost[level] for row, level in zip(rows, chosen, strict=True))
    objective = harm if by_harm else cost
    bound = objective if found.exact else min(found.bound, objective)
    return Solution(chosen, harm, cost, found.proven, bound, found.feasible)
