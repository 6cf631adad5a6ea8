"""95 % intervals: of a metric, and of the paired drop between two models on the same examples.

Two-sided. Scores that are 0 or 1 get score intervals, which keep their width when nothing differs; a normal one would
shrink to a point and claim certainty from silence. Everything here is float64; metrics of the set: `bootstrap.py`.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri

from core.sensitivity.report import Estimate
from core.sensitivity.statistics import bootstrap
from core.sensitivity.statistics.reach import reaches
from core.workload.scale import Scale

Scores = NDArray[np.float64]
LEVEL = 0.975  # probability below the upper end of a 95 % interval
Z = float(ndtri(LEVEL))
TOO_LARGE = 1e100  # of a metric: a perplexity can leave the range of floats, and its variance does so much earlier


def metric_estimate(scale: Scale, scores: Scores, weights: Scores | None = None) -> Estimate:
    """A model's metric with its interval.

    Args:
        scale: says how scores become the metric.
        scores: per example, (n,), finite, n >= 2; predictions for a metric of the set (`scale.of_set`).
        weights: of each example in the mean, (n,); `None` for equal weights. The truth for a metric of the set.

    Raises:
        UndefinedMetricError: a metric of the set has no value on these predictions; see `bootstrap.py`.

    A bootstrap for a metric of the set; Wilson 1927 for scores of 0 and 1 alone; else `reaches` of the (linearised)
    mean, whose limits are mapped for `exp_mean`. Clipped to the scale's range.
    """
    if scale.of_set:
        assert weights is not None, "a metric of the set comes with its truth"
        return bootstrap.metric_estimate(scale, scores, weights)
    n = len(scores)
    if weights is None and is_proportion(scale) and is_binary(scores):
        return Estimate(float(scores.mean()), *wilson(int(scores.sum()), n), n)
    return linear_metric(scale, scores, weights)


def linear_metric(scale: Scale, scores: Scores, weights: Scores | None, level: float = 0.975) -> Estimate:
    """`metric_estimate` by `reaches`, whatever the scores. `level`: probability below the upper end."""
    mean, influence = mean_and_influence(scores, weights)
    below, above = reaches(influence, span_of(scale), level)
    low, value, high = mean - below, mean, mean + above
    if scale.aggregate == "exp_mean":  # the interval of the exponent, mapped: the exponential is monotone
        low, value, high = (_exp(x) for x in (low, value, high))
    low = low if scale.low is None else max(low, scale.low)
    high = high if scale.high is None else min(high, scale.high)
    return Estimate(value, min(low, value), max(high, value), len(scores))


def drop_estimate(
    scale: Scale, dense: Scores, pruned: Scores, weights: Scores | None = None, level: float = LEVEL
) -> Estimate:
    """How much worse the pruned model is than the dense one on the same examples, with its paired interval.

    Args:
        scale: direction, and how scores become the metric.
        dense, pruned: scores of the same examples in the same order, (n,), finite, n >= 2.
        weights: of each example in the mean, (n,); `None` for equal weights. The truth for a metric of the set.
        level: probability below the upper end, and above the lower one.

    Raises:
        UndefinedMetricError: a metric of the set has no value for one of the two; see `bootstrap.py`.

    A paired bootstrap for a metric of the set; Tango 1998 for scores of 0 and 1 alone; for `exp_mean` MOVER (Zou 2008);
    else `reaches` of the paired (linearised) differences.
    """
    if scale.of_set:
        assert weights is not None, "a metric of the set comes with its truth"
        return bootstrap.drop_estimate(scale, dense, pruned, weights, level)
    n = len(dense)
    sign = 1.0 if scale.higher_is_better else -1.0
    if weights is None and is_proportion(scale) and is_binary(dense) and is_binary(pruned):
        lost = int(((dense == 1) & (pruned == 0)).sum())
        won = int(((dense == 0) & (pruned == 1)).sum())
        low, high = tango(lost, won, n, level)
        value = (lost - won) / n
        return Estimate(value, low, high, n) if sign > 0 else Estimate(-value + 0.0, -high, -low, n)
    return linear_drop(scale, dense, pruned, weights, level)


def linear_drop(scale: Scale, dense: Scores, pruned: Scores, weights: Scores | None, level: float = 0.975) -> Estimate:
    """`drop_estimate` by `reaches` or MOVER, whatever the scores. `level`: probability below the upper end."""
    n, sign = len(dense), 1.0 if scale.higher_is_better else -1.0
    dense_mean, dense_influence = mean_and_influence(dense, weights)
    pruned_mean, pruned_influence = mean_and_influence(pruned, weights)
    if scale.aggregate == "exp_mean":
        low, value, high = _difference_of_exponentials(
            dense_mean, dense_influence, pruned_mean, pruned_influence, level
        )
        return Estimate(value, low, high, n) if sign < 0 else Estimate(-value + 0.0, -high, -low, n)
    value = sign * (dense_mean - pruned_mean) + 0.0
    influence = sign * (dense_influence - pruned_influence)
    below, above = reaches(influence, span_of(scale), level)
    return Estimate(value, value - below, value + above, n)


def span_of(scale: Scale) -> float | None:
    """How far apart two scores, or their mean, can lie; `None` where no range is known."""
    known = scale.aggregate == "mean" and scale.low is not None and scale.high is not None
    return scale.high - scale.low if known else None  # type: ignore[operator]


def _difference_of_exponentials(
    dense: float, dense_influence: Scores, pruned: float, pruned_influence: Scores, level: float
) -> tuple[float, float, float]:
    """Interval and value of exp(pruned) - exp(dense), correlated because both are of the same examples.

    With m the middle of the two means and d the paired difference it is 2 exp(m) sinh(d/2). The intervals of m and d
    are combined by recovering the variances from the limits (MOVER: Zou 2008, Psychological Methods 13:305), on
    the logarithm where d is decided, so that the interval excludes 0 just when that of d does. We depart from MOVER on
    the two exponentials themselves: of alike models their skewed intervals do not cancel, and it covers 83 % only. The
    delta method is symmetric, and calls a model that is worse on every example undecided because of a few bad passages.
    """
    middle, difference = (pruned + dense) / 2, pruned - dense
    of_middle, of_difference = (pruned_influence + dense_influence) / 2, pruned_influence - dense_influence
    reach_m, reach_d = (reaches(of, None, level) for of in (of_middle, of_difference))  # below, above
    spread = math.sqrt(float((of_middle**2).sum() * (of_difference**2).sum()))
    rho = float((of_middle * of_difference).sum()) / spread if spread > 0 else 0.0
    sign = 1.0 if difference >= 0 else -1.0

    def both(by_m: float, by_d: float) -> float:
        return math.sqrt(max(0.0, by_m * by_m + by_d * by_d + 2 * sign * rho * by_m * by_d))

    def change(m: float, d: float) -> float:
        return _finite_exp(m + d / 2) - _finite_exp(m - d / 2)

    value = change(middle, difference) + 0.0
    away, back = (reach_d[1], reach_d[0]) if sign > 0 else reach_d  # from 0, and towards it
    if abs(difference) <= back:
        ends = []
        for way in (-1, 1):
            limit = change(middle, difference + way * reach_d[way > 0])
            grows = sign * way  # the way of the middle that moves the change this way
            by_m = abs(change(middle + grows * reach_m[grows > 0], difference) - value)
            reach = both(by_m, abs(limit - value))
            end = value + way * reach
            # towards 0 no further correlation may stop it short of 0, which the difference does not exclude
            ends.append(end if way == sign else way * max(way * end, way * limit))
        return ends[0], value, ends[1]

    def log_sinh(d: float) -> float:  # of 2 sinh(d/2), d > 0, without its overflow
        return d / 2 + math.log(-math.expm1(-d))

    size = log_sinh(abs(difference))
    least = middle + size - both(reach_m[0], size - log_sinh(abs(difference) - back))
    most = middle + size + both(reach_m[1], log_sinh(abs(difference) + away) - size)
    ends = sorted((sign * min(_finite_exp(least), abs(value)), sign * max(_finite_exp(most), abs(value))))
    return ends[0], value, ends[1]


def _finite_exp(x: float) -> float:
    return math.exp(min(x, 250.0))  # more is refused as too large to calculate with, and this may still be squared


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Score interval of a proportion. Source: Wilson 1927, JASA 22:209."""
    p = successes / n
    centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def tango(lost: float, won: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Score interval of a paired difference of proportions, (lost - won) / n.

    Args:
        lost, won: discordant pairs, one way and the other; fractions of a pair where they are a forecast.
        n: all pairs.
        level: as of `drop_estimate`.

    Source: Tango 1998, Statistics in Medicine 17:891, equations 9 and 10.
    """

    def score(delta: float) -> float:
        # q: the likeliest proportion of `won` pairs if the true difference were delta
        b = -lost - won + (2 * n - lost + won) * delta
        c = -won * delta * (1 - delta)
        q = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
        variance = n * (2 * q + delta * (1 - delta))
        difference = lost - won - n * delta
        return difference / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, difference)

    observed, z = (lost - won) / n, Z if level == LEVEL else float(ndtri(level))
    # the score falls from above z to below -z as delta goes from -1 to 1; a bound at the edge is the edge
    low = -1.0 if observed <= -1 else _root(lambda delta: score(delta) - z, -1.0, observed)
    high = 1.0 if observed >= 1 else _root(lambda delta: score(delta) + z, observed, 1.0)
    return low, high


def _root(function, left: float, right: float) -> float:  # type: ignore[no-untyped-def]
    inside = 1e-12
    left, right = left + inside, right - inside
    if left >= right:
        return left
    if function(left) * function(right) > 0:  # no crossing inside: the bound lies at the outer edge
        return left if abs(left) > abs(right) else right
    return float(brentq(function, left, right, xtol=1e-12))


def is_proportion(scale: Scale) -> bool:
    """Whether the metric is a mean within [0, 1]: elsewhere scores that are all 0 are no proportion (a divergence)."""
    return scale.aggregate == "mean" and (scale.low, scale.high) == (0, 1)


def is_binary(scores: Scores) -> bool:
    """Whether every score is 0 or 1."""
    return bool(((scores == 0) | (scores == 1)).all())


def mean_and_influence(scores: Scores, weights: Scores | None) -> tuple[float, Scores]:
    """The (weighted) mean, and what each example adds to its error: (n,), whose spread is that of one example."""
    if weights is None:
        mean = float(scores.mean())
        return mean, scores - mean
    mean = float((weights * scores).sum() / weights.sum())
    return mean, weights / weights.mean() * (scores - mean)


def _exp(x: float) -> float:
    return math.exp(x) if x < 709 else math.inf
