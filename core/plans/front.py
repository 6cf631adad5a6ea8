"""Which plans are worth a look, when cheaper and better is asked for at once. No torch."""

import math
from collections.abc import Sequence


def front(points: Sequence[tuple[float | None, float | None]]) -> tuple[int, ...]:
    """Pareto front of (cost, drop) points: those to which no other is preferable. Lower is better of both.

    A point is dominated by one that is no worse in either number and better in at least one; equal points do not
    dominate each other, and are on the front together or not at all.

    Args:
        points: in any order. One with `None` or NaN was not measured in that respect, and is not on the front.

    Returns:
        Positions in `points`, by ascending cost and so by descending drop, equal points in the order given.

    Source: Pareto dominance; the sweep by sorted cost is Kung et al. 1975, doi:10.1145/321906.321910.
    """
    known = [
        (cost, drop, position)
        for position, (cost, drop) in enumerate(points)
        if cost is not None and drop is not None and not math.isnan(cost) and not math.isnan(drop)
    ]
    found: list[int] = []
    best: tuple[float, float] | None = None  # the last on the front
    for cost, drop, position in sorted(known):
        if best is None or drop < best[1] or (cost, drop) == best:
            found.append(position)
            best = cost, drop
    return tuple(found)
