"""In which terms the harm of cuts adds up: of a fraction its log-odds, of a perplexity its logarithm.

`python tests/benchmarks/prediction.py --spaces` measures the choice.
"""

import math

from core.plans.prediction import Space
from core.workload.scale import Scale

EDGE = 0.005  # a fraction is kept so far away from 0 and 1, whose log-odds are infinite


def space_of(scale: Scale) -> Space:
    """The space for a metric."""
    if scale.aggregate == "exp_mean":
        return "log"
    return "log-odds" if (scale.unit, scale.low, scale.high) == ("fraction", 0.0, 1.0) else "metric"


def position(scale: Scale, space: Space, metric: float) -> float:
    """Where a metric lies in a space: higher is worse."""
    if space == "log-odds":
        at = math.log((metric + EDGE) / (1 - metric + EDGE))
    else:
        at = math.log(metric) if space == "log" else metric
    return -at if scale.higher_is_better else at


def metric_at(scale: Scale, space: Space, position: float) -> float:
    """Inverse of `position`, within the metric's range."""
    at = -position if scale.higher_is_better else position
    if space == "log-odds":
        odds = math.exp(min(at, 700.0))
        value = (odds * (1 + EDGE) - EDGE) / (1 + odds)
    else:
        value = math.exp(min(at, 700.0)) if space == "log" else at
    value = value if scale.low is None else max(value, scale.low)
    return value if scale.high is None else min(value, scale.high)


def slope(scale: Scale, space: Space, metric: float) -> float:
    """By how much the position moves for a small move of the metric, as an absolute value."""
    if space == "log-odds":
        return 1 / (metric + EDGE) + 1 / (1 - metric + EDGE)
    return 1 / metric if space == "log" else 1.0
