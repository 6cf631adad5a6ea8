"""The linear relaxation of a multiple-choice knapsack: hulls of the rows, and where the limit breaks them. No torch.

Source: Sinha & Zoltners 1979 (Operations Research 27, 503–515): of each row only the lower convex hull of its levels
can be in an optimum of the relaxation, and its steps are taken by efficiency until the limit is met.
"""

from dataclasses import dataclass
from functools import cached_property
from math import fsum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.intp]

ROUNDING = 1e-12  # of the largest sum of weights that there can be: what additions may be off by


@dataclass(frozen=True)
class Table:
    """What is chosen from: one level of each row.

    Attributes:
        values: (rows, levels), what is minimised; infinite where a row has no such level.
        weights: (rows, levels), what the limit is for.
    """

    values: Floats
    weights: Floats

    @cached_property
    def value(self) -> Floats:
        """Values above the least of each row, so that small differences of large numbers keep their digits."""
        return self.values - self.values.min(axis=1, keepdims=True)

    @cached_property
    def weight(self) -> Floats:
        """Weights above the least of each row."""
        return self.weights - self.weights.min(axis=1, keepdims=True)

    def room(self, limit: float) -> float:
        """What the limit leaves above the least weights; whole weights leave a multiple of what they have in common."""
        room = fsum((limit, *(-self.weights.min(axis=1)).tolist())) if abs(limit) < np.inf else limit
        finite = np.where(np.isfinite(self.weights), self.weights, 0.0)
        slack = ROUNDING * float(np.abs(finite).max(axis=1).sum())
        step = common_step(self.weight)
        if step and np.isfinite(room):
            return float(np.floor((room + min(slack, step / 4)) / step) * step)
        return room + slack


@dataclass(frozen=True)
class Relaxation:
    """The optimum of the relaxation, and the steps around it.

    Attributes:
        base: (rows,) level of each row before the step that the limit breaks.
        weight, value: of `base`, above the least weights and values.
        optimum: value of the relaxation; nothing within the limit is below it.
        price: what one more unit of room would save.
        rows, before, after: (steps,) the row that steps, from which level to which; most efficient first.
        heavier, saving: (steps,) the weight that is added and the value that is taken off, both above 0.
        n_taken: steps that `base` has taken.
    """

    base: Numbers
    weight: float
    value: float
    optimum: float
    price: float
    rows: Numbers
    before: Numbers
    after: Numbers
    heavier: Floats
    saving: Floats
    n_taken: int


def common_step(numbers: Floats) -> float:
    """The greatest common divisor of whole numbers >= 0; 0 where one is not whole or too large, or all are 0."""
    finite = numbers[np.isfinite(numbers)]
    if finite.max(initial=0.0) * len(numbers) >= 2**53 or (finite != np.floor(finite)).any():
        return 0.0
    return float(np.gcd.reduce(finite.astype(np.int64)))


def lightest(table: Table) -> Numbers:
    """Of each row the level of least weight; of several the one of least value, then the first."""
    return np.lexsort((table.values, table.weights), axis=1)[:, 0]


def relaxed(table: Table, room: float) -> Relaxation:
    """Solve the relaxation.

    Args:
        table: of at least one row.
        room: weight above the least, >= 0.
    """
    value, weight = table.value, table.weight
    rows, before, after = _hull_steps(value, weight)
    heavier = weight[rows, after] - weight[rows, before]
    saving = value[rows, before] - value[rows, after]
    # a stable order keeps the steps of one row in theirs, for each is less efficient than the one before
    order = np.argsort(-(saving / heavier), kind="stable")
    rows, before, after, heavier, saving = rows[order], before[order], after[order], heavier[order], saving[order]
    n_taken = int(np.searchsorted(np.cumsum(heavier), room, side="right"))
    base = lightest(table)
    base[rows[:n_taken]] = after[:n_taken]  # of several the last one stays
    index = np.arange(len(base))
    at_weight, at_value = fsum(weight[index, base].tolist()), fsum(value[index, base].tolist())
    price = float(saving[n_taken] / heavier[n_taken]) if n_taken < len(rows) else 0.0
    optimum = at_value - price * max(0.0, room - at_weight) if price else at_value
    return Relaxation(base, at_weight, at_value, optimum, price, rows, before, after, heavier, saving, n_taken)


def _hull_steps(value: Floats, weight: Floats) -> tuple[Numbers, Numbers, Numbers]:
    """Steps along the lower convex hull of every row: rows, levels before, levels after; light to heavy in each row."""
    n, width = value.shape
    every = np.arange(n)
    order = np.lexsort((value, weight), axis=1)
    sorted_value = np.take_along_axis(value, order, axis=1)
    least = np.minimum.accumulate(sorted_value, axis=1)
    good = np.ones((n, width), dtype=bool)  # not dominated: no lighter level is as good
    good[:, 1:] = sorted_value[:, 1:] < least[:, :-1]
    hull = np.zeros((n, width), dtype=np.intp)
    hull[:, 0] = order[:, 0]
    top = np.zeros(n, dtype=np.intp)
    for column in range(1, width):
        rows = every[good[:, column]]
        new = order[rows, column]
        todo, level = rows, new
        while len(todo):
            todo, level = todo[top[todo] > 0], level[top[todo] > 0]
            last, first = hull[todo, top[todo]], hull[todo, top[todo] - 1]
            from_first = (value[todo, first] - value[todo, last]) * (weight[todo, level] - weight[todo, first])
            whole = (value[todo, first] - value[todo, level]) * (weight[todo, last] - weight[todo, first])
            above = from_first <= whole
            todo, level = todo[above], level[above]
            top[todo] -= 1
        top[rows] += 1
        hull[rows, top[rows]] = new
    steps = np.arange(width - 1)[None, :] < top[:, None]
    rows, columns = np.nonzero(steps)
    return rows, hull[rows, columns], hull[rows, columns + 1]
