"""Measuring neighbours of a plan, and comparing each with the plan itself on the same examples."""

from collections.abc import Callable, Sequence

import numpy as np

from core.errors import SecateurError
from core.plans.plan import SparsityPlan
from core.sensitivity.inside.around import AroundMeasurement
from core.sensitivity.inside.report import Moved
from core.sensitivity.joint_sweep import JointSweep, PairNews
from core.sensitivity.measuring.outcome import Outcome
from core.sensitivity.report import Estimate
from core.sensitivity.statistics.bootstrap import UndefinedMetricError
from core.sensitivity.statistics.intervals import drop_estimate


class AroundSweep(JointSweep):
    """A plan and neighbours of it on their way from waiting to measured.

    Every one is measured from the dense weights and kept under its own key, as any plan is: what was measured of it
    before is read back, and a run that was killed goes on.

    Args:
        measurement: entered; it was told the plan (`AroundMeasurement.around`).
        plan: with at least one row.
        others: the neighbours; one may be empty, the dense model.
        replay: compute of a neighbour only what differs from the plan; `None`: if that pays.
        on_news: called about twice a second.
    """

    def __init__(
        self,
        measurement: AroundMeasurement,
        plan: SparsityPlan,
        others: Sequence[SparsityPlan],
        replay: bool | None,
        on_news: Callable[[PairNews], None],
    ) -> None:
        self._plans = (plan, *(other for other in dict.fromkeys(others) if other.cuts and other != plan))
        self._at = {other: p for p, other in enumerate(self._plans)}
        self._around, self._if_it_pays = measurement, replay is None
        super().__init__(measurement, [""] * len(self._plans), self._plans, [], bool(replay), on_news)

    def run(self) -> None:
        """As `JointSweep.run`."""
        n = len(self._measurement.batches)
        if self._if_it_pays:
            missing = [plan for plan, found in zip(self._plans, self._found, strict=True) if len(found) < n]
            self._replay = self._around.replay_pays(missing)
        super().run()

    def plan(self) -> Estimate:
        """The drop of the plan; everything has been measured.

        Raises:
            SecateurError: it cannot be measured, so nothing can be set beside it.
        """
        self._scale = self._measurement.workload.metric.scale
        self._dense, self._weights = self._measurement.dense_scores(range(len(self._measurement.batches)))
        outcome = self._outcome(0)
        if outcome.drop is None:
            raise SecateurError(f"the plan could not be measured, so no row can be set beside it: {outcome.reason}")
        return outcome.drop

    def moved(self, other: SparsityPlan, less: bool) -> Moved:
        """A neighbour beside the plan, once `plan` was asked.

        Args:
            other: one of those that were given.
            less: whether it cuts less than the plan; else it cuts more.
        """
        p = self._at.get(other)
        drop: Estimate | None
        if p is None:  # the dense model
            theirs, drop = self._dense, drop_estimate(self._scale, self._dense, self._dense, self._weights)
            same = not any(evidence.changed for evidence in self._found[0].values())
        else:
            outcome = self._outcome(p)
            if outcome.drop is None:
                return Moved("failed", reason=outcome.reason)
            theirs, drop, same = self._scores(p), outcome.drop, self._is_same(p)
        ours = self._scores(0)
        try:
            change = drop_estimate(self._scale, *((theirs, ours) if less else (ours, theirs)), self._weights)
        except UndefinedMetricError as error:
            return Moved("failed", reason=str(error))
        if same:
            return Moved("no effect", change, drop, f"every example scores as in the plan, n = {change.n:,}")
        return Moved("measured", change, drop)

    def _outcome(self, p: int) -> Outcome:
        reason = self._failure(p)
        return Outcome("failed", None, None, reason, False) if reason is not None else self.outcome(p)

    def _is_same(self, p: int) -> bool:
        """Whether every example scores and loses as in the plan. Scores alone may agree by luck: they are 0 or 1."""
        for i, ours in self._found[0].items():
            theirs = self._found[p][i]
            if ours.losses is None or theirs.losses is None or not np.array_equal(ours.losses, theirs.losses):
                return False
            if not np.array_equal(ours.scores, theirs.scores):
                return False
        return True
