"""Plans that are worth measuring because they tell how cuts interact."""

import pytest

from core.plans.prediction import HarmCurve, Link, Predictor
from core.tuning.anchors import anchor_plans
from core.workload.scale import Scale

ACCURACY = Scale("accuracy", "fraction", True, 0.0, 1.0)
LINK = Link((0.0, 4.0), (0.9, 0.1), (0.9, 0.1), (0.9, 0.1))


def predictor(*curves):
    return Predictor(ACCURACY, 0.9, 100, "log-odds", {curve.key: curve for curve in curves}, LINK)


def layer(name, harm=1.0, to=0.9):
    return HarmCurve(name, "weight", "magnitude", 1, (0.0, to), (0.0, harm))


def head(name, harm):
    return HarmCurve(name, "head", None, 1, (0.0, 1.0), (0.0, harm))


def test_every_layer_loses_as_much_and_the_sums_stand_in_equal_ratios():
    found = predictor(layer("a"), layer("b", 0.5))
    plans = anchor_plans(found, ("weight",), n=3)
    sums = [sum(found.harm_of(cut) for cut in plan.cuts) for plan in plans]
    assert all(len({cut.sparsity for cut in plan.cuts}) == 1 for plan in plans)
    assert sums == pytest.approx([0.03, 0.03 * 50**0.5, 1.5], rel=1e-2)  # the worst single cut does 1


def test_no_cut_goes_beyond_what_was_measured():
    plans = anchor_plans(predictor(layer("a", 1.0, 0.5), layer("b", 0.01, 0.9)), ("weight",))
    assert max(cut.sparsity for plan in plans for cut in plan.cuts if cut.target == "a") <= 0.5


def test_of_heads_some_go_whole():
    plans = anchor_plans(predictor(*(head(f"h:{i}", 0.1) for i in range(20))), ("head",))
    n_cut = [len(plan.cuts) for plan in plans]
    assert n_cut == sorted(n_cut)
    assert n_cut[0] >= 1
    assert all(cut.sparsity is None for plan in plans for cut in plan.cuts)


def test_other_granularities_stay_and_equal_plans_count_once():
    assert anchor_plans(predictor(layer("a")), ("channel",)) == ()
    assert len(anchor_plans(predictor(head("h:0", 1.0)), ("head",))) == 1


def test_cuts_without_any_harm_teach_nothing():
    assert anchor_plans(predictor(layer("a", 0.0)), ("weight",)) == ()


def test_no_sparsity_is_rounded_beyond_what_was_measured():
    for last in (2 / 3, 0.99999):
        plans = anchor_plans(predictor(layer("a", 1.0, last)), ("weight",))
        assert all(cut.sparsity <= last for plan in plans for cut in plan.cuts)
