"""The cheapest plan whose measured drop is within a tolerance: solve, measure, correct, again."""

import math
import statistics
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from core.plans.plan import SparsityPlan
from core.plans.prediction import Predictor, harm_within
from core.tuning.predictor import MeasuredJoint

MAX_PLANS = 10
ENOUGH = 1.03  # the harm of the mildest plan that is beyond, as a multiple of the harshest within: then it is found
INWARDS = 0.05  # of the bracket: a guess is kept so far away from both of its ends

HALVINGS = 24
MILDER, MOST_MILDER = 0.5, 3  # where no plan held on other examples: a share of the harm, so often

Propose = Callable[[float], SparsityPlan]  # the cheapest plan whose cuts alone do at most so much harm
Measure = Callable[[SparsityPlan], MeasuredJoint | None]  # None: the model cannot run with it
Correct = Callable[[Sequence[MeasuredJoint]], Predictor]


@dataclass(frozen=True)
class Try:
    """A plan that was proposed and measured.

    Attributes:
        harm: predicted, summed over its cuts.
        within: whether all of the measured drop's interval lies within the tolerance, and every guard is kept.
        measured: `None` if the model cannot run with it.
    """

    plan: SparsityPlan
    harm: float
    within: bool
    measured: MeasuredJoint | None


@dataclass(frozen=True)
class Minimum:
    """What was found.

    Attributes:
        best: the harshest plan within the tolerance; `None` if none was.
        tries: in order.
        settled: a plan little harsher than `best` is beyond, or there is none; else the number of plans ran out.
    """

    best: Try | None
    tries: tuple[Try, ...]
    settled: bool


def find_minimum(
    predictor: Predictor,
    tolerance: float,
    propose: Propose,
    measure: Measure,
    correct: Correct,
    max_plans: int = MAX_PLANS,
    keeps: Callable[[SparsityPlan], bool] = lambda plan: True,
    on_try: Callable[[Try], None] = lambda tried: None,
) -> Minimum:
    """Search by the harm that a plan may do: what is measured to be within moves the lower end up, else the upper down.

    The next harm is where the corrected prediction meets the tolerance, less half an interval, for the whole interval
    has to lie within; and never outside of the bracket, however wrong the prediction is.

    Args:
        predictor: to begin with.
        tolerance: of the drop, in the metric's unit.
        propose: harsher plans for more harm.
        measure: on the examples that the answer is about.
        correct: the predictor with these measured plans; also those that were measured before.
        max_plans: to measure at most.
        keeps: whether a plan that was measured is within in every other way that was asked for.
        on_try: told of each plan that was measured.
    """
    tries: list[Try] = []
    best: Try | None = None
    low, high = -math.inf, math.inf  # a plan may do no harm at all
    while len(tries) < max_plans:
        new = _fresh(propose, predictor, tries, _next(predictor, tolerance, tries, low, high), low, high)
        if new is None:
            return Minimum(best, tuple(tries), settled=True)
        plan, harm = new
        found = measure(plan)
        within = found is not None and found.drop.high <= tolerance and keeps(plan)
        tries.append(Try(plan, harm, within, found))
        on_try(tries[-1])
        if within:
            best, low = tries[-1], harm
        else:
            high = min(high, harm)
        predictor = correct([one.measured for one in tries if one.measured is not None])
        if low > 0 and high <= ENOUGH * low:
            return Minimum(best, tuple(tries), settled=True)
    return Minimum(best, tuple(tries), settled=False)


def milder(
    predictor: Predictor, propose: Propose, harm: float, tried: Collection[SparsityPlan]
) -> tuple[SparsityPlan, float] | None:
    """A plan that was not tried, of half the harm or less, with its harm; `None` if nothing so mild cuts anything.

    Args:
        predictor, propose: as for `find_minimum`.
        harm: of the mildest plan that was taken to be within.
        tried: plans that were measured.
    """
    at = harm
    for _ in range(HALVINGS):
        at *= MILDER
        plan = propose(at)
        if not plan.cuts:
            return None
        if plan not in tried:
            return plan, predictor.predict(plan).harm
    return None


def _next(predictor: Predictor, tolerance: float, tries: Sequence[Try], low: float, high: float) -> float:
    """Where to try: as predicted, inside the bracket."""
    low = max(low, 0.0)
    reaches = [one.measured.drop.high - one.measured.drop.value for one in tries[-3:] if one.measured is not None]
    aim = tolerance - (statistics.median(reaches) if reaches else 0.0)
    # beyond the last that the link knows a guess says nothing; what is measured there moves it on
    guess = min(max(0.0, harm_within(predictor, aim)), predictor.link.harm[-1]) if aim > 0 else 0.0
    if math.isinf(high):
        return max(guess, 1.2 * low)
    margin = INWARDS * (high - low)
    return guess if low + margin < guess < high - margin else _between(low, high)


def _fresh(
    propose: Propose, predictor: Predictor, tries: Sequence[Try], guess: float, low: float, high: float
) -> tuple[SparsityPlan, float] | None:
    """A plan inside the bracket that was not tried, with its harm, as near to the guess as halving comes.

    Levels are discrete, so a guess may fall on a plan that was tried. `None` if the bracket holds no other.
    """
    mild, harsh, at = low, high, guess
    for _ in range(HALVINGS):
        plan = propose(at)
        harm = predictor.predict(plan).harm
        if plan.cuts and low < harm < high and not any(plan == one.plan for one in tries):
            return plan, harm
        if not plan.cuts or harm <= low:
            mild = max(mild, at)
        else:
            harsh = min(harsh, at)
        at = _between(mild, harsh)
    return None


def _between(low: float, high: float) -> float:
    """The middle of the bracket, in ratios where that has a meaning."""
    low = max(low, 0.0)
    if math.isinf(high):
        return 2 * low
    return math.sqrt(low * high) if low else high / 4
