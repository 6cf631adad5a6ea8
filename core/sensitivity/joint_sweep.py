"""Measuring plans alone and two of them at once, from the dense weights: what `pair_sweep` and quantization share."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.plans.plan import SparsityPlan
from core.sensitivity.measuring.cost import FEW_PLANS
from core.sensitivity.measuring.ledger import Ledger
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.outcome import Outcome
from core.sensitivity.report import Estimate, State
from core.sensitivity.statistics.bootstrap import UndefinedMetricError
from core.sensitivity.statistics.interaction import additive_scale, excess, excess_estimate, interaction_estimate
from core.sensitivity.statistics.intervals import drop_estimate
from core.sensitivity.statistics.sound import not_finite_text, unchanged_text

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class PairNews:
    """How far it is.

    Attributes:
        done, reused, total: measurements of one plan on one batch, and how many of them were known before.
        n: examples that everything has been measured on.
    """

    done: int
    reused: int
    total: int
    n: int


@dataclass(frozen=True)
class Alone:
    """A plan alone, as in `PartResult`."""

    state: State
    drop: Estimate | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Joint:
    """Two plans at once, as in `PairResult`."""

    state: State
    joint: Estimate | None = None
    sum_alone: float | None = None
    interaction: Estimate | None = None
    reason: str | None = None


class JointSweep:
    """Plans alone and in twos on their way from waiting to measured.

    Batches are the outer loop, as in `Sweep`: all plans of a batch share what the dense model computes. What fails is
    not tried on the batches that follow, nor is anything that it is part of.

    Args:
        measurement: entered.
        names: of the plans that are measured alone.
        alone: these plans.
        pairs: which two of them are measured at once too, by position, and as which plan.
        replay: compute of a plan only what it changes.
        on_news: called about twice a second.

    Attributes:
        reused, total: as in `PairNews`.
    """

    def __init__(
        self,
        measurement: Measurement,
        names: Sequence[str],
        alone: Sequence[SparsityPlan],
        pairs: Sequence[tuple[int, int, SparsityPlan]],
        replay: bool,
        on_news: Callable[[PairNews], None],
    ) -> None:
        self._measurement, self._replay, self._on_news = measurement, replay, on_news
        self._names, self._n_alone = tuple(names), len(alone)
        self._parts: list[tuple[int, ...]] = [*((p,) for p in range(len(alone))), *((a, b) for a, b, _ in pairs)]
        self._ledger = Ledger(measurement, [*alone, *(plan for _, _, plan in pairs)])
        self._found, self._failed = self._ledger.known, self._ledger.failed  # what is found is known from then on
        reasons = measurement.cutting.prepare_cuts([cut for plan in alone for cut in plan.cuts])
        self._failed.update((p, reasons[cut]) for p, plan in enumerate(alone) for cut in plan.cuts if cut in reasons)
        self._done = self.reused = self._n = 0
        self._mine: frozenset[int] | None = None
        self.total = len(self._found) * len(measurement.batches)

    def only(self, positions: Iterable[int]) -> None:
        """Measure these plans alone, by position (those alone first, then the pairs): another machine has the others.

        Nothing comes of it but evidence: `is_measured` stays false.
        """
        self._mine = frozenset(positions)
        self.total = len(self._mine) * len(self._measurement.batches)

    def run(self) -> None:
        """Measure what is not known.

        Raises:
            SecateurError: the dense model cannot be measured.
            Cancelled: as the measurement's `check` says; what was measured before is on disk.
        """
        batches = self._measurement.batches
        n_missing = sum(len(found) < len(batches) for found in self._found)
        if self._replay and n_missing >= FEW_PLANS:
            self._measurement.replay()
        try:
            for i in range(len(batches)):
                self._measure(i)
                self._measurement.dense_evidence(i)
                self._n += batches.size(i)
                self._through(i)
                self._save()
        finally:
            self._save()

    def _measure(self, i: int) -> None:
        """Measure on one batch all plans that are not known there and of which no part has failed."""
        mine = range(len(self._found)) if self._mine is None else sorted(self._mine)
        known = sum(i in self._found[p] for p in mine)
        wanted = [p for p in mine if i not in self._found[p] and self._failure(p) is None and self._is_wanted(p)]
        self.reused += known
        self._done += len(mine) - len(wanted)
        for p, found in self._ledger.measure(i, wanted):
            if found is not None:
                self._found[p][i] = found
            self._done += 1
            if self._ledger.is_due:
                self._save()
        for p, by_batch in enumerate(self._found):
            if i in by_batch and (reason := not_finite_text(by_batch[i].scores)):
                self._failed.setdefault(p, reason)

    def _is_wanted(self, p: int) -> bool:
        """Whether a plan is measured on the next batch too; one that knows enough need not be."""
        return True

    def _through(self, i: int) -> None:
        """A batch is through."""

    def _failure(self, p: int) -> str | None:
        """Why a plan failed, or one of its parts alone."""
        if len(self._parts[p]) > 1:
            for part in self._parts[p]:
                if part in self._failed:
                    return f"{self._names[part]} alone: {self._failed[part]}"
        return self._failed.get(p)

    def _save(self) -> None:
        self._ledger.save()
        self._on_news(PairNews(self._done, self.reused, self.total, self._n))

    @property
    def is_measured(self) -> bool:
        """Whether everything is known on all batches, by this run."""
        return self._mine is None and self._n >= self._measurement.batches.n

    def results(self) -> tuple[list[Alone], list[Joint]]:
        """What came of each plan alone, and of each pair, in the additive scale; everything has been measured."""
        self._scale = additive_scale(self._measurement.workload.metric.scale)
        self._dense, self._weights = self._measurement.dense_scores(range(len(self._measurement.batches)))
        alone = [self._alone(p) for p in range(self._n_alone)]
        return alone, [self._joint(p, alone) for p in range(self._n_alone, len(self._found))]

    def outcome(self, p: int) -> Outcome:
        """Metric and drop of a plan in the metric's own scale, by position: those alone first, then the pairs."""
        return self._measurement.outcome(self._found[p])

    def mean(self, pairs: Sequence[int]) -> Estimate | None:
        """Of the interactions of pairs, by position among them; `None` for metrics of the set, and of no pair.

        Of one example's mean over pairs: pairs share their parts and their examples, and are not independent.
        """
        if self._scale.of_set or not pairs:
            return None
        found = sum(
            (excess(self._dense, *self._scores_of(self._n_alone + p)) for p in pairs), np.zeros_like(self._dense)
        )
        return excess_estimate(self._scale, found / len(pairs), self._weights)

    def _alone(self, p: int) -> Alone:
        reason = self._failure(p)
        if reason is not None:
            return Alone("failed", reason=reason)
        try:
            drop = drop_estimate(self._scale, self._dense, self._scores(p), self._weights)
        except UndefinedMetricError as error:
            self._failed[p] = str(error)
            return Alone("failed", reason=str(error))
        if not any(evidence.changed for evidence in self._found[p].values()):
            return Alone("no effect", drop, unchanged_text(drop.n))
        return Alone("measured", drop)

    def _joint(self, p: int, alone: Sequence[Alone]) -> Joint:
        reason = self._failure(p)
        if reason is not None:
            return Joint("failed", reason=reason)
        of_a, of_b, both = self._scores_of(p)
        a, b = (alone[part] for part in self._parts[p])
        assert a.drop is not None
        assert b.drop is not None
        sum_alone = a.drop.value + b.drop.value
        try:
            joint = drop_estimate(self._scale, self._dense, both, self._weights)
            interaction = interaction_estimate(self._scale, self._dense, of_a, of_b, both, self._weights)
        except UndefinedMetricError as error:
            return Joint("failed", reason=str(error))
        for part in self._parts[p]:
            if alone[part].state == "no effect":
                return Joint("no effect", joint, sum_alone, reason=f"{self._names[part]} alone: {alone[part].reason}")
        return Joint("measured", joint, sum_alone, interaction)

    def _scores_of(self, p: int) -> tuple[Scores, Scores, Scores]:
        """Of a pair: the first part alone, the second alone, both."""
        a, b = self._parts[p]
        return self._scores(a), self._scores(b), self._scores(p)

    def _scores(self, p: int) -> Scores:
        found = self._found[p]
        return np.concatenate([found[i].scores for i in range(len(found))]).astype(np.float64)
