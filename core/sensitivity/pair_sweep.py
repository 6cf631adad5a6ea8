"""Measuring pairs: every two of some cuts at once, and each alone, from the dense weights."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from core.plans.plan import Cut, SparsityPlan
from core.sensitivity.bootstrap import UndefinedMetricError
from core.sensitivity.evidence import BatchEvidence
from core.sensitivity.interaction import additive_scale, excess, excess_estimate, interaction_estimate
from core.sensitivity.intervals import drop_estimate
from core.sensitivity.measurement import Failure, Measurement
from core.sensitivity.pairs import PairResult, PairsRequest, PartResult, check_n_pairs
from core.sensitivity.report import Estimate
from core.sensitivity.sweep import FEW_CELLS, FLUSH_SECONDS, plan_cells
from core.workload.target import Target

Scores = NDArray[np.float64]


def pair_cuts(targets: Sequence[Target], request: PairsRequest) -> tuple[Cut, ...]:
    """The cuts whose pairs are measured, in network order; without those of which the criterion says nothing.

    Raises:
        SecateurError: no target matches, only one does, or they make too many pairs.
    """
    cuts = tuple(cell.cut for cell in plan_cells(targets, request.singles()) if cell.state != "failed")
    check_n_pairs(len(cuts), request.max_pairs)
    return cuts


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
class PairsFound:
    """What came of it, as in `PairsReport`."""

    parts: tuple[PartResult, ...]
    pairs: tuple[PairResult, ...]
    mean: Estimate | None


class PairSweep:
    """Cuts alone and in pairs on their way from waiting to measured.

    Batches are the outer loop, as in `Sweep`: all plans of a batch share what the dense model computes. What fails is
    not tried on the batches that follow, nor is any pair that it is part of.

    Args:
        measurement: entered.
        cuts: from `pair_cuts`.
        replay: compute of a plan only what it changes.
        on_news: called about twice a second.

    Attributes:
        reused, total: as in `PairNews`.
    """

    def __init__(
        self, measurement: Measurement, cuts: Sequence[Cut], replay: bool, on_news: Callable[[PairNews], None]
    ) -> None:
        self._measurement, self._replay, self._on_news = measurement, replay, on_news
        self._cuts = tuple(cuts)
        pairs = combinations(range(len(cuts)), 2)
        self._parts: list[tuple[int, ...]] = [*((p,) for p in range(len(cuts))), *pairs]  # cuts of each plan
        self._plans = [SparsityPlan(tuple(cuts[p] for p in parts)) for parts in self._parts]
        self._keys = [measurement.cell_key(plan) for plan in self._plans]
        self._found = [self._on_disk(key) for key in self._keys]
        reasons = measurement.prepare_cuts(cuts)
        self._failed: dict[int, str] = {p: reasons[cut] for p, cut in enumerate(cuts) if cut in reasons}
        self._unsaved: list[tuple[str, str, BatchEvidence]] = []
        self._done = self.reused = self._n = 0
        self.total = len(self._plans) * len(measurement.batches)
        self._saved_at = time.monotonic()

    def run(self) -> None:
        """Measure what is not known.

        Raises:
            SecateurError: the dense model cannot be measured.
            Cancelled: as the measurement's `check` says; what was measured before is on disk.
        """
        batches = self._measurement.batches
        n_missing = sum(len(found) < len(batches) for found in self._found)
        if self._replay and n_missing >= FEW_CELLS:
            self._measurement.replay()
        try:
            for i in range(len(batches)):
                self._measure(i)
                self._measurement.dense_evidence(i)
                self._n += batches.size(i)
                self._save()
        finally:
            self._save()

    def _measure(self, i: int) -> None:
        """Measure on one batch all plans that are not known there and whose cuts have not failed."""
        key = self._measurement.batches.keys[i]
        known = sum(i in found for found in self._found)
        wanted = [p for p, found in enumerate(self._found) if i not in found and self._failure(p) is None]
        self.reused += known
        self._done += len(self._plans) - len(wanted)
        task = (i, [(p, self._plans[p]) for p in wanted])
        for _, p, found in self._measurement.run([task] if wanted else []):
            if isinstance(found, Failure):
                self._failed[p] = found.reason
            else:
                self._found[p][i] = found
                self._unsaved.append((self._keys[p], key, found))
            self._done += 1
            if time.monotonic() - self._saved_at > FLUSH_SECONDS:
                self._save()
        for p, by_batch in enumerate(self._found):
            if i in by_batch and (n_bad := int((~np.isfinite(by_batch[i].scores)).sum())):
                self._failed.setdefault(p, f"{n_bad} of {len(by_batch[i].scores)} scores are NaN or infinite")

    def _failure(self, p: int) -> str | None:
        """Why a plan failed, or one of its cuts alone."""
        if len(self._parts[p]) > 1:
            for part in self._parts[p]:
                if part in self._failed:
                    return f"{self._cuts[part].target} alone: {self._failed[part]}"
        return self._failed.get(p)

    def _save(self) -> None:
        if self._unsaved and self._measurement.store:
            self._measurement.store.add_all(self._unsaved)
        self._unsaved.clear()
        self._saved_at = time.monotonic()
        self._on_news(PairNews(self._done, self.reused, self.total, self._n))

    def found(self) -> PairsFound:
        """Results of what has been measured on all batches; the rest waits."""
        n_batches = len(self._measurement.batches)
        if self._n < self._measurement.batches.n:
            parts = [PartResult(cut) for cut in self._cuts]
            return PairsFound(tuple(parts), tuple(PairResult(a, b) for a, b in combinations(self._cuts, 2)), None)
        self._scale = additive_scale(self._measurement.workload.metric.scale)
        self._dense, self._weights = self._measurement.dense_scores(range(n_batches))
        parts = [self._part(p) for p in range(len(self._cuts))]
        sums = np.zeros_like(self._dense)
        pairs = []
        for p in range(len(self._cuts), len(self._plans)):
            pairs.append(self._pair(p, parts))
            if pairs[-1].interaction is not None and not self._scale.of_set:
                sums += excess(self._dense, *self._scores_of(p))
        n_known = sum(pair.interaction is not None for pair in pairs)
        # of one example's mean over pairs: pairs share their cuts and their examples, and are not independent
        linear = n_known and not self._scale.of_set
        mean = excess_estimate(self._scale, sums / n_known, self._weights) if linear else None
        return PairsFound(tuple(parts), tuple(pairs), mean)

    def _part(self, p: int) -> PartResult:
        cut, reason = self._cuts[p], self._failure(p)
        if reason is not None:
            return PartResult(cut, "failed", reason=reason)
        try:
            drop = drop_estimate(self._scale, self._dense, self._scores(p), self._weights)
        except UndefinedMetricError as error:
            self._failed[p] = str(error)
            return PartResult(cut, "failed", reason=str(error))
        if not any(evidence.changed for evidence in self._found[p].values()):
            return PartResult(cut, "no effect", drop, f"no output changed on any of {drop.n} examples")
        return PartResult(cut, "measured", drop)

    def _pair(self, p: int, alone: Sequence[PartResult]) -> PairResult:
        a, b = (alone[part] for part in self._parts[p])
        reason = self._failure(p)
        if reason is not None:
            return PairResult(a.cut, b.cut, "failed", reason=reason)
        of_a, of_b, both = self._scores_of(p)
        assert a.drop is not None
        assert b.drop is not None
        sum_alone = a.drop.value + b.drop.value
        try:
            joint = drop_estimate(self._scale, self._dense, both, self._weights)
            interaction = interaction_estimate(self._scale, self._dense, of_a, of_b, both, self._weights)
        except UndefinedMetricError as error:
            return PairResult(a.cut, b.cut, "failed", reason=str(error))
        idle = next((part for part in (a, b) if part.state == "no effect"), None)
        if idle is not None:
            return PairResult(
                a.cut, b.cut, "no effect", joint, sum_alone, reason=f"{idle.cut.target} alone: {idle.reason}"
            )
        return PairResult(a.cut, b.cut, "measured", joint, sum_alone, interaction)

    def _scores_of(self, p: int) -> tuple[Scores, Scores, Scores]:
        """Of a pair: the first cut alone, the second alone, both."""
        a, b = self._parts[p]
        return self._scores(a), self._scores(b), self._scores(p)

    def _scores(self, p: int) -> Scores:
        found = self._found[p]
        return np.concatenate([found[i].scores for i in range(len(found))]).astype(np.float64)

    def _on_disk(self, key: str) -> dict[int, BatchEvidence]:
        store, keys = self._measurement.store, self._measurement.batches.keys
        known = store.read(key, keys) if store else {}
        return {i: known[batch] for i, batch in enumerate(keys) if batch in known}
