"""How much the rows that look best are flattered by having been chosen on the examples that they are measured on."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.sensitivity.statistics.intervals import Z

Scores = NDArray[np.float64]
SPLITS = 200


def flattery(gains: Scores, costs: Sequence[float], together: Scores, chosen: Sequence[int], seed: int = 0) -> float:
    """By how much the gain of the first rows of a map, given back together, is too high: a winner's curse.

    The rows are chosen anew on random halves of the examples, by the rule of the map; there they gain more than on the
    other halves. Such a surplus goes with the noise, so that of all examples is smaller by the root of 2. Rows given
    back together are no sum: of the surplus counts the share that goes along with what they gain together.

    Args:
        gains: of each row alone, an example at a time, (rows, n), above 0 where less cut is better.
        costs: of each row, at least 0.
        together: of the first rows together, (n,).
        chosen: which of the rows those are.
        seed: of the halves.

    Returns:
        What to take off, in the metric's unit, at least 0.

    The halves are drawn from these examples, where rows look a little further apart than they are: a little is left.
    """
    n = gains.shape[1]
    rng, surplus = np.random.default_rng(seed), []
    cost = np.maximum(np.asarray(costs, dtype=np.float64), 1e-12)
    for _ in range(SPLITS):
        shuffled = rng.permutation(n)
        halves = gains[:, shuffled[: n // 2]], gains[:, shuffled[n // 2 : 2 * (n // 2)]]
        for ours, others in (halves, halves[::-1]):  # both ways: what is chosen on both is no surplus
            means = ours.mean(axis=1)
            sure = means > Z * ours.std(axis=1) / math.sqrt(n // 2)
            first = np.argsort(np.where(sure, -means / cost, np.inf))[: min(len(chosen), int(sure.sum()))]
            surplus.append(float((means[first] - others.mean(axis=1)[first]).sum()))
    alone = gains[chosen].sum(axis=0)
    spread = float(alone.var())
    goes_along = float(np.cov(alone, together, bias=True)[0, 1]) / spread if spread else 0.0
    return max(0.0, float(np.mean(surplus)) / math.sqrt(2)) * min(1.0, max(0.0, goes_along))
