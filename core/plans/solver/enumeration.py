"""The exact half of the solver: partial choices, grown row by row, the most undecided and heaviest first. No torch.

Every partial choice has the linear bound of the rows that are not decided, and one whole choice that rounds it down;
what cannot beat the best whole choice is dropped, and so is what another one dominates (lighter and better). Source:
Pisinger 1995, EJOR 83, 394–410; with the bound of the relaxation itself in place of the two best slopes.
"""

from dataclasses import dataclass, field
from time import monotonic

import numpy as np

from core.plans.solver.relaxation import Floats, Numbers, Relaxation, Table, common_step, lightest, relaxed

BEAMS = (1 << 10, 1 << 14, 1 << 18)  # partial choices kept: a narrow beam finds what lets the next one drop more
AT_ONCE = 1 << 19  # partial choices grown in one piece
FILL = 4096  # steps tried for a first choice
PRECISION = 1e-9  # of the objective above its least: differences that do not count


@dataclass(frozen=True)
class Choice:
    """A level of every row; `columns` of the table.

    Attributes:
        bound: nothing within the limit is below it, in the unit of `Table.values`.
        exact: `bound` is the objective of the choice itself, but for rounding.
        proven, feasible: as in `core.plans.solver.knapsack.Solution`.
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

    steps: Numbers
    n_taken: int
    weight: Floats  # (steps + 1,) after so many steps
    value: Floats
    slope: Floats  # (steps + 1,) of the next step; 0 behind the last


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
        r = self.relaxation
        self.best, self.columns = r.value, r.base
        self.step = common_step(self.table.value)
        value = self.table.value
        with np.errstate(invalid="ignore"):  # a level that is not there weighs infinitely much, and the price may be 0
            priced = np.where(np.isfinite(value), value + r.price * self.table.weight, np.inf)
        base = r.base[:, None]
        reduced = np.maximum(priced - np.take_along_axis(priced, base, axis=1), 0.0)
        np.put_along_axis(reduced, base, np.inf, axis=1)
        self.nearest = reduced.min(axis=1)  # of any level but the base
        np.put_along_axis(reduced, base, 0.0, axis=1)
        self.reduced = reduced  # what a level costs more than its row's best, at the price
        self.dearest = self._dearest()
        self._fill()

    def _dearest(self) -> Floats:
        """What it costs at least, at the price, to go some way along each step: less than that, and none of it matters.

        Not what its end costs: a level between the ends, on the hull's line or above it, may cost less.
        """
        r, weight = self.relaxation, self.table.weight
        levels, reduced = weight[r.rows], self.reduced[r.rows]
        beyond = np.where(levels > weight[r.rows, r.before][:, None], reduced, np.inf).min(axis=1)
        short = np.where(levels < weight[r.rows, r.after][:, None], reduced, np.inf).min(axis=1)
        return np.maximum(beyond, short)  # the base lies on one side and costs nothing

    @property
    def target(self) -> float:
        """What a choice has to be below to be worth finding."""
        if self.step:
            return self.best - self.step + max(1e-6 * self.step, 1e-12 * self.best)
        return self.best * (1 - PRECISION)

    @property
    def gap(self) -> float:
        """What a level may cost, at the price, and be in such a choice."""
        return self.target - self.relaxation.optimum

    def run(self, beam: int) -> float:
        """Enumerate with at most so many partial choices at a time; the least bound of what was not looked into."""
        order = self._order()
        undecided = np.zeros(len(self.nearest), dtype=bool)
        undecided[order] = True
        weights, values = np.array([self.relaxation.weight]), np.array([self.relaxation.value])
        trail: list[tuple[int, Numbers, Numbers]] = []  # of each row decided: parents, levels
        bounds = np.array([self.relaxation.optimum])
        lost, near, of_gap = np.inf, np.arange(len(self.relaxation.rows)), np.inf
        for row in order.tolist():
            gap = self.gap
            if not len(weights):
                return lost
            if self.nearest[row] >= gap:  # it stays at the base, and so do its steps
                undecided[row] = False
                continue
            if gap < of_gap / 2:
                near, of_gap = near[self.dearest[near] < gap], gap
            undecided[row] = False
            around = self._around(near[undecided[self.relaxation.rows[near]]])
            levels = np.flatnonzero(self.reduced[row] < gap)
            found = self._grown(row, levels, around, weights, values, trail)
            if self.is_late:
                return min(lost, float(bounds.min()))
            parents, columns, weights, values, bounds = found
            kept = _undominated(weights, values)
            if len(kept) > beam:
                by_bound = np.argpartition(bounds[kept], beam)
                lost = min(lost, float(bounds[kept[by_bound[beam]]]))
                kept = kept[np.sort(by_bound[:beam])]
            trail.append((row, parents[kept], columns[kept]))
            weights, values, bounds = weights[kept], values[kept], bounds[kept]
        return lost

    def _order(self) -> Numbers:
        """Undecided rows: those first that weigh much for how decided they are; light ones, last, fill any room.

        By reduced cost alone, as Pisinger has it, a thousand light rows come before the heavy ones that matter.
        """
        gap, weight = self.gap, self.table.weight
        rows = np.flatnonzero(self.nearest < gap)
        base = weight[rows, self.relaxation.base[rows]][:, None]
        heavier = np.where(self.reduced[rows] < gap, weight[rows], base) - base
        matters = np.abs(heavier).max(axis=1, initial=0.0) / (self.nearest[rows] + gap / 10)
        return rows[np.argsort(-matters, kind="stable")]

    def _around(self, steps: Numbers) -> _Around:
        r = self.relaxation
        n_taken = int(np.searchsorted(steps, r.n_taken))
        heavier, saving = r.heavier[steps], r.saving[steps]
        # summed outwards from the base, where sums are small
        weight, value, slope = (np.zeros(len(steps) + 1) for _ in range(3))
        np.cumsum(heavier[n_taken:], out=weight[n_taken + 1 :])
        np.cumsum(-saving[n_taken:], out=value[n_taken + 1 :])
        weight[:n_taken] = -np.cumsum(heavier[:n_taken][::-1])[::-1]
        value[:n_taken] = np.cumsum(saving[:n_taken][::-1])[::-1]
        np.divide(saving, heavier, out=slope[:-1])
        return _Around(steps, n_taken, weight, value, slope)

    def _grown(
        self,
        row: int,
        levels: Numbers,
        around: _Around,
        weights: Floats,
        values: Floats,
        trail: list[tuple[int, Numbers, Numbers]],
    ) -> tuple[Numbers, Numbers, Floats, Floats, Floats]:
        """Every partial choice with every level of a row: parents, levels, weights, values, bounds of the promising."""
        base = self.relaxation.base[row]
        heavier = self.table.weight[row, levels] - self.table.weight[row, base]
        dearer = self.table.value[row, levels] - self.table.value[row, base]
        grown = []
        at_once = max(1, AT_ONCE // len(weights))
        for start in range(0, len(levels), at_once):
            some = slice(start, start + at_once)
            weight = (heavier[some, None] + weights).ravel()
            value = (dearer[some, None] + values).ravel()
            room = self.room - weight
            n = np.searchsorted(around.weight, room, side="right") - 1  # steps that fit in the room that is left
            whole = value + around.value[n]
            whole[n < 0] = np.inf
            at = int(whole.argmin())
            if whole[at] < self.best:
                self.best = float(whole[at])
                parent = at % len(weights)
                self.columns = self._columns(around, int(n[at]), trail, parent)
                self.columns[row] = levels[start + at // len(weights)]
            bounds = whole - around.slope[n] * (room - around.weight[n])
            good = np.flatnonzero(bounds < self.target)
            parents, columns = good % len(weights), levels[start + good // len(weights)]
            grown.append((parents, columns, weight[good], value[good], bounds[good]))
            if monotonic() > self.until:
                self.is_late = True
                break
        parents, columns, weight, value, bounds = (np.concatenate(parts) for parts in zip(*grown, strict=True))
        return parents, columns, weight, value, bounds

    def _columns(self, around: _Around, n: int, trail: list[tuple[int, Numbers, Numbers]], parent: int) -> Numbers:
        """The whole choice that a partial one and so many steps of the undecided rows are."""
        r = self.relaxation
        columns = r.base.copy()
        more, fewer = around.steps[around.n_taken : n], around.steps[n : around.n_taken][::-1]
        columns[r.rows[more]] = r.after[more]
        columns[r.rows[fewer]] = r.before[fewer]
        for row, parents, levels in reversed(trail):
            columns[row] = levels[parent]
            parent = int(parents[parent])
        return columns

    def _fill(self) -> None:
        """A first good choice: after the step that does not fit, others that do, most efficient first."""
        r = self.relaxation
        room, columns, stopped = self.room - r.weight, r.base.copy(), set()
        near = np.flatnonzero(self.dearest[r.n_taken :] < r.value - r.optimum)[:FILL] + r.n_taken
        value = r.value
        for step, row, heavier, saving in zip(
            near.tolist(), r.rows[near].tolist(), r.heavier[near].tolist(), r.saving[near].tolist(), strict=True
        ):
            if heavier <= room and row not in stopped:
                room, value = room - heavier, value - saving
                columns[row] = r.after[step]
            else:
                stopped.add(row)
        self.best, self.columns = value, columns


def _undominated(weights: Floats, values: Floats) -> Numbers:
    """Positions of what no lighter or equal one is as good as, by weight; of equals the first."""
    order = np.argsort(weights, kind="stable")
    ordered = values[order]
    good = np.ones(len(order), dtype=bool)
    good[1:] = ordered[1:] < np.minimum.accumulate(ordered)[:-1]
    order = order[good]
    last = np.ones(len(order), dtype=bool)  # of several of one weight the best comes last
    last[:-1] = weights[order[1:]] != weights[order[:-1]]
    return order[last]
