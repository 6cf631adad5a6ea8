"""The interval of an interaction: what two cuts cost together beyond the sum of what each costs alone."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.sensitivity.report import Estimate
from core.sensitivity.statistics import bootstrap
from core.sensitivity.statistics.intervals import linear_drop
from core.workload.scale import Scale

Scores = NDArray[np.float64]


def additive_scale(scale: Scale) -> Scale:
    """On which drops can be expected to add up: the metric's own, or the logarithm of an exponential of a mean.

    Two cuts that each raise the perplexity by a tenth, independently, raise it by 21 % together: what adds up is the
    loss per token, its logarithm.
    """
    if scale.aggregate != "exp_mean":
        return scale
    low, high = (None if end is None or end <= 0 else math.log(end) for end in (scale.low, scale.high))
    return Scale(f"log {scale.name}", "nats", scale.higher_is_better, low, high)


def excess(dense: Scores, a: Scores, b: Scores, joint: Scores) -> Scores:
    """Per example, the drop of both less the two drops alone, in the direction of the scores: (n,) each."""
    return (a - joint) + (b - dense)  # in pairs: where one cut changes nothing the rest cancels to the last bit


def interaction_estimate(
    scale: Scale, dense: Scores, a: Scores, b: Scores, joint: Scores, weights: Scores | None = None
) -> Estimate:
    """drop(a and b) - drop(a) - drop(b) on the same examples, with its paired 95 % interval.

    Args:
        scale: from `additive_scale`.
        dense, a, b, joint: scores of the same examples in the same order, (n,), finite, n >= 2; predictions for a
            metric of the set.
        weights: of each example in the mean, (n,); `None` for equal weights. The truth for a metric of the set.

    Raises:
        UndefinedMetricError: a metric of the set has no value for one of the four.
    """
    if scale.of_set:
        assert weights is not None, "a metric of the set comes with its truth"
        return bootstrap.interaction_estimate(scale, dense, a, b, joint, weights)
    return excess_estimate(scale, excess(dense, a, b, joint), weights)


def excess_estimate(scale: Scale, found: Scores, weights: Scores | None) -> Estimate:
    """Mean of what `excess` gave, as of any mean of scores.

    Of twice the range of a drop: one example can lose at most a range to both cuts and gain one from each, or the other
    way round. It matters where all examples agree, mostly on 0: the rule of three (see `intervals`) reaches as far.
    """
    low, high = (None if end is None else 2 * end for end in (scale.low, scale.high))
    return linear_drop(replace(scale, low=low, high=high), found, np.zeros_like(found), weights)
