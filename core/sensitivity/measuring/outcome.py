"""What a plan costs: plain values, judged from the scores of every example."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.sensitivity.evidence import BatchEvidence
from core.sensitivity.report import Estimate, State
from core.sensitivity.statistics.bootstrap import UndefinedMetricError
from core.sensitivity.statistics.intervals import drop_estimate, metric_estimate
from core.sensitivity.statistics.sound import not_finite_text, too_large_text, unchanged_text
from core.workload.scale import Scale


@dataclass(frozen=True)
class Outcome:
    """What a plan costs.

    Attributes:
        state: as in `CellResult`.
        metric, drop: `None` unless the state is measured or no effect.
        reason: of a failure or of no effect.
        reused: nothing had to be computed: all of it was on disk.
    """

    state: State
    metric: Estimate | None
    drop: Estimate | None
    reason: str | None
    reused: bool


@dataclass(frozen=True)
class Failure:
    """A cut with which the model cannot run."""

    reason: str


Found = BatchEvidence | Failure


def judged(
    scale: Scale,
    dense: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    evidence: Sequence[BatchEvidence],
    reused: bool,
) -> Outcome:
    """What evidence on some batches says.

    Args:
        scale: of the metric.
        dense, weights: of the dense model on the same examples, each (n,).
        evidence: of the plan, batch by batch.
        reused: see `Outcome`.
    """
    scores = np.concatenate([one.scores for one in evidence]).astype(np.float64)
    if reason := not_finite_text(scores):
        return Outcome("failed", None, None, reason, reused)
    try:
        metric = metric_estimate(scale, scores, weights)
        drop = drop_estimate(scale, dense, scores, weights)
    except UndefinedMetricError as error:
        return Outcome("failed", None, None, str(error), reused)
    if reason := too_large_text(scale, metric):
        return Outcome("failed", None, None, reason, reused)
    if not any(one.changed for one in evidence):
        return Outcome("no effect", metric, drop, unchanged_text(len(scores)), reused)
    return Outcome("measured", metric, drop, None, reused)
