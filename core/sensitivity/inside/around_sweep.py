"""Measuring neighbours of a plan, and comparing each with the plan itself on the same examples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.errors import SecateurError
from core.plans.plan import SparsityPlan
from core.sensitivity.inside.around import AroundMeasurement
from core.sensitivity.inside.report import Moved
from core.sensitivity.joint_sweep import JointSweep, PairNews
from core.sensitivity.measuring.outcome import Outcome
from core.sensitivity.report import Estimate, Stage
from core.sensitivity.search.curtailment import look
from core.sensitivity.statistics.anytime import anytime_drop, has_anytime
from core.sensitivity.statistics.bootstrap import UndefinedMetricError
from core.sensitivity.statistics.intervals import drop_estimate

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Race:
    """Neighbours are measured until they are decided, or their intervals are as narrow as `width` (metric's unit)."""

    width: float | None = None


@dataclass(frozen=True)
class _Stop:
    """Where a race left a neighbour: after so many batches, and whether all would show that less cut is better."""

    batches: int
    gains: bool | None


class AroundSweep(JointSweep):
    """A plan and neighbours of it on their way from waiting to measured.

    Every one is measured from the dense weights and kept under its own key, as any plan is: what was measured of it
    before is read back, a run that was killed goes on, and one of all examples begins with what a race has measured.

    Args:
        measurement: entered; it was told the plan (`AroundMeasurement.around`).
        plan: with at least one row.
        others: the neighbours; one may be empty, the dense model.
        replay: compute of a neighbour only what differs from the plan; `None`: if that pays.
        on_news: called about twice a second.
        race: stop neighbours of which enough is known; the plan itself is measured on all examples. A metric of the
            whole set, which has no confidence sequence, is raced by nobody.
    """

    def __init__(
        self,
        measurement: AroundMeasurement,
        plan: SparsityPlan,
        others: Sequence[SparsityPlan],
        replay: bool | None,
        on_news: Callable[[PairNews], None],
        race: Race | None = None,
    ) -> None:
        self._plans = (plan, *(other for other in dict.fromkeys(others) if other.cuts and other != plan))
        self._at = {other: p for p, other in enumerate(self._plans)}
        self._around, self._if_it_pays = measurement, replay is None
        self._scale = measurement.workload.metric.scale
        self._race = race if has_anytime(self._scale) else None
        self._stops: dict[int, _Stop] = {}
        self._n_through = 0
        super().__init__(measurement, [""] * len(self._plans), self._plans, [], bool(replay), on_news)

    def run(self) -> None:
        """As `JointSweep.run`."""
        n = len(self._measurement.batches)
        if self._if_it_pays:
            missing = [plan for plan, found in zip(self._plans, self._found, strict=True) if len(found) < n]
            self._replay = self._around.replay_pays(missing)
        super().run()

    def take(self, others: Sequence[SparsityPlan]) -> None:
        """Measure these neighbours alone, and the plan that they are held against."""
        self.only({0, *(self._at[other] for other in others if other in self._at)})

    @property
    def n_decided(self) -> int:
        """Neighbours that the race has left."""
        return len(self._stops)

    def plan(self) -> Estimate:
        """The drop of the plan; everything has been measured.

        Raises:
            SecateurError: it cannot be measured, so nothing can be set beside it.
        """
        outcome = self._outcome(0)
        if outcome.drop is None:
            raise SecateurError(f"the plan could not be measured, so no row can be set beside it: {outcome.reason}")
        return outcome.drop

    def plan_so_far(self) -> Estimate | None:
        """The drop of the plan on the batches that are through, with an interval that holds at every moment."""
        if self._failure(0) is not None or self._n < 2:
            return None
        dense, weights = self._measurement.dense_scores(range(self._n_through))
        try:
            return anytime_drop(self._scale, dense, self._first(0, self._n_through), weights)
        except UndefinedMetricError:  # of so few examples
            return None

    def moved(self, other: SparsityPlan, less: bool) -> Moved:
        """A neighbour beside the plan, once everything has been measured.

        Args:
            other: one of those that were given.
            less: whether it cuts less than the plan; else it cuts more.
        """
        p = self._at.get(other)
        if p is None:
            return self._beside(None, less, len(self._measurement.batches), "full")
        if (reason := self._failure(p)) is not None:
            return Moved("failed", reason=reason)
        if len(self._found[p]) == len(self._measurement.batches):
            return self._beside(p, less, len(self._found[p]), "full")
        stop = self._stops[p]
        return replace(self._beside(p, less, stop.batches, "decided"), gains=stop.gains)

    def so_far(self, other: SparsityPlan, less: bool) -> Moved:
        """As `moved`, while the others are still measured: of the batches that are through."""
        p, n = self._at.get(other), self._n_through
        reason = None if p is None else self._failure(p)
        if reason is not None:
            return Moved("failed", reason=reason)
        if self._failure(0) is not None or self._n < 2:
            return Moved()
        if p in self._stops:
            return replace(self._beside(p, less, self._stops[p].batches, "decided"), gains=self._stops[p].gains)
        found = self._beside(p, less, n, "open" if n < len(self._measurement.batches) else "full")
        return Moved() if found.state == "failed" else found  # of so few examples

    def gains(self, others: Sequence[SparsityPlan]) -> Scores | None:
        """Of neighbours that cut less what each gains, an example at a time, (neighbours, n); all has been measured.

        `None` where a race has left one, and of metrics that are not the mean of equal examples.
        """
        n = len(self._measurement.batches)
        dense, weights = self._measurement.dense_scores(range(n))
        at = [self._at.get(other) for other in others]
        if self._scale.aggregate != "mean" or weights is not None:
            return None
        if any(p is not None and (self._failure(p) is not None or len(self._found[p]) < n) for p in at):
            return None
        sign = 1.0 if self._scale.higher_is_better else -1.0
        ours = self._first(0, n)
        return np.stack([sign * ((dense if p is None else self._first(p, n)) - ours) for p in at])

    def _is_wanted(self, p: int) -> bool:
        return p not in self._stops

    def _through(self, i: int) -> None:
        self._n_through = i + 1
        n_batches = len(self._measurement.batches)
        if self._race is None or self._n < 2 or self._n_through == n_batches or self._failure(0) is not None:
            return
        for p in range(1, len(self._plans)):
            is_known = len(self._found[p]) == n_batches  # costs nothing, and says more
            is_mine = self._mine is None or p in self._mine
            if p in self._stops or is_known or not is_mine or self._failure(p) is not None:
                continue
            stop = self._stop(p)
            if stop is not None:
                self._stops[p] = stop

    def _stop(self, p: int) -> _Stop | None:
        """Whether a neighbour needs no more: all examples could not change what is said of it, or it is narrow."""
        assert self._race is not None
        n = self._n_through
        _, weights = self._measurement.dense_scores(range(n))
        ours, theirs = self._first(0, n), self._first(p, n)
        # The question is the same of all neighbours: is the one with less cut surely better? It is so if the drop from
        # the one that cuts more to it is surely not above 0.
        more, less = (ours, theirs) if self._cuts_less(p) else (theirs, ours)
        try:
            verdict = look(self._scale, more, less, weights, self._measurement.batches.n, 0.0).verdict
            change = anytime_drop(self._scale, less, more, weights)
        except UndefinedMetricError:
            return None
        if verdict is not None:
            return _Stop(n, verdict == "within")
        is_narrow = self._race.width is not None and change.high - change.low <= self._race.width
        return _Stop(n, None) if is_narrow else None

    def _cuts_less(self, p: int) -> bool:
        return set(self._plans[p].cuts) <= set(self._plans[0].cuts)

    def _beside(self, p: int | None, less: bool, n: int, stage: Stage) -> Moved:
        """A neighbour beside the plan on the first `n` batches; `None` is the dense model."""
        dense, weights = self._measurement.dense_scores(range(n))
        ours = self._first(0, n)
        theirs = dense if p is None else self._first(p, n)
        estimate = drop_estimate if stage == "full" else anytime_drop
        try:
            drop = estimate(self._scale, dense, theirs, weights)
            if p is not None and stage == "full":
                outcome = self._outcome(p)
                if outcome.drop is None:
                    return Moved("failed", reason=outcome.reason)
                drop = outcome.drop
            change = estimate(self._scale, *((theirs, ours) if less else (ours, theirs)), weights)
        except UndefinedMetricError as error:
            return Moved("failed", reason=str(error))
        if stage == "full" and self._is_same(p):
            return Moved("no effect", change, drop, f"every example scores as in the plan, n = {change.n:,}")
        return Moved("measured", change, drop, stage=stage)

    def _outcome(self, p: int) -> Outcome:
        reason = self._failure(p)
        return Outcome("failed", None, None, reason, False) if reason is not None else self.outcome(p)

    def _first(self, p: int, n: int) -> Scores:
        """Scores of a plan on the first batches, (examples,)."""
        found = self._found[p]
        return np.concatenate([found[i].scores for i in range(n)]).astype(np.float64)

    def _is_same(self, p: int | None) -> bool:
        """Whether every example scores and loses as in the plan. Scores alone may agree by luck: they are 0 or 1."""
        if p is None:
            return not any(evidence.changed for evidence in self._found[0].values())
        for i, ours in self._found[0].items():
            theirs = self._found[p][i]
            if ours.losses is None or theirs.losses is None or not np.array_equal(ours.losses, theirs.losses):
                return False
            if not np.array_equal(ours.scores, theirs.scores):
                return False
        return True
