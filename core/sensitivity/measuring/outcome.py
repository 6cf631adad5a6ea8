"""What a plan costs: plain values, judged from the scores of every example."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.sensitivity.evidence import BatchEvidence
from core.sensitivity.report import Estimate, State
from core.sensitivity.statistics.bootstrap import UndefinedMetricError
from core.sensitivity.statistics.intervals import TOO_LARGE, drop_estimate, metric_estimate
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


def not_finite_text(scores: NDArray[np.floating]) -> str | None:
    """Why scores cannot be calculated with; `None` if they can."""
    n_bad = int((~np.isfinite(scores)).sum())
    return f"{n_bad} of {len(scores)} scores are NaN or infinite" if n_bad else None


def too_large_text(scale: Scale, metric: Estimate) -> str | None:
    """Why a metric cannot be calculated with; `None` if it can."""
    return f"its {scale.name} is too large to calculate with" if metric.high > TOO_LARGE else None


def unchanged_text(n: int) -> str:
    """Why a cut has no effect, seen on `n` examples."""
    return f"no output changed on any of {n} examples"
