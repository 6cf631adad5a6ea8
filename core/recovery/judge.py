"""Judging a model that is pruned and trained: on the same examples always, paired with what drops are told from."""

import hashlib
from dataclasses import replace
from functools import cached_property

from torch import nn

from core.errors import SecateurError
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.model_measurement import MeasuredModel, measured_model, paired_drop
from core.sensitivity.measuring.outcome import Outcome
from core.sensitivity.report import Estimate
from core.sensitivity.statistics.bootstrap import UndefinedMetricError
from core.sensitivity.statistics.intervals import drop_estimate
from core.workload.identity.fingerprint import model_fingerprint


class Judge:
    """Drops are from the dense model; where a workload has a teacher, for it was made smaller, from that one.

    Args:
        measurement: entered; the model, and the examples to judge on.
        teacher: the model that drops are told from, frozen and where the model is; only read.
        choosing: so many of the examples, from the first on, a round may be chosen by; the others judge it. `None` for
            all of them.
    """

    def __init__(self, measurement: Measurement, teacher: nn.Module, choosing: int | None = None) -> None:
        self._measurement, self._teacher, self._choosing = measurement, teacher, choosing

    @cached_property
    def key(self) -> str:
        """Model, teacher if there is one, metric, and the examples that every row of the history is about."""
        teacher = self._measurement.workload.teacher
        parts = (
            self._measurement.dense_key,
            *self._measurement.batches.keys,
            *([] if teacher is None else [model_fingerprint(teacher)]),
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def baseline(self) -> Estimate:
        """The metric that drops are told from: the teacher's where the model was made smaller, else the model's own."""
        if self._before_cuts is None:
            return self._measurement.dense()
        found = self._before_cuts.outcome.metric
        if found is None:
            raise SecateurError(
                f"the dense model cannot be measured ({self._before_cuts.outcome.reason}), and drops are from it"
            )
        if self._measurement.workload.metric.against == "dense":  # it agrees with itself: nothing was sampled
            return Estimate(found.value, found.value, found.value, found.n)
        return found

    @cached_property
    def _before_cuts(self) -> MeasuredModel | None:
        """Of a workload with a teacher, that one on the evaluation examples."""
        if self._measurement.workload.teacher is None:
            return None
        return measured_model(self._measurement, self._teacher, self._teacher)

    def outcome(self, model: nn.Module) -> Outcome:
        """A copy of the model on the evaluation examples, with its drop from the baseline, paired."""
        return self.outcome_and_choice(model)[0]

    def outcome_and_choice(self, model: nn.Module) -> tuple[Outcome, Estimate | None]:
        """As `outcome`, and the drop on those examples alone that a round may be chosen by; `None` if that is all."""
        found = measured_model(self._measurement, model, self._teacher)
        if self._before_cuts is None:
            return found.outcome, self._choice(found)
        outcome = replace(found.outcome, drop=paired_drop(self._measurement, self._before_cuts, found))
        return outcome, self._choice(found)

    def _choice(self, found: MeasuredModel) -> Estimate | None:
        n = self._choosing
        if n is None or n >= self._measurement.batches.n or found.outcome.metric is None:
            return None
        before, weights = self._measurement.dense_scores(range(len(self._measurement.batches)))
        if self._before_cuts is not None:
            before = self._before_cuts.scores
        few = None if weights is None else weights[:n]
        try:
            return drop_estimate(self._measurement.workload.metric.scale, before[:n], found.scores[:n], few)
        except UndefinedMetricError:  # on all of them it is: of a class that the part has none of
            return None
