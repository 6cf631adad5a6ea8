"""The search for the cheapest plan within a tolerance, on models whose law is known."""

import pytest

from core.plans.plan import Cut, SparsityPlan
from core.plans.prediction import HarmCurve, Link, Predictor
from core.sensitivity.report import Estimate
from core.tuning.minimum import find_minimum, milder
from core.tuning.predictor import MeasuredJoint
from core.workload.scale import Scale

LOSS = Scale("loss", "nats", False, None, None)
CURVE = HarmCurve("a", "weight", "magnitude", 1, (0.0, 0.99), (0.0, 0.99))  # as much harm as sparsity


def predictor(factor=1.0):
    """A drop of `factor` times the harm."""
    at = (0.0, 4.0)
    ends = tuple(1 + factor * harm for harm in at)
    return Predictor(LOSS, 1.0, 100, "metric", {CURVE.key: CURVE}, Link(at, ends, ends, ends))


def propose(harm):
    return SparsityPlan((Cut("a", "weight", min(0.98, max(0.0, round(harm, 3)))),))


class Model:
    """Whose drop is a function of the sparsity."""

    def __init__(self, law, reach=0.0):
        self.law, self.reach, self.measured = law, reach, []

    def __call__(self, plan):
        sparsity = plan.cuts[0].sparsity
        self.measured.append(sparsity)
        drop = self.law(sparsity)
        interval = (drop - self.reach, drop + self.reach, 100)
        return MeasuredJoint(
            plan, Estimate(1.0, 1.0, 1.0, 100), Estimate(1 + drop, *interval), Estimate(drop, *interval)
        )


def corrected(tries):
    """The simplest correction: through the last plan."""
    last = tries[-1]
    return predictor(last.drop.value / last.plan.cuts[0].sparsity)


@pytest.mark.parametrize("law", [lambda s: s, lambda s: 3 * s, lambda s: 0.3 * s, lambda s: s**3, lambda s: 5 * s**2])
def test_finds_the_sparsity_at_which_the_measured_drop_meets_the_tolerance(law):
    model = Model(law)
    found = find_minimum(predictor(), 0.1, propose, model, corrected)
    best = found.best.plan.cuts[0].sparsity
    assert law(best) <= 0.1
    assert best >= 0.97 or law(min(0.99, best * 1.04)) > 0.1
    assert found.settled


def test_the_whole_interval_has_to_lie_within():
    found = find_minimum(predictor(), 0.1, propose, Model(lambda s: s, reach=0.03), corrected)
    assert found.best.measured.drop.high <= 0.1
    assert found.best.plan.cuts[0].sparsity == pytest.approx(0.07, abs=0.004)


def test_nothing_is_within_a_tolerance_that_the_interval_is_wider_than():
    found = find_minimum(predictor(), 0.01, propose, Model(lambda s: s, reach=0.03), corrected)
    assert found.best is None
    assert found.tries


def test_a_plan_with_which_the_model_cannot_run_is_beyond():
    model = Model(lambda s: s)
    found = find_minimum(predictor(), 0.5, propose, lambda plan: model(plan) if plan.cuts[0].sparsity < 0.2 else None,
                         lambda tries: predictor())  # fmt: skip
    assert found.best.plan.cuts[0].sparsity < 0.2
    assert found.best.plan.cuts[0].sparsity > 0.18


def test_measures_no_plan_twice_and_no_more_than_it_may():
    model = Model(lambda s: 5 * s**2)
    found = find_minimum(predictor(), 0.1, propose, model, lambda tries: predictor(0.01), max_plans=6)
    assert len(model.measured) == len(set(model.measured)) <= 6
    assert len(found.tries) == len(model.measured)


def test_takes_the_harshest_plan_there_is_where_all_are_within():
    found = find_minimum(predictor(), 10.0, propose, Model(lambda s: s), corrected)
    assert found.best.plan.cuts[0].sparsity == 0.98
    assert found.settled


def test_a_plan_that_does_no_harm_alone_is_found_where_all_others_are_ruinous():
    free = HarmCurve("a", "weight", "magnitude", 1, (0.0, 0.9), (0.0, 0.0))
    bad = HarmCurve("b", "weight", "magnitude", 1, (0.0, 0.9), (0.0, 3.0))
    known = Predictor(LOSS, 1.0, 100, "metric", {free.key: free, bad.key: bad}, predictor().link)

    def cheapest(harm):
        cuts = [Cut("a", "weight", 0.9)] if harm >= 0 else []
        return SparsityPlan((*cuts, *([Cut("b", "weight", 0.9)] if harm >= 3 else [])))

    def measure(plan):
        drop = 5.0 if len(plan.cuts) > 1 else 0.0
        around = (drop, drop, 100)
        return MeasuredJoint(plan, Estimate(1.0, 1.0, 1.0, 100), Estimate(1 + drop, *around), Estimate(drop, *around))

    found = find_minimum(known, 4.0, cheapest, measure, lambda tries: known)
    assert found.best.plan == SparsityPlan((Cut("a", "weight", 0.9),))


def test_a_milder_plan_does_half_the_harm_or_less_and_was_not_tried():
    plan, harm = milder(predictor(), propose, 0.4, ())
    assert (plan, harm) == (propose(0.2), pytest.approx(0.2))
    plan, harm = milder(predictor(), propose, 0.4, {propose(0.2), propose(0.1)})
    assert (plan, harm) == (propose(0.05), pytest.approx(0.05))
    assert milder(predictor(), lambda at: SparsityPlan(()), 0.4, ()) is None
