"""A plan made better where it stands: what a little more and a little less of each cut does to the whole is measured.

A sweep measures cuts alone. In a plan of many, each costs more or less than alone: at 80 % sparsity often several times
as much. So around a plan every row is moved some levels down and up, alone, with all others as they are; the measured
differences replace the curves; the solver shifts the budget between the rows by no more than that; and the new plan is
taken if, measured, it does less harm. Local search on measured marginals, a trust region of levels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from core.plans.solver.knapsack import Row

REACH = 2  # levels that a row moves in a round at first
ROUNDS = 4

Levels = tuple[int, ...]
Measure = Callable[[Levels], float | None]  # joint harm; `None` if the model cannot run so
Choose = Callable[[Sequence[Row], Sequence[Sequence[int]]], Levels]  # least harm within the budget


@dataclass(frozen=True)
class Refined:
    """What came of it.

    Attributes:
        levels: of every row.
        harm: measured, of the whole plan.
        harms: measured, of the start and of each plan that was tried; the best so far is always kept.
        n_measured: plans that were measured, neighbours and all.
    """

    levels: Levels
    harm: float
    harms: tuple[float, ...]
    n_measured: int


def refine(
    costs: Sequence[Sequence[float]],
    start: Sequence[int],
    allowed: Sequence[Sequence[int]],
    choose: Choose,
    measure: Measure,
    rounds: int = ROUNDS,
    on_round: Callable[[int, float, Levels], None] = lambda done, harm, best: None,
) -> Refined | None:
    """Improve a choice of levels by measuring around it.

    Args:
        costs: of each row and level, additive.
        start: level of each row, within the budget.
        allowed: levels that each row may take, the start's among them.
        choose: given rows with measured harm at some levels, the levels of least harm within the budget.
        measure: of a choice of levels for all rows, always on the same examples.
        rounds: at most; a round whose plan is no better halves the reach, and at none it ends.
        on_round: told after each round, with the least harm so far and where that is.

    Returns:
        A choice that was measured to do no more harm than the start; `None` if the start cannot run.
    """
    n_measured = 0

    def measured(levels: Levels) -> float | None:
        nonlocal n_measured
        n_measured += 1
        return measure(levels)

    best = tuple(start)
    harm = measured(best)
    if harm is None:
        return None
    harms, reach = [harm], REACH
    for done in range(1, rounds + 1):
        rows, windows = _around(best, harm, reach, costs, allowed, measured)
        chosen = choose(rows, windows)
        found = harm if chosen == best else measured(chosen)
        harms.append(harm if found is None else found)
        if chosen != best and found is not None and found < harm:
            best, harm = chosen, found
        else:
            reach //= 2
        on_round(done, harm, best)
        if reach == 0:
            break
    return Refined(best, harm, tuple(harms), n_measured)


def _around(
    best: Levels,
    harm: float,
    reach: int,
    costs: Sequence[Sequence[float]],
    allowed: Sequence[Sequence[int]],
    measured: Measure,
) -> tuple[list[Row], list[Sequence[int]]]:
    """Rows whose harm is measured at both ends of their window and lies on lines between; and the windows."""
    rows: list[Row] = []
    windows: list[Sequence[int]] = []
    for i, (of_row, free) in enumerate(zip(costs, allowed, strict=True)):
        at = list(free).index(best[i])
        window = list(free)[max(0, at - reach) : at + reach + 1]
        points = {best[i]: harm}
        for level in {window[0], window[-1]} - {best[i]}:
            found = measured((*best[:i], level, *best[i + 1 :]))
            if found is not None:
                points[level] = found
        levels = sorted(points)
        window = [level for level in window if levels[0] <= level <= levels[-1]]
        rising = np.maximum.accumulate([points[level] for level in levels])  # less is never better by luck
        table = np.interp(range(len(of_row)), levels, rising - rising[0])
        rows.append(Row(str(i), tuple(table.tolist()), tuple(of_row)))
        windows.append(tuple(window))
    return rows, windows
