"""Bounds of a paired drop that hold at every moment, and how many examples they need. No torch."""

import math

import numpy as np
from numpy.typing import NDArray

from core.errors import SecateurError
from core.sensitivity.statistics.anytime import STAKES, betting_bound, is_bounded, log_wealths
from core.workload.scale import Scale

Scores = NDArray[np.float64]
POWER_Z = 1.5  # nine of ten lie below 1.28; the rest is for what few examples do not tell of the many
MOST = 10**9  # examples: more than this is never


def check_bounded(scale: Scale, weighted: bool) -> None:
    """Refuse a metric of which no example's part of the drop is bounded.

    Args:
        scale: of the metric.
        weighted: whether its examples have weights.

    Raises:
        SecateurError: it is no plain mean of bounded scores.
    """
    mend = "judge by the mean of bounded scores instead, such as accuracy"
    if scale.of_set:
        raise SecateurError(
            f"{scale.name} is a number of the whole set: no example has a score of its own that a bound could be made "
            f"of; {mend}"
        )
    if not is_bounded(scale):
        raise SecateurError(
            f"a score of {scale.name} may be as bad as it likes, so that one example not yet seen could outweigh all "
            f"that were: no bound holds at any number of examples; {mend}"
        )
    if weighted:
        raise SecateurError(
            f"the examples of {scale.name} have weights, and no bound is known of such a mean; {mend} of every example"
        )


def level(confidence: float, number: int) -> float:
    """Chance of being wrong that the certificate of the given number may take, counted from 1.

    All of them together take 1 - `confidence` at most, however many there come to be: 6 / (pi k)^2 add up to 1.
    """
    return (1 - confidence) * 6 / (math.pi * number) ** 2


def upper_bound(scale: Scale, dense: Scores, other: Scores, alpha: float) -> float:
    """What the drop is at most, in the metric's unit: the chance that it ever lies above this is `alpha`.

    Args:
        scale: bounded, of equal weights; see `check_bounded`.
        dense, other: scores of the same examples so far, in the order in which they came, (n,).
        alpha: one-sided, of all moments together.
    """
    return _drop(scale, betting_bound(unit_drops(scale, dense, other), alpha))


def lower_bound(scale: Scale, dense: Scores, other: Scores, alpha: float) -> float:
    """What the drop is at least; as `upper_bound`."""
    return _drop(scale, 1 - betting_bound(1 - unit_drops(scale, dense, other), alpha))


def unit_drops(scale: Scale, dense: Scores, other: Scores) -> Scores:
    """Drops of examples as numbers from 0, the best there is, over 1/2, no difference, to 1, the worst; (n,)."""
    sign = 1.0 if scale.higher_is_better else -1.0
    values: Scores = ((dense - other) * sign / _reach(scale) + 1) / 2
    return values


def more_examples(scale: Scale, drops: Scores, within: float, alpha: float, below: bool = True) -> int | None:
    """About how many more examples it takes until the drop is bounded, nine times in ten, if they are like these.

    Args:
        scale: of the metric.
        drops: `unit_drops` so far, (n,).
        within: that the bound is to come to, in the metric's unit.
        alpha: as of the bound.
        below: whether the drop is to be shown to lie below `within`; else above.

    Returns:
        0 if it is bounded already; `None` if it never will be: examples like these are on the wrong side.
    """
    at = (within / _reach(scale) + 1) / 2
    steps, counts = log_wealths(*((drops, at) if below else (1 - drops, 1 - at)))
    return _more(steps, counts, math.log(len(STAKES) / alpha))


def least_examples(scale: Scale, within: float, alpha: float) -> int | None:
    """How many examples bound the drop of a plan that changes none of them: fewer never do. `None` if none suffice."""
    steps, _ = log_wealths(np.array([0.5]), (within / _reach(scale) + 1) / 2)
    fastest = float(steps.max())
    return math.ceil(math.log(len(STAKES) / alpha) / fastest) if fastest > 0 else None


def planted(scale: Scale, drops: Scores, drop: float) -> Scores:
    """Drops like these whose mean is `drop`: as many of them as it takes become the worst, or the best, there is.

    Returns:
        `unit_drops`, with a weight each: (2, n + 1), the values and how much each counts; weights add up to n.
    """
    at, mean, n = (drop / _reach(scale) + 1) / 2, float(drops.mean()), len(drops)
    extreme = 1.0 if at >= mean else 0.0
    share = 0.0 if at == mean else (at - mean) / (extreme - mean)
    values = np.append(drops, extreme)
    weights = np.append(np.full(n, 1 - share), share * n)
    return np.stack([values, weights])


def examples_to_see(scale: Scale, drops: Scores, drop: float, within: float, alpha: float) -> int | None:
    """About how many examples in all show, nine times in ten, that a true drop of `drop` exceeds `within`.

    Args:
        drops: `unit_drops` of a pair like the one in question, (n,): how much else they differ.
        drop: above `within`.
    """
    at = (within / _reach(scale) + 1) / 2
    values, weights = planted(scale, drops, drop)
    steps = np.log1p(STAKES[:, None] * (values / at - 1))
    return _more(steps, weights, math.log(len(STAKES) / alpha), fresh=True)


def _more(steps: Scores, counts: Scores, needed: float, fresh: bool = False) -> int | None:
    """Of each bettor: what is left to win, at its pace, and some for luck; the first to arrive counts."""
    n = counts.sum()
    pace = steps @ counts / n
    spread = np.sqrt(np.maximum((steps**2) @ counts / n - pace**2, 0.0))
    won = np.zeros(len(pace)) if fresh else pace * n
    richest = won.max()
    if not fresh and richest + math.log(np.exp(won - richest).sum()) >= needed:
        return 0
    ahead = pace > 0
    if not ahead.any():
        return None
    left, pace, spread = (needed - won)[ahead], pace[ahead], POWER_Z * spread[ahead]
    root = (spread + np.sqrt(spread**2 + 4 * pace * np.maximum(left, 0.0))) / (2 * pace)
    most = float((root**2).min())
    return None if most > MOST else max(1, math.ceil(most))


def _reach(scale: Scale) -> float:
    assert scale.low is not None
    assert scale.high is not None
    return scale.high - scale.low


def _drop(scale: Scale, unit: float) -> float:
    return (2 * unit - 1) * _reach(scale)
