"""When nothing can be calculated from scores, and when a cut has no effect: why, in words."""

import numpy as np
from numpy.typing import NDArray

from core.sensitivity.report import Estimate
from core.sensitivity.statistics.intervals import TOO_LARGE
from core.workload.scale import Scale


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
