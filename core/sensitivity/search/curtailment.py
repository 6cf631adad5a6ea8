"""Stopping a cell early: what `drop_estimate` of all examples is going to say, known from some of them.

Stochastic curtailment (Lan, Simon & Halperin 1982, Sequential Analysis 1:207): the question is not whether the drop of
all data in the world is within tolerance, but whether the upper end of the interval on *these* N examples will be.
That is a property of a finite list which is read in random order, and everything read so far counts for certain.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from core.sensitivity.statistics.anytime import asymptotic_level, has_anytime, is_bounded
from core.sensitivity.statistics.intervals import (
    Scores,
    Z,
    drop_estimate,
    is_binary,
    is_proportion,
    linear_drop,
    mean_and_influence,
    tango,
)
from core.sensitivity.statistics.reach import n_moving, reach_of, tails
from core.workload.scale import Scale

Verdict = Literal["within", "beyond"]
# Chance, at most, that a cell is ever judged otherwise than all examples would judge it, each way. Most cells are far
# from the edge and err much less. Replays of two samples (tests/benchmarks/agreement.py): 0.07 looks at 9 % fewer
# examples and answers 3 of 960 targets one step off; this one answers all as the exact sweep does.
LEVEL = 0.03
# Examples before which scores without a range decide nothing: 20 of them cannot show that one of 50 breaks. By replays,
# tests/benchmarks/interval_replays.py.
LEAST = 300
# Where no example can gain, this part of the chance of a false "beyond" is for bets on what was seen, which need no
# `LEAST`; the rest is for what is judged as elsewhere. Bets find nearly all of them, most on the first batch.
BET = 0.5
BELIEF = 5.0  # examples' worth, before the data tells: harm is twice the tolerance, and deviates by the tolerance
# Where an example can do so much harm and no more, this part of the chance of a false "within" is for that the worst
# that may be still to come were not met: then fewer than `LEAST` may do, but no fewer than these.
UNMET, LEAST_BOUNDED = 0.5, 60
FEW = 30.0  # where as few carry the spread, "within" wants twice the margin: the worst of the list may be still to come


@dataclass(frozen=True)
class Look:
    """What some examples say of all.

    Attributes:
        verdict: whether the upper end of the drop's interval on all examples is within tolerance; `None`: not known.
        high: forecast of that upper end, in the metric's unit.
        error: standard error of the forecast.
        n: examples behind it, at least 1.
    """

    verdict: Verdict | None
    high: float
    error: float
    n: int


def decision(
    scale: Scale,
    dense: Scores,
    pruned: Scores,
    weights: Scores | None,
    n_total: int,
    tolerance: float,
    level: float = LEVEL,
) -> Verdict | None:
    """Whether `drop_estimate(...).high <= tolerance` on all examples, if some of them decide it. See `look`."""
    return look(scale, dense, pruned, weights, n_total, tolerance, level).verdict


def look(
    scale: Scale,
    dense: Scores,
    pruned: Scores,
    weights: Scores | None,
    n_total: int,
    tolerance: float,
    level: float = LEVEL,
    dense_is_best: bool = False,
) -> Look:
    """Judge all examples by the first ones in a random order; may be asked after each batch without paying for it.

    Args:
        scale, dense, pruned, weights: as of `drop_estimate`, of the n examples so far, in the order they were drawn.
        n_total: examples from which these were drawn without replacement.
        tolerance: in the metric's unit.
        level: chance of being wrong ever, each way, for a cell on the very edge; one further off errs much less.
        dense_is_best: no example can be scored better than the dense model scores it, which is as good as a score can
            be: what is held against the dense model's own outputs. Not used where examples have weights.

    At n = n_total it is what `drop_estimate` says. Before, the upper end is written as a mean over examples: the mean
    difference plus half an interval, which by the tangent of the root is linear in the squared differences. Scores of
    0 and 1, or of a known range and equal weights, are judged by betting without replacement (Waudby-Smith & Ramdas
    2020, arXiv:2006.04347); others, from 300 examples on, by the asymptotic confidence sequence with the
    finite-population correction, its ends those of `reach.py`, wider where few examples carry the spread. What is
    plugged into the tangent is wrong in second order only. A metric that has no confidence sequence is never judged
    early.

    Where no example can gain, none that is still to come makes up for harm that was seen: then "beyond" needs no number
    of examples and no range, and is bet on whatever the tail is. Where besides an example can be so bad and no worse (a
    cosine), "within" may come before 300 examples: once as many of the worst as it takes to make all beyond would have
    been met.
    """
    n = len(dense)
    if n >= n_total:
        high = drop_estimate(scale, dense, pruned, weights).high
        return Look("within" if high <= tolerance else "beyond", high, 0.0, n)
    if n < 2:
        return Look(None, math.inf, 0.0, n)
    if not has_anytime(scale):
        drop = drop_estimate(scale, dense, pruned, weights)
        return Look(None, drop.value, (drop.high - drop.low) / (2 * Z), n)
    no_gain = dense_is_best and weights is None and _none_gains(scale, dense, pruned)
    worst = _most_harm(scale, dense, pruned) if no_gain else None
    levels = level if worst is None else (1 - UNMET) * level, (1 - BET) * level if no_gain else level
    if is_bounded(scale) and weights is None:
        seen = _bounded_look(scale, dense, pruned, n_total, tolerance, levels)
    else:
        seen = _unbounded_look(scale, dense, pruned, weights, n_total, tolerance, levels, worst, UNMET * level)
    if no_gain and _adds_up(np.abs(dense - pruned), n_total, tolerance, BET * level):
        return replace(seen, verdict="beyond")
    return seen


def _bounded_look(
    scale: Scale, dense: Scores, pruned: Scores, n_total: int, tolerance: float, levels: tuple[float, float]
) -> Look:
    assert scale.low is not None
    assert scale.high is not None
    n, reach = len(dense), scale.high - scale.low
    d = (dense - pruned) * (1.0 if scale.higher_is_better else -1.0)
    binary = is_proportion(scale) and is_binary(dense) and is_binary(pruned)
    # Half an example more each way, as far as it can go: that nothing has differed yet does not say nothing will.
    mean = float(d.sum()) / (n + 1)
    variance = max((float((d * d).sum()) + reach * reach) / (n + 1) - mean * mean, 1e-12 * reach * reach)
    if binary:
        lost, won = float((d > 0).sum()), float((d < 0).sum())
        high = tango((lost + 0.5) * n_total / (n + 1), (won + 0.5) * n_total / (n + 1), n_total)[1]
        least_high, slope = high, Z / (2 * math.sqrt(variance * n_total))  # of the half width by the variance
        least_slope = slope
    else:
        # its tail so far; none forecasts "beyond": a tail shrinks as examples that move are found
        tail = tails(d - d.mean(), reach)[1] if d.any() else reach
        half, least_half = reach_of(math.sqrt(variance), tail, n_total), Z * math.sqrt(variance / n_total)
        high, least_high = mean + half, mean + least_half
        slope, least_slope = (Z * Z / (2 * n_total * h) for h in (half - Z * Z * tail / (2 * n_total), least_half))
    # Scores of 0 and 1 on the edge differ at least as often as the tolerance; about four times as often is usual.
    prior = n_total / 10 if binary else 20.0
    spread = 4 * max(abs(tolerance), 0.25 / math.sqrt(n_total) * reach) * reach
    needed, error = [-math.log(level) for level in levels], math.sqrt(variance * (1 / n - 1 / n_total))

    x = d + slope * (d - mean) ** 2
    threshold = tolerance - (high - mean - slope * variance)
    most = reach + slope * (reach - mean) ** 2
    if _log_wealth(x, threshold, most, n_total, prior, 0.0, spread) >= needed[0]:
        return Look("within", high, error, n)
    x = d + least_slope * (d - mean) ** 2
    threshold = tolerance - (least_high - mean - least_slope * variance)
    least = -reach + least_slope * (reach + mean) ** 2
    if _log_wealth(-x, -threshold, -least, n_total, prior, -2 * threshold, spread) >= needed[1]:
        return Look("beyond", high, error, n)
    return Look(None, high, error, n)


def _log_wealth(
    x: Scores, threshold: float, most: float, n_total: int, prior: float, centre: float, spread: float
) -> float:
    """Log of what bets that the mean of all n_total is below a threshold made of 1; 1 at most is expected if it isn't.

    Args:
        x: values so far, (n,), none above `most`.
        prior, centre, spread: examples' worth of belief in a mean and a variance, before the data tells.

    The stake is that of Kelly for the mean and variance so far, against the threshold left to the examples to come.
    """
    t = np.arange(len(x))
    past, squares = np.cumsum(x) - x, np.cumsum(x * x) - x * x
    left = (n_total * threshold - past) / (n_total - t)
    mean = (past + prior * centre) / (t + prior)
    gap = np.maximum(left - mean, 0.0)
    kelly = gap / ((squares + prior * spread) / (t + prior) + gap * gap)
    stake = np.minimum(kelly, 0.9 / np.maximum(most - left, 1e-9))
    if n_total * threshold - float(x.sum()) > (n_total - len(x)) * most:
        return math.inf  # whatever comes
    return float(np.log1p(stake * (left - x)).sum())


def _unbounded_look(
    scale: Scale,
    dense: Scores,
    pruned: Scores,
    weights: Scores | None,
    n_total: int,
    tolerance: float,
    levels: tuple[float, float],
    worst: float | None,
    unmet: float,
) -> Look:
    n = len(dense)
    now = linear_drop(scale, dense, pruned, weights)
    influence = _drop_influence(scale, dense, pruned, weights)
    deviation = float(influence.std(ddof=1))
    if deviation == 0.0:  # n differences that are equal to the last bit have no spread to judge by
        return Look(None, now.high, 0.0, n)
    tail = tails(influence, None)[1]
    # what all will be wider or narrower for than a linear mean: the curve of an exponential
    bend = (now.high - now.value) / reach_of(deviation, tail, n)
    half = bend * reach_of(deviation, tail, n_total)
    least_half = min(1.0, bend) * Z * deviation / math.sqrt(n_total)  # where more examples show no tail
    high = now.value + half
    # by the tangent, half a width grows with the squares
    x = influence + half / 2 * ((influence / deviation) ** 2 - 1)
    x -= x.mean()
    left = math.sqrt(1 - n / n_total)
    spread = float(x.std(ddof=1))
    error = spread / math.sqrt(n) * left
    if n < (LEAST if worst is None else LEAST_BOUNDED):
        return Look(None, high, error, n)
    at = [asymptotic_level(n, n_total / 10, 2 * level) for level in levels]
    # the two ends of `reaches`, each at its own level
    below, above = tails(x, None) if x.any() else (0.0, 0.0)
    up, down = left * reach_of(spread, above, n, at[0]), left * reach_of(spread, below, n, at[1])
    up *= 1 + (FEW / n_moving(influence)) ** 2
    within, beyond = high + up <= tolerance, now.value + least_half - down > tolerance
    if n < LEAST:
        assert worst is not None
        within = within and _would_be_met(scale, dense, pruned, n_total, tolerance, worst, unmet)
        return Look("within" if within else None, high, error, n)
    verdict: Verdict | None = "within" if within else "beyond" if beyond else None
    return Look(verdict, high, error, n)


def _most_harm(scale: Scale, dense: Scores, pruned: Scores) -> float | None:
    """How much worse than the dense model's, which are all as good as can be, a score can be; `None`: without end."""
    if scale.is_bounded or scale.worst is None:
        return None
    most = abs(float(dense[0]) - scale.worst)
    return most if float(np.abs(dense - pruned).max()) <= most else None


def _would_be_met(
    scale: Scale, dense: Scores, pruned: Scores, n_total: int, tolerance: float, worst: float, level: float
) -> bool:
    """Whether examples as bad as any can be, of which enough are to come that all are beyond, would have been met.

    The others to come are taken to be as those that were read. With a chance of `level` at most so many are among all
    and none among the first: less bad ones would have to be more, and be missed less likely.
    """
    n, left = len(dense), n_total - len(dense)
    harm = np.abs(dense - pruned)
    best, sign = float(dense[0]), -1.0 if scale.higher_is_better else 1.0

    def high(bad: int) -> float:
        of_all = np.concatenate([harm, np.resize(harm, left - bad), np.full(bad, worst)])
        return drop_estimate(scale, np.full(n_total, best), best + sign * of_all).high

    least = bisect_left(range(left + 1), True, key=lambda bad: high(bad) > tolerance)
    if least > left:
        return True
    # of all orders, how many have none of them among the first n
    unmet = sum(math.log1p(-n / (n_total - i)) for i in range(least) if n_total - i > n)
    return unmet <= math.log(level)


def _none_gains(scale: Scale, dense: Scores, pruned: Scores) -> bool:
    """Whether the dense model's scores are as good as scores can be, and the metric is their mean."""
    best = scale.high if scale.higher_is_better else scale.low
    if scale.aggregate != "mean" or best is None or (dense != best).any():
        return False
    return bool(((pruned <= best) if scale.higher_is_better else (pruned >= best)).all())  # rounding may say otherwise


def _adds_up(harm: Scores, n_total: int, tolerance: float, level: float) -> bool:
    """Whether the mean of all n_total is beyond the tolerance, of values none of which is below 0; (n,).

    By betting without replacement: no shape of their tail makes this wrong more often than `level`. The stake is
    Kelly's, for what was seen so far against the mean that is left to the examples to come if all are within; that mean
    is the most that one of them, of no harm, can lose of a stake.
    """
    t = np.arange(len(harm))
    past, squares = np.cumsum(harm) - harm, np.cumsum(harm * harm) - harm * harm
    if n_total * tolerance < float(harm.sum()):
        return True  # whatever comes
    left = (n_total * tolerance - past) / (n_total - t)
    gap = (past + BELIEF * 2 * tolerance) / (t + BELIEF) - left
    about = (squares - 2 * left * past + t * left * left + BELIEF * tolerance * tolerance) / (t + BELIEF)
    stake = np.minimum(np.maximum(gap, 0.0) / np.maximum(about, 1e-300), 0.9 / np.maximum(left, 1e-300))
    return float(np.log1p(stake * (harm - left)).sum()) >= -math.log(level)


def _drop_influence(scale: Scale, dense: Scores, pruned: Scores, weights: Scores | None) -> Scores:
    """What each example adds to the error of the drop, (n,); its spread is that of one example."""
    (mean_d, by_d), (mean_p, by_p) = mean_and_influence(dense, weights), mean_and_influence(pruned, weights)
    sign = 1.0 if scale.higher_is_better else -1.0
    if scale.aggregate == "exp_mean":
        return sign * (math.exp(min(mean_d, 250.0)) * by_d - math.exp(min(mean_p, 250.0)) * by_p)
    return sign * (by_d - by_p)
