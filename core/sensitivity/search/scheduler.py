"""Which cells want which batch: a pure scheduler of a sweep. It sees scores, never a model.

Examples come in batches of a random order. Whoever measures asks `next`, tells what was found, and asks again; the
same evidence told in the same order leads to the same questions, so an interrupted search is resumed by telling it
again what is on disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from core.errors import SecateurError
from core.sensitivity.report import CellResult, Estimate
from core.sensitivity.search.bracket import Bracket, bracket
from core.sensitivity.search.calibrated import DOUBT, Forecasts
from core.sensitivity.search.census import LEVEL_AT_RANDOM, LEVEL_OF_ALL, LEVEL_OF_THE_REST, MISSED, Census
from core.sensitivity.search.curtailment import LEVEL, Look, Verdict, look
from core.sensitivity.search.held_scores import HeldScores
from core.sensitivity.statistics.anytime import ALPHA, anytime_drop, anytime_metric, has_anytime
from core.sensitivity.statistics.bootstrap import UndefinedMetricError
from core.sensitivity.statistics.intervals import Scores, drop_estimate, metric_estimate
from core.workload.scale import Scale

Mode = Literal["exact", "race", "tolerance"]
CellState = Literal["open", "finished", "stopped", "forecast", "early", "failed"]


@dataclass(frozen=True)
class Progress:
    """How far a cell is.

    Attributes:
        state: `"open"`: it wants its next batch. `"finished"`: all examples are in. `"stopped"`: some of them were
            enough. `"forecast"`: some of them, and a forecast of the others, were. `"early"`: the answer does not need
            it; what is known of it is little. `"failed"`: see `reason`.
        verdict: of all examples against the tolerance, where it is known.
        n: examples told.
        changed: whether any output differed from the dense model's.
        reason: of the failure.
    """

    state: CellState
    verdict: Verdict | None
    n: int
    changed: bool = False
    reason: str | None = None


@dataclass(frozen=True)
class Answer:
    """The most that a weight target can lose within the tolerance; what `largest_within` says of all examples.

    Attributes:
        sparsity: `None` if none of the grid is within.
        certain: whether the cells at the border are decided; else it is the best guess so far.
        monotone: no cell within tolerance was found above one beyond it.
        probes: cells of the target that needed more than the first batch.
        forecast: whether cells at the border were decided by forecasts.
    """

    sparsity: float | None
    certain: bool
    monotone: bool
    probes: int
    forecast: bool = False


@dataclass
class _Cell:
    batches: int = 0
    n: int = 0
    changed: bool = False
    seen: Look | None = None
    reason: str | None = None


class Search:
    """The state of a sweep that knows when to stop.

    Args:
        mode: `"exact"`: every cell on every batch. `"race"`: every cell until its anytime interval is as narrow as
            `width`, or it is decided against `tolerance`; whichever of the two is given. `"tolerance"`: the first
            batch for all cells, and then only what each target's largest sparsity within `tolerance` depends on.
        cells: from `plan_cells`.
        scale: of the metric.
        sizes: examples in each batch.
        tolerance, width: in the metric's unit.
        level: see `look`.
        census: of the examples in their order, for scores of 0 and 1; `None`: all of the order is random.
        margins: of the examples in their order, (n,), of an order from `interleaved`: cells are judged by forecasts
            then (`calibrated.py`), for as long as those stand an audit, and after that by the census.
        dense_is_best: as of `look`; not used with a census.

    Raises:
        SecateurError: the mode needs a tolerance (or a width) and got none.
    """

    def __init__(
        self,
        mode: Mode,
        cells: Sequence[CellResult],
        scale: Scale,
        sizes: Sequence[int],
        tolerance: float | None = None,
        width: float | None = None,
        level: float = LEVEL,
        census: Census | None = None,
        margins: Scores | None = None,
        dense_is_best: bool = False,
    ) -> None:
        if mode == "tolerance" and tolerance is None:
            raise SecateurError("a search for the most that is within tolerance needs a tolerance")
        if mode == "race" and tolerance is None and width is None:
            raise SecateurError("a race needs to know when a cell is done: give a width, a tolerance, or both")
        self._mode, self._scale, self._level, self._census = mode, scale, level, census
        self._dense_is_best = dense_is_best
        self.tolerance, self._width = tolerance, width
        self._missed = ALPHA if census is None else ALPHA - 2 * MISSED  # what is left for those at random
        self._dense: Scores = np.empty(0)
        self._weights: Scores | None = None
        self._ends = np.cumsum(sizes).tolist()
        self.forecasts: Forecasts | None = None
        self.is_forecasting = margins is not None
        if margins is not None:
            assert census is not None, "forecasts are given up for a census"
            self.forecasts = Forecasts(census, margins, self._ends, len(cells))
        self._scores = HeldScores(len(cells), self._ends[-1])
        self._plan = tuple(cells)
        self._cells = [_Cell() for _ in cells]
        self._curves: dict[str, list[int]] = {}
        for position in sorted(range(len(cells)), key=lambda p: cells[p].cut.sparsity or 0.0):
            if cells[position].cut.sparsity is not None:
                self._curves.setdefault(cells[position].cut.curve, []).append(position)
        self._at = 0
        self._open = set(range(len(cells)))
        self._heads = self._open - {position for grid in self._curves.values() for position in grid}

    def next(self) -> tuple[int, tuple[int, ...]] | None:
        """A batch, and the positions of all cells that want it; `None` when nothing is left to measure.

        Batches are gone through upwards again and again, each time by all cells that have come so far: every visit of
        a batch costs a dense pass over it, and a cell that is opened late shares its way with others opened since.
        """
        if not self._open:
            return None
        wanted = {self._cells[position].batches for position in self._open}
        batch = min((b for b in wanted if b >= self._at), default=min(wanted))
        return batch, tuple(sorted(p for p in self._open if self._cells[p].batches == batch))

    def tell_dense(self, scores: Scores, weights: Scores | None = None) -> None:
        """Scores of the dense model on its next batch, (n,), and the examples' weights; before a cell is told of it."""
        self._dense = np.concatenate([self._dense, scores])
        if weights is not None:
            self._weights = np.concatenate([np.empty(0) if self._weights is None else self._weights, weights])

    def tell(self, position: int, batch: int, scores: Scores, changed: bool) -> None:
        """Scores of a cell's next batch, (n,), finite; and whether any output differed from the dense model's."""
        self._at = batch
        cell = self._cells[position]
        assert batch == cell.batches, "a cell is told its batches in order, each once"
        self._scores.add(position, scores)
        cell.n += len(scores)
        cell.batches += 1
        assert cell.n == self._ends[batch]
        cell.changed |= changed
        if self.tolerance is not None and (self._mode != "exact" or self._complete(cell)):
            try:
                cell.seen = self._judged(position, self.tolerance)
            except UndefinedMetricError as error:  # on these examples; on all of them it is a failure
                cell.seen = Look(None, np.inf, 0.0, cell.n)
                cell.reason = str(error) if self._complete(cell) else None
        self._reconsider(position)
        if self.is_forecasting and self.forecasts is not None and not self.forecasts.hold:
            self._give_up_forecasts(self.tolerance)

    def _give_up_forecasts(self, tolerance: float | None) -> None:
        """Judge all cells again by what was read of them, and go on with those that are not decided then."""
        self.is_forecasting = False
        for position, cell in enumerate(self._cells):
            if cell.seen is not None and not self._complete(cell) and cell.reason is None and tolerance is not None:
                cell.seen = self._judged(position, tolerance)
        for position in range(len(self._cells)):
            if (self._mode != "tolerance" or position in self._heads) and not self._done(position):
                self._open.add(position)
            self._reconsider(position)

    def _judged(self, position: int, tolerance: float) -> Look:
        cell, census = self._cells[position], self._census
        dense, pruned, weights = self.evidence(position)
        if census is None or self._complete(cell):
            return look(
                self._scale, dense, pruned, weights, self._ends[-1], tolerance, self._level, self._dense_is_best
            )
        if self.is_forecasting and self.forecasts is not None:
            return self.forecasts.look(position, dense, pruned, tolerance)
        share = self._level / LEVEL
        if cell.n <= census.n_random:
            seen = look(self._scale, dense, pruned, weights, self._ends[-1], tolerance, LEVEL_AT_RANDOM * share)
            of_all = census.at_random.look(dense, pruned, tolerance, LEVEL_OF_ALL * share)
            return seen if seen.verdict else replace(seen, verdict=of_all.verdict)
        return census.look(dense, pruned, tolerance, LEVEL_OF_THE_REST * share)

    def fail(self, position: int, reason: str) -> None:
        """The cell cannot be measured; it wants nothing more, and counts as beyond every tolerance."""
        self._cells[position].reason = reason
        self._reconsider(position)

    def state(self, position: int) -> Progress:
        """How far a cell is."""
        cell = self._cells[position]
        verdict = cell.seen.verdict if cell.seen else None
        if cell.reason is not None:
            return Progress("failed", None, cell.n, cell.changed, cell.reason)
        if self._complete(cell):
            return Progress("finished", verdict, cell.n, cell.changed)
        if position in self._open:
            return Progress("open", verdict, cell.n, cell.changed)
        stopped: CellState = "forecast" if self.is_forecasting else "stopped"
        return Progress(stopped if self._done(position) else "early", verdict, cell.n, cell.changed)

    def drop(self, position: int) -> Estimate | None:
        """The cell's drop so far: on all examples with the fixed-n interval, before with one that holds at all n, or,
        while there are forecasts, as far as those do."""
        cell = self._cells[position]
        if cell.n < 2 or cell.reason is not None:
            return None
        if self.is_foreseen(position):
            assert self.forecasts is not None
            return self.forecasts.drop(position)
        if self._is_counted(cell):
            assert self._census is not None
            return self._census.drop(*self.evidence(position)[:2])
        if self._complete(cell):
            return drop_estimate(self._scale, *self.evidence(position))
        return anytime_drop(self._scale, *self.sample(position), self._missed)

    def metric(self, position: int) -> Estimate | None:
        """The cell's metric so far; as `drop`."""
        cell = self._cells[position]
        if cell.n < 2 or cell.reason is not None:
            return None
        if self.is_foreseen(position):
            assert self.forecasts is not None
            return self.forecasts.metric(self._scale, position)
        if self._is_counted(cell):
            assert self._census is not None
            return self._census.metric(self._scale, *self.evidence(position)[:2])
        _, scores, weights = self.sample(position)
        if self._complete(cell):
            return metric_estimate(self._scale, scores, weights)
        return anytime_metric(self._scale, scores, weights, self._missed)

    def evidence(self, position: int) -> tuple[Scores, Scores, Scores | None]:
        """Dense scores, the cell's scores and the weights of the examples told so far, each (n,)."""
        cell = self._cells[position]
        weights = None if self._weights is None else self._weights[: cell.n]
        return self._dense[: cell.n], self._scores.of(position), weights

    def sample(self, position: int) -> tuple[Scores, Scores, Scores | None]:
        """As `evidence`, of the examples that stand for all: those told so far, but for what a census chose."""
        dense, scores, weights = self.evidence(position)
        if self._census is None or self._complete(self._cells[position]):
            return dense, scores, weights
        n = self._census.n_random
        return dense[:n], scores[:n], None if weights is None else weights[:n]

    def is_foreseen(self, position: int) -> bool:
        """Whether what is known of a cell is forecast: of one that is not complete, while there are forecasts."""
        return self.is_forecasting and not self._complete(self._cells[position])

    def _is_counted(self, cell: _Cell) -> bool:
        """Whether what is known of a cell that is not complete is a census, with a sample of the rest."""
        return self._census is not None and not self._complete(cell) and cell.n > self._census.n_random

    def answers(self) -> dict[str, Answer]:
        """Per curve (`Cut.curve`), the largest sparsity within the tolerance; nothing without a tolerance."""
        return {} if self.tolerance is None else {curve: self._answer(curve) for curve in self._curves}

    def _answer(self, curve: str) -> Answer:
        grid = self._curves[curve]
        found = self._bracket(grid)
        # a cut of no effect is neutral: it neither ends the search nor is it an answer
        changed = [p for p in grid[: found.answer + 1] if self._cells[p].changed]
        return Answer(
            self._plan[changed[-1]].cut.sparsity if changed else None,
            found.certain,
            found.monotone,
            sum(self._cells[position].batches > 1 for position in grid),
            any(self.state(p).state == "forecast" for p in (*changed[-1:], *grid[max(0, found.answer) :][:2])),
        )

    def _reconsider(self, position: int) -> None:
        """Update the open cells after news of one; only its own curve can be touched."""
        if self._mode == "tolerance" and position not in self._heads:
            grid = self._curves[self._plan[position].cut.curve]
            self._open.difference_update(grid)
            self._open.update(self._wanted(grid))
        elif self._done(position):
            self._open.discard(position)

    def _wanted(self, grid: list[int]) -> list[int]:
        unseen = [p for p in grid if not self._cells[p].batches and self._cells[p].reason is None]
        if unseen:
            return unseen
        found = self._bracket(grid)
        return [grid[j] for j in found.wanted]

    def _bracket(self, grid: list[int]) -> Bracket:
        doubt = DOUBT if self.is_forecasting else 0.0
        return bracket([self._look(position) for position in grid], self.tolerance or 0.0, doubt)

    def _look(self, position: int) -> Look:
        cell = self._cells[position]
        if cell.reason is not None:
            return Look("beyond", np.inf, 0.0, cell.n)
        if self._complete(cell) and not cell.changed:  # of no effect: neutral
            return Look("within", -np.inf, 0.0, cell.n)
        return cell.seen or Look(None, np.inf, 0.0, 1)

    def _done(self, position: int) -> bool:
        cell = self._cells[position]
        if cell.reason is not None or self._complete(cell):
            return True
        if self._mode == "exact" or not has_anytime(self._scale) or not cell.batches:
            return False
        if cell.seen is not None and cell.seen.verdict is not None:
            return True
        return self._mode == "race" and self._width is not None and self._is_narrow(position, self._width)

    def _is_narrow(self, position: int, width: float) -> bool:
        drop = self.drop(position)
        return drop is not None and drop.high - drop.low <= width

    def _complete(self, cell: _Cell) -> bool:
        return cell.batches == len(self._ends)
