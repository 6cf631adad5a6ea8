"""How the harm of a whole plan follows from the harm of its cuts alone: a curve fitted to plans that were measured.

Cuts interact: many small ones together do more harm than their sum, and a model that is at chance cannot become worse.
So `joint = limit · (1 - exp(-a · total^b / limit))` times an error that grows with the harm. The four numbers are not
estimated but averaged over, each weighed by how well it explains the measured plans (a posterior on a grid), so that
with few plans the interval is wide, and with none it is what was seen on other models (`PRIOR`).

The interval is one for what the plan costs on examples that nobody saw yet. Two things are in it besides the spread of
plans around the curve: all plans were measured on the same few examples, which are lucky or unlucky as a whole; and how
much the curve may be off.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.plans.prediction import CAUTION

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Joint:
    """A measured plan.

    Attributes:
        total: summed harm of its cuts alone.
        joint: harm of all together, measured; negative if the model became better.
        error: standard error of `joint`, from the interval of the measurement.
        share: of its harm that comes from cuts of the kind that is fitted, in (0, 1]: so much does the plan count.
        alone: how far it is a plan of one cut, in [0, 1]; such a plan says nothing of how cuts interact.
        n: examples that it was measured on; not looked at here.
    """

    total: float
    joint: float
    error: float
    share: float = 1.0
    alone: float = 0.0
    n: int = 0


@dataclass(frozen=True)
class Prior:
    """What is believed before any plan was measured, as mean and standard deviation.

    Attributes:
        log_scale: logarithm of the harm of a plan whose cuts add up to 1.
        power: 1 if cuts add up.
        spread: relative error of a plan, one standard deviation, geometric mean.
        limit: logarithm of the worst that can be, in parts of the worst that any cut or plan was measured to do.
    """

    log_scale: tuple[float, float] = (0.0, 0.7)
    power: tuple[float, float] = (1.4, 0.3)
    spread: float = 0.3
    limit: tuple[float, float] = (0.4, 0.6)


# between what `tests/benchmarks/prediction.py` finds on the samples and on MiniLM
PRIOR = Prior()
SCALES = np.linspace(-2.1, 2.1, 21)
POWERS = np.linspace(0.7, 2.2, 16)
SPREADS = np.array([0.06, 0.1, 0.15, 0.2, 0.27, 0.35, 0.45, 0.6, 0.8, 1.05])
LIMITS = np.array([1.0, 1.2, 1.5, 2.0, 2.8, 4.5, 9.0])  # times the most that was ever measured
DRAWS = 4000
SPREAD_SD = 0.8  # of the logarithm of the spread, beforehand: few plans are to say how alike they are


@dataclass(frozen=True)
class LinkFit:
    """Joint harm by total harm.

    Attributes:
        total: ascending, from 0.
        joint, low, high: expected (median), and within which 95 % of measured plans should lie.
        bound: what `CAUTION` of the plans do not exceed.
    """

    total: tuple[float, ...]
    joint: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    bound: tuple[float, ...]


def fit_link(
    measured: Sequence[Joint],
    totals: Sequence[float],
    worst: float,
    prior: Prior = PRIOR,
    seed: int = 0,
    noise: Callable[[float], float] = lambda harm: 0.0,
) -> LinkFit:
    """Fit the curve.

    Args:
        measured: plans, in any order.
        totals: at which the curve is told, ascending, the first 0.
        worst: the largest harm that any cut or plan was measured to do, above 0.
        prior: belief without plans.
        seed: of the draws.
        noise: standard error with which a plan that does so much harm is measured. All plans were measured on the same
            examples, so that it does not average out; and the curve knows a plan no better than that.

    Returns:
        A curve of finite numbers; `low <= joint <= high`, none of them falling.
    """
    scale, power, spread, limit = (
        axis.ravel() for axis in np.meshgrid(SCALES, POWERS, SPREADS, LIMITS * worst, indexing="ij")
    )
    log_weight = (
        -0.5 * ((scale - prior.log_scale[0]) / prior.log_scale[1]) ** 2
        - 0.5 * ((power - prior.power[0]) / prior.power[1]) ** 2
        - 0.5 * (np.log(spread / prior.spread) / SPREAD_SD) ** 2
        - 0.5 * ((np.log(limit / worst) - prior.limit[0]) / prior.limit[1]) ** 2
    )
    least = (1e-6 * worst) ** 2  # noise that is not measured, such as rounding
    for plan in measured:
        many = 1 - plan.alone
        expected = plan.alone * plan.total + many * _curve(plan.total, scale, power, limit)
        steep = many * spread * _steep(plan.total, scale, power, limit)
        error = np.sqrt(steep**2 + plan.error**2 + least)
        # Student's t with 4 degrees: one odd plan must not decide
        log_weight += plan.share * (-np.log(error) - 2.5 * np.log1p(((plan.joint - expected) / error) ** 2 / 4))
    weight = np.exp(log_weight - log_weight.max())
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(weight), DRAWS, p=weight / weight.sum())
    odd, measuring = rng.standard_t(4, DRAWS), rng.standard_normal(DRAWS)
    found = []
    for total in totals:
        expected = _curve(total, scale[chosen], power[chosen], limit[chosen])
        steep = _steep(total, scale[chosen], power[chosen], limit[chosen])
        middle = float(np.median(expected))
        drawn = expected + odd * spread[chosen] * steep + measuring * noise(middle)
        found.append((middle, *np.quantile(drawn, (0.025, 0.975, CAUTION))))
    joint, low, high, bound = (np.maximum.accumulate(np.array(column)) for column in zip(*found, strict=True))
    return LinkFit(
        tuple(totals), tuple(joint.tolist()), tuple(np.minimum(low, joint).tolist()),
        tuple(np.maximum(high, joint).tolist()), tuple(np.maximum(bound, joint).tolist()),
    )  # fmt: skip


def _curve(total: float, scale: Array, power: Array, limit: Array) -> Array:
    """Expected joint harm."""
    if total <= 0:
        return np.zeros_like(scale)
    return limit * -np.expm1(-_unlimited(total, scale, power) / limit)


def _steep(total: float, scale: Array, power: Array, limit: Array) -> Array:
    """By how much the joint harm moves for each relative change of what goes into the curve.

    At the limit next to none: all plans are equally bad there. A twentieth of the limit stays, for it is not sharp.
    """
    if total <= 0:
        return np.zeros_like(scale)
    raw = _unlimited(total, scale, power)
    return raw * np.exp(-raw / limit) + 0.05 * limit * -np.expm1(-raw / limit)


def _unlimited(total: float, scale: Array, power: Array) -> Array:
    return np.exp(np.minimum(scale + power * np.log(total), 50.0))
