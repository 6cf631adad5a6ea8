"""95 % intervals that hold at every moment at once: what may be shown of a cell that is stopped when it looks decided.

A fixed-n interval of a cell that was stopped because of what it showed lies too often. A confidence sequence holds the
truth at all n together with a chance of 95 %, so any rule may stop it.
"""

import math
import sys

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from core.sensitivity.report import Estimate
from core.sensitivity.statistics.intervals import Scores, drop_estimate, linear_drop, linear_metric, metric_estimate
from core.workload.scale import Scale

ALPHA = 0.05
TIGHTEST = 500  # examples at which the asymptotic sequence is tuned to be tightest; it changes slowly around it
BINS = 257  # of scores for the bets; odd, so that "no difference" has one of its own
# Shares of the wealth that are bet, mixed evenly: a small one is best for many examples or much spread. Geometric, and
# twelve lose 2.5 nats to the best one at most.
STAKES = np.geomspace(0.004, 0.98, 12)


def has_anytime(scale: Scale) -> bool:
    """Whether a metric has a confidence sequence: a mean of examples does, one of the whole set has not."""
    return scale.aggregate in ("mean", "exp_mean")


def is_bounded(scale: Scale) -> bool:
    """Whether every score lies in a known range, and the metric is their mean."""
    return scale.is_bounded


def anytime_drop(
    scale: Scale, dense: Scores, pruned: Scores, weights: Scores | None = None, alpha: float = ALPHA
) -> Estimate:
    """`drop_estimate` with an interval that holds at every moment.

    Args:
        scale, dense, pruned, weights: as of `drop_estimate`, on the examples so far, in any order.
        alpha: chance of ever missing the truth, two-sided.

    Never narrower than the fixed-n interval; that of a metric without a confidence sequence is the fixed-n interval.

    Sources: for bounded scores of equal weight, betting with a mixture of constant stakes (Waudby-Smith & Ramdas
    2023, JRSS-B 86:1, section 4); for others the asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy &
    Ramdas 2024, Annals of Statistics 52:2613), on the (linearised) mean, with the ends of `reach.py`.
    """
    fixed = drop_estimate(scale, dense, pruned, weights)
    if not has_anytime(scale):
        return fixed
    if is_bounded(scale) and weights is None:
        reach = _range(scale)
        difference = (dense - pruned) * (1.0 if scale.higher_is_better else -1.0)
        low, high = betting_interval((difference / reach + 1) / 2, alpha)
        return _widened(fixed, (2 * low - 1) * reach, (2 * high - 1) * reach)
    anytime = linear_drop(scale, dense, pruned, weights, asymptotic_level(fixed.n, alpha=alpha))
    return _widened(fixed, anytime.low, anytime.high)


def anytime_metric(scale: Scale, scores: Scores, weights: Scores | None = None, alpha: float = ALPHA) -> Estimate:
    """`metric_estimate` with an interval that holds at every moment; as `anytime_drop`."""
    fixed = metric_estimate(scale, scores, weights)
    if not has_anytime(scale):
        return fixed
    if is_bounded(scale) and weights is None:
        assert scale.low is not None
        low, high = betting_interval((scores - scale.low) / _range(scale), alpha)
        return _widened(fixed, scale.low + low * _range(scale), scale.low + high * _range(scale))
    anytime = linear_metric(scale, scores, weights, asymptotic_level(fixed.n, alpha=alpha))
    return _widened(fixed, anytime.low, anytime.high)


def betting_interval(values: Scores, alpha: float = ALPHA) -> tuple[float, float]:
    """Confidence sequence of the mean of values in [0, 1], (n,), of which all orders give the same.

    Whoever bets the share f of the wealth on values being above m on average has prod(1 - f + f x / m) after them. That
    is a nonnegative martingale if m is the mean, so with a chance of 1 - alpha/2 it never passes 2/alpha: every m whose
    bettor got richer is out, and so are all below it. The values are first split between the two next points of a grid
    such that their mean stays: a logarithm is concave, so the wealth only shrinks, and the cost no longer grows with n.
    """
    points, counts = _binned(values)
    return _lower(points, counts, alpha / 2), 1 - _lower(1 - points[::-1], counts[::-1], alpha / 2)


def betting_bound(values: Scores, alpha: float) -> float:
    """Upper confidence sequence of the mean of values in [0, 1], (n,): the chance of ever lying below it is `alpha`."""
    points, counts = _binned(values)
    return 1 - _lower(1 - points[::-1], counts[::-1], alpha)


def log_wealths(values: Scores, mean: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each bettor on the mean of values in [0, 1] lying below `mean` wins by each: logarithms, (stakes, points),
    and how many values there are of each point, (points,). See `betting_interval`."""
    points, counts = _binned(values)
    return np.log1p(STAKES[:, None] * ((1 - points) / max(1 - mean, 1e-9) - 1)), counts


def asymptotic_level(n: int, tightest: float = TIGHTEST, alpha: float = ALPHA) -> float:
    """Probability below the upper end of the fixed-n interval that is as wide as the asymptotic sequence at n.

    Args:
        n: examples so far.
        tightest: n at which the sequence is tightest relative to the fixed-n interval.
        alpha: chance of ever missing the truth, two-sided.

    Source: Waudby-Smith et al. 2024, equations 12 and 13.
    """
    rho = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / tightest
    boundary = math.sqrt((1 + 1 / (n * rho)) * (math.log1p(n * rho) - 2 * math.log(alpha)))
    return 1 - max(float(ndtr(-boundary)), 1e-12)  # beyond it the distance to 1 drowns in rounding


def _binned(values: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    at = np.clip(values, 0.0, 1.0) * (BINS - 1)
    left = np.minimum(at.astype(np.int64), BINS - 2)
    right_share = at - left
    counts = np.bincount(left, 1 - right_share, BINS) + np.bincount(left + 1, right_share, BINS)
    used = np.flatnonzero(counts)
    return used / (BINS - 1), counts[used].astype(np.float64)


def _lower(points: NDArray[np.float64], counts: NDArray[np.float64], alpha: float) -> float:
    """Least mean in (0, 1) at which the bettors on "above" stay below 1/alpha. Their wealth falls as the mean grows."""
    mean = float(points @ counts / counts.sum())
    needed = math.log(len(STAKES) / alpha)

    def excess(m: float) -> float:
        wealth = np.log1p(STAKES[:, None] * (points / m - 1)) @ counts
        richest = wealth.max()
        return float(richest + math.log(np.exp(wealth - richest).sum())) - needed

    edge = 1e-9
    if mean <= edge or excess(edge) <= 0:
        return 0.0
    return float(brentq(excess, edge, mean, xtol=1e-7))


def _widened(fixed: Estimate, low: float, high: float) -> Estimate:
    high = min(high, sys.float_info.max)  # the perplexity of a few passages: anything is possible, but not in JSON
    return Estimate(fixed.value, min(fixed.low, low), max(fixed.high, high), fixed.n)


def _range(scale: Scale) -> float:
    assert scale.low is not None
    assert scale.high is not None
    return scale.high - scale.low
