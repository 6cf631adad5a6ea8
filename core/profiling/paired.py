"""What paired times say: a median and a 95 % interval for which no distribution has to be assumed. No torch."""

import math
import statistics
from collections.abc import Sequence

from core.sensitivity.report import Estimate

MISS = 0.05  # chance that the interval leaves the truth out, at most


def rank_of_bounds(n: int, miss: float = MISS) -> int | None:
    """Which of n sorted values bound their median: the k-th smallest and the k-th largest, k from 1.

    Each value lies below the median with probability one half, so that the number below is binomial, and the interval
    misses with probability 2 P(Bin(n, 1/2) < k) at most: the largest such k is taken, exactly. `None` when even the
    least and the greatest value miss too often (n < 6 at 95 %).

    Source: the sign test's interval, Conover 1999, Practical Nonparametric Statistics, 3.2.
    """
    k = below = 0  # below: 2^n P(Bin < k + 1), in whole numbers
    while 2 * (below := below + math.comb(n, k)) <= miss * 2**n:
        k += 1
    return k or None


def median_interval(values: Sequence[float]) -> Estimate | None:
    """Median of values that are independent of each other, with its 95 % interval; `None` of fewer than 6.

    Rounds on one machine are not quite independent: a neighbour at work slows several in a row. What slows both models
    of a pair alike leaves their ratio as it was.
    """
    k = rank_of_bounds(len(values))
    if k is None:
        return None
    ordered = sorted(values)
    return Estimate(statistics.median(ordered), ordered[k - 1], ordered[-k], len(values))


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median, third quartile of at least one value; linear between neighbours."""
    if len(values) == 1:
        return (values[0],) * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high
