"""The least harm within a budget, also where costs do not add up: the solver's limit is moved until the plan fits."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from core.plans.solver.knapsack import Row, Solution, least_harm

STEPS = 12  # of moving the limit where costs do not add up; as many again while nothing fits
CLOSE = 0.002  # of the dense cost: a plan so little below its budget is on it
ROUNDING = 1e-9
Count = Callable[[Sequence[int]], float]


def least_harm_within(
    rows: Sequence[Row],
    budget: float,
    limit: float,
    dense: float,
    count: Count,
    allowed: Sequence[Sequence[int] | None] | None = None,
) -> Solution:
    """The choice of least harm that really costs at most a budget, or what comes nearest.

    The solver knows only costs that add up. A step moves its limit by what the choice is off, from what the choice
    costs where that is too much; a bisection where that leads out of the bracket. Where they add up exactly, the first
    step is the last.

    Args:
        rows: of harm and cost by level, as for `least_harm`.
        budget: the most that the whole may cost, as `count` does.
        limit: where to begin: the most that the rows' costs may add up to, as far as one can tell beforehand.
        dense: what the whole costs without a cut, above 0.
        count: what the whole really costs with one level of each row.
        allowed: of each row the levels that may be chosen, `None` for all.

    Returns:
        Feasible means within the budget as counted; proven is what the solver proved, as far as costs add up.
    """
    choices = allowed or [None] * len(rows)
    costs = [[row.cost[i] for i in at or range(len(row.cost))] for row, at in zip(rows, choices, strict=True)]
    least, most = sum(map(min, costs)), sum(map(max, costs))
    best: Solution | None = None
    low, high = least, most
    for step in range(2 * STEPS):
        solution = least_harm(rows, limit, allowed)
        off = budget - count(solution.levels)
        if off >= -ROUNDING * budget:
            if best is None or solution.harm <= best.harm:
                best = solution
            low = max(low, limit)
            # what is unused is what the solver could not use, and not what it counted twice
            if off - (limit - solution.cost) <= ROUNDING * dense or off <= CLOSE * dense or limit >= most:
                break
        else:
            # every limit down to what the choice costs gives the same choice again
            limit = min(limit, solution.cost)
            high = min(high, limit)
            if limit <= least:
                break
        if high - low <= ROUNDING * max(1.0, abs(high)) or (best is not None and step + 1 >= STEPS):
            break
        # with nothing found after so many steps, the bracket is halved until something is
        limit = limit + off if low < limit + off < high and step + 1 < STEPS else (low + high) / 2
    if best is not None:
        return replace(best, feasible=True)
    nearest = least_harm(rows, least, allowed)
    return replace(nearest, feasible=count(nearest.levels) <= budget * (1 + ROUNDING))
