"""The exact half of the solver: partial choices, grown row by row from the most undecided one outwards. No torch.

Every partial choice has the linear bound of the rows that are not decided, and one whole choice that rounds it down; what
cannot beat the best whole choice is dropped, and so is what another one dominates (lighter and better). Source: Pisinger
1995, EJOR 83, 394–410; with the bound of the relaxation itself in place of the two best slopes.
"""

from dataclasses import dataclass, field
from time import monotonic

import numpy as np

from core.plans.relaxation import Floats, Numbers, Relaxation, Table, common_step, lightest, relaxed

BEAMS = (1 << 10, 1 << 14, 1 << 20)  # partial choices kept: a narrow beam finds what lets the next one drop more
PRECISION = 1e-9  # of the objective above its least: differences that do not count


@dataclass(frozen=True)
class Choice:
    """A level of every row; `columns` of the table.

    Attributes:
        bound: nothing within the limit is below it, in the unit of `Table.values`.
        exact: `bound` is the objective of the choice itself, but for rounding.
        proven, feasible: as in `core.plans.solver.Solution`.
    """

    columns: Numbers
    bound: float
    exact: bool
    proven: bool
    feasible: bool


def cheapest(table: Table, limit: float, time_limit: float) -> Choice:
    """The choice of least value whose weight is at most `limit`; the lightest of all if there is none."""
    least = float(table.values.min(axis=1).sum())
    room = table.room(limit)
    if room < 0:
        return Choice(lightest(table), least, False, True, False)
    relaxation = relaxed(table, room)
    search = _Search(table, relaxation, room, monotonic() + time_limit)
    for beam in BEAMS:
        lost = search.run(beam)
        if lost >= search.target or search.is_late:
            break
    proven = lost >= search.target
    exact = proven and (search.step > 0 or search.best == 0)
    bound = search.target if proven else max(lost, relaxation.optimum)
    return Choice(search.columns, least + bound, exact, proven, True)


@dataclass
class _Around:
    """Steps of the rows that are not decided yet, as sums away from the relaxation's base."""

    rows: Numbers
    before: Numbers
    after: Numbers
    n_taken: int
    weight: Floats  # (steps + 1,) after so many steps
    value: Floats
    slope: Floats  # (steps + 1,) of the next step; 0 behind the last

    def completions(self, room: Floats) -> Numbers:
        """How many steps are taken in the room that is left; -1 where not even none fit."""
        return np.searchsorted(self.weight, room, side="right") - 1


@dataclass
class _Search:
    table: Table
    relaxation: Relaxation
    room: float
    until: float
    is_late: bool = False
    best: float = field(init=False)
    columns: Numbers = field(init=False)
    step: float = field(init=False)

    def __post_init__(self) -> None:
        self.best, self.columns = self.relaxation.value, self.relaxation.base
        self.step = common_step(self.table.value)
        value, weight = self.table.value, self.table.weight
        with np.errstate(invalid="ignore"):  # a level that is not there weighs infinitely much, and the price may be 0
            priced = value + self.relaxation.price * weight
        priced = np.where(np.isfinite(value), priced, np.inf)
        at_base = np.take_along_axis(priced, self.relaxation.base[:, None], axis=1)
        self.reduced = np.maximum(priced - at_base, 0.0)  # what a level costs more than its row's best, at the price
        np.put_along_axis(self.reduced, self.relaxation.base[:, None], np.inf, axis=1)
        self.nearest = self.reduced.min(axis=1)  # of any level but the base
        np.put_along_axis(self.reduced, self.relaxation.base[:, None], 0.0, axis=1)

    @property
    def target(self) -> float:
        """What a choice has to be below to be worth finding."""
        if self.step:
            return self.best - self.step + max(1e-6 * self.step, 1e-12 * self.best)
        return self.best * (1 - PRECISION)

    def run(self, beam: int) -> float:
        """Enumerate with at most so many partial choices at a time; the least bound of what was not looked into."""
        gap = self.target - self.relaxation.optimum
        order = np.argsort(self.nearest, kind="stable")
        order = order[self.nearest[order] < gap]
        undecided = np.zeros(len(self.nearest), dtype=bool)
        undecided[order] = True
        weights, values = np.array([self.relaxation.weight]), np.array([self.relaxation.value])
        trail: list[tuple[int, Numbers, Numbers]] = []  # of each row decided: parents, levels
        self._consider(self._around(undecided), weights, values, trail)
        lost = np.inf
        for row in order.tolist():
            gap = self.target - self.relaxation.optimum
            if self.nearest[row] >= gap or not len(weights):
                return lost
            undecided[row] = False
            around = self._around(undecided)
            grown: list[tuple[Numbers, Numbers, Floats, Floats, Floats]] = []
            base = self.relaxation.base[row]
            for level in np.flatnonzero(self.reduced[row] < gap).tolist():
                heavier = weights + (self.table.weight[row, level] - self.table.weight[row, base])
                dearer = values + (self.table.value[row, level] - self.table.value[row, base])
                bounds = self._bounds(around, heavier, dearer)
                good = np.flatnonzero(bounds < self.target)
                grown.append((good, np.full(len(good), level), heavier[good], dearer[good], bounds[good]))
            parents, levels, heavier, dearer, bounds = (np.concatenate(parts) for parts in zip(*grown, strict=True))
            kept = _undominated(heavier, dearer)
            if len(kept) > beam:
                by_bound = np.argsort(bounds[kept], kind="stable")
                lost = min(lost, float(bounds[kept[by_bound[beam]]]))
                kept = kept[np.sort(by_bound[:beam])]
            trail.append((row, parents[kept], levels[kept]))
            weights, values = heavier[kept], dearer[kept]
            self._consider(around, weights, values, trail)
            if monotonic() > self.until:
                self.is_late = True
                return min(lost, float(bounds[kept].min(initial=np.inf)))
        return lost

    def _around(self, undecided: np.ndarray) -> _Around:
        r, gap = self.relaxation, self.target - self.relaxation.optimum
        near = undecided[r.rows]
        near &= (self.reduced[r.rows, r.before] < gap) & (self.reduced[r.rows, r.after] < gap)
        steps = np.flatnonzero(near)
        n_taken = int(np.searchsorted(steps, r.n_taken))
        heavier, saving = r.heavier[steps], r.saving[steps]
        # summed outwards from the base, where sums are small
        weight = np.concatenate([-np.cumsum(heavier[:n_taken][::-1])[::-1], [0.0], np.cumsum(heavier[n_taken:])])
        value = np.concatenate([np.cumsum(saving[:n_taken][::-1])[::-1], [0.0], -np.cumsum(saving[n_taken:])])
        slope = np.append(saving / heavier, 0.0)
        return _Around(r.rows[steps], r.before[steps], r.after[steps], n_taken, weight, value, slope)

    def _bounds(self, around: _Around, weights: Floats, values: Floats) -> Floats:
        room = self.room - weights
        n = around.completions(room)
        bounds = values + around.value[n] - around.slope[n] * (room - around.weight[n])
        return np.where(n < 0, np.inf, bounds)

    def _consider(
        self, around: _Around, weights: Floats, values: Floats, trail: list[tuple[int, Numbers, Numbers]]
    ) -> None:
        """Round every partial choice down to a whole one, and keep the best."""
        if not len(weights):
            return
        n = around.completions(self.room - weights)
        whole = np.where(n < 0, np.inf, values + around.value[n])
        at = int(whole.argmin())
        if whole[at] >= self.best:
            return
        self.best = float(whole[at])
        columns = self.relaxation.base.copy()
        steps = int(n[at])
        columns[around.rows[around.n_taken : steps]] = around.after[around.n_taken : steps]
        undone = slice(steps, around.n_taken)
        columns[around.rows[undone][::-1]] = around.before[undone][::-1]
        for row, parents, levels in reversed(trail):
            columns[row] = levels[at]
            at = int(parents[at])
        self.columns = columns


def _undominated(weights: Floats, values: Floats) -> Numbers:
    """Positions of what no lighter or equal one is as good as, by weight; of equals the first."""
    order = np.lexsort((values, weights))
    ordered = values[order]
    least = np.minimum.accumulate(ordered)
    good = np.ones(len(order), dtype=bool)
    good[1:] = ordered[1:] < least[:-1]
    return order[good]
