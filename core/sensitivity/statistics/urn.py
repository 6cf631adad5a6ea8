"""How many of a finite list are marked, by those drawn from it in a random order: bounds that always hold."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

FEW = 0.8  # of the belief before anything is drawn, that few are marked: by 1 / (K + 1)²; the rest, that any number is


def bounds(drawn: int, marked: int, total: int, alpha: float) -> tuple[int, int]:
    """Confidence sequence of how many of all `total` are marked: least and most.

    The chance that it ever misses is `alpha`: of both ends together, so of one alone as well.

    Args:
        drawn: so many were drawn, without replacement, each order as likely as any other.
        marked: of them.
        total: of the list.
        alpha: chance, in (0, 1).

    If K are marked, the chance of what was drawn under a belief fixed beforehand, divided by its chance under K, is a
    martingale that begins at 1, so that with a chance of 1 - alpha it never passes 1/alpha (Ville): all K at which it
    has are out. It is exact, and for a list of which nothing marked was drawn all but as short as a single test's.

    Source: Waudby-Smith & Ramdas 2020, arXiv:2006.04347 (the prior-posterior-ratio martingale).
    """
    unmarked = drawn - marked
    first, last = marked, total - unmarked  # all others are impossible
    logs = _log_factorials(total)
    likelihood = logs[first : last + 1] - logs[: last - first + 1]
    likelihood = likelihood + logs[unmarked : total - first + 1][::-1] - logs[: last - first + 1][::-1]
    joint = _log_belief(total)[first : last + 1] + likelihood
    evidence = float(joint.max() + np.log(np.exp(joint - joint.max()).sum()))
    left = np.flatnonzero(evidence - likelihood < -math.log(alpha))
    return first + int(left[0]), first + int(left[-1])


@lru_cache(maxsize=8)
def _log_factorials(total: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = gammaln(np.arange(total + 1) + 1.0)
    return found


@lru_cache(maxsize=8)
def _log_belief(total: int) -> NDArray[np.float64]:
    falling = 1 / (np.arange(total + 1) + 1.0) ** 2
    belief: NDArray[np.float64] = np.log(FEW * falling / falling.sum() + (1 - FEW) / (total + 1))
    return belief
