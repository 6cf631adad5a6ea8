"""Plans that are worth measuring because they tell how cuts interact."""

import pytest

from core.plans.prediction import HarmCurve, Link, Predictor
from core.tuning.anchors import anchor_plans, calibrating_plans
from core.workload.description import Description
from core.workload.scale import Scale
from core.workload.target import Target

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


def found_with(*targets):
    n = sum(target.n_weights for target in targets)
    return Description("x", "x", "f", ACCURACY, 10, None, None, 10, n, targets, ())


def test_most_calibrating_plans_are_the_solvers_and_some_uniform():
    names = [f"l{i}" for i in range(6)]
    curves = [HarmCurve(name, "weight", "magnitude", 1, (0.0, 0.5, 0.9), (0.0, 0.01 * 3**i, 0.1 * 3**i))
              for i, name in enumerate(names)]  # fmt: skip
    found = found_with(*(Target(name, "weight", "Linear", f"{name}.weight", (100, 1), 100) for name in names))
    plans = calibrating_plans(predictor(*curves), found, n=6)
    uniform = [plan for plan in plans if len(plan.cuts) == 6 and len({cut.sparsity for cut in plan.cuts}) == 1]
    assert len(uniform) == 2
    assert 4 <= len(plans) <= 6  # levels are few: some of the solver's are one plan
    solved = [plan for plan in plans if plan not in uniform]
    assert all(len({cut.sparsity for cut in plan.cuts}) > 1 for plan in solved)
    assert all(plan.sparsity_of("l0") >= plan.sparsity_of("l5") for plan in solved)  # what is sensitive loses less


def test_each_family_has_calibrating_plans_of_its_own_and_what_cannot_be_solved_for_is_uniform():
    weights = [Target(name, "weight", "Linear", f"{name}.weight", (100, 1), 100) for name in "ab"]
    found = found_with(*weights, *(Target(f"h:{i}", "head", "Attention", "h", (10,), 10, layer="h") for i in range(6)))
    curves = [layer("a"), layer("b", 0.5), *(head(f"h:{i}", 0.1 * (i + 1)) for i in range(6))]
    plans = calibrating_plans(predictor(*curves), found)
    kinds = [{cut.granularity for cut in plan.cuts} for plan in plans]
    assert {"weight"} in kinds
    assert {"head"} in kinds
    assert all(len(kind) == 1 for kind in kinds)
    assert calibrating_plans(predictor(*curves), found, ("weight",)) == tuple(
        plan for plan, kind in zip(plans, kinds, strict=True) if kind == {"weight"}
    )
