"""A predictor made of cells and measured plans."""

import json
import math
from dataclasses import replace

import pytest

from core.plans.plan import Cut, SparsityPlan
from core.plans.prediction import Predictor
from core.sensitivity.report import CellResult, Estimate
from core.tuning.predictor import MeasuredJoint, make_predictor
from core.workload.scale import Scale

ACCURACY = Scale("accuracy", "fraction", True, 0.0, 1.0)
PERPLEXITY = Scale("perplexity", "perplexity", False, 1.0, None, "exp_mean")
DENSE = Estimate(0.9, 0.88, 0.92, 1000)


def cell(target, sparsity, drop, stage="full", scale=ACCURACY, dense=0.9, granularity="weight"):
    value = dense - drop if scale.higher_is_better else dense + drop
    return CellResult(
        Cut(target, granularity, sparsity),
        10,
        100,
        "measured",
        Estimate(value, value - 0.01, value + 0.01, 1000),
        Estimate(drop, drop - 0.004, drop + 0.004, 1000),
        stage=stage,
    )


def harm(accuracy):
    return math.log(0.905 / 0.105) - math.log((accuracy + 0.005) / (1.005 - accuracy))


def test_harm_is_how_far_a_cut_moves_the_log_odds():
    found = make_predictor([cell("a", 0.5, 0.1), cell("a", 0.9, 0.4)], ACCURACY, DENSE)
    curve = found.curve_of(Cut("a", "weight", 0.5))
    assert found.space == "log-odds"
    assert curve.sparsities == (0.0, 0.5, 0.9)
    assert curve.harm == pytest.approx((0.0, harm(0.8), harm(0.5)))
    assert curve.at(0.25) == pytest.approx(harm(0.8) / 2)
    assert curve.at(0.7) == pytest.approx((harm(0.8) + harm(0.5)) / 2)


def test_of_a_perplexity_it_is_the_loss():
    dense = Estimate(8.0, 7.9, 8.1, 500)
    found = make_predictor([cell("a", 0.5, 2.0, scale=PERPLEXITY, dense=8.0)], PERPLEXITY, dense)
    assert found.harm_of(Cut("a", "weight", 0.5)) == pytest.approx(math.log(10 / 8))


def test_a_curve_never_falls_and_noise_is_shared_between_neighbours():
    cells = [cell("a", 0.1, -0.01), cell("a", 0.3, 0.06), cell("a", 0.5, 0.02), cell("a", 0.7, 0.3)]
    found = make_predictor(cells, ACCURACY, DENSE).curve_of(Cut("a", "weight", 0.1))
    both = (harm(0.84) + harm(0.88)) / 2
    assert found.harm == pytest.approx((0.0, 0.0, both, both, harm(0.6)))


def test_a_cut_without_effect_does_no_harm_and_a_failed_or_waiting_one_is_not_known():
    nothing = replace(cell("a", 0.5, 0.0), state="no effect")
    failed = CellResult(Cut("b", "weight", 0.5), 1, 2, "failed", reason="it broke")
    waiting = CellResult(Cut("c", "weight", 0.5), 1, 2)
    found = make_predictor([nothing, failed, waiting, cell("d", 0.5, 0.1)], ACCURACY, DENSE)
    assert found.harm_of(Cut("a", "weight", 0.5)) == 0
    assert found.harm_of(Cut("b", "weight", 0.5)) is None
    assert found.harm_of(Cut("c", "weight", 0.5)) is None
    assert make_predictor([failed, waiting], ACCURACY, DENSE) is None


def test_what_a_search_left_early_is_taken_only_above_what_it_settled():
    cells = [cell("a", 0.3, 0.09, "early"), cell("a", 0.5, 0.02, "decided"), cell("a", 0.9, 0.5, "early")]
    found = make_predictor(cells, ACCURACY, DENSE).curve_of(Cut("a", "weight", 0.5))
    assert found.sparsities == (0.0, 0.5, 0.9)


def test_heads_blocks_patterns_and_groups_have_curves_of_their_own():
    cells = [
        replace(cell("attn:0", 0.5, 0.05), cut=Cut("attn:0", "head")),
        replace(cell("a", 0.5, 0.02), cut=Cut("a", "2:4")),
        replace(cell("a", 0.5, 0.3), cut=Cut("a", "channel", 0.5, align=8)),
    ]
    found = make_predictor(cells, ACCURACY, DENSE)
    assert found.harm_of(Cut("attn:0", "head")) == pytest.approx(harm(0.85))
    assert found.harm_of(Cut("a", "2:4")) == pytest.approx(harm(0.88))
    assert found.harm_of(Cut("a", "channel", 0.5, align=8)) == pytest.approx(harm(0.6))
    assert found.harm_of(Cut("a", "channel", 0.5)) is None  # another alignment removes other channels


def test_the_empty_plan_is_predicted_to_be_the_dense_model():
    found = make_predictor([cell("a", 0.5, 0.1)], ACCURACY, DENSE).predict(SparsityPlan())
    assert (found.harm, found.metric, found.low, found.high) == (0.0, 0.9, 0.9, 0.9)
    assert (found.drop, found.drop_low, found.drop_high) == (0.0, 0.0, 0.0)
    assert found.guesses == ()


def test_what_was_not_measured_makes_it_a_guess():
    found = make_predictor([cell("a", 0.5, 0.1)], ACCURACY, DENSE)
    beyond = found.predict(SparsityPlan((Cut("a", "weight", 0.7),)))
    assert beyond.guesses == ("a was not measured at so high a sparsity",)
    assert beyond.harm == pytest.approx(harm(0.8) * 0.7 / 0.5)
    unknown = found.predict(SparsityPlan((Cut("a", "weight", 0.4), Cut("b", "weight", 0.5), Cut("c", "weight", 0.5))))
    assert unknown.guesses == ("nothing was measured of b and 1 more cut in this way",)


def joint(sparsity, drop):
    plan = SparsityPlan((Cut("a", "weight", sparsity), Cut("b", "weight", sparsity)))
    around = (drop - 0.01, drop + 0.01, 1000)
    return MeasuredJoint(plan, DENSE, Estimate(0.9 - drop, *around), Estimate(drop, *around))


def test_measured_plans_correct_the_prediction():
    cells = [cell(name, s, d) for name in "ab" for s, d in ((0.3, 0.01), (0.5, 0.03), (0.7, 0.1))]
    plan = SparsityPlan((Cut("a", "weight", 0.6), Cut("b", "weight", 0.6)))
    alone = make_predictor(cells, ACCURACY, DENSE)
    told = make_predictor(cells, ACCURACY, DENSE, [joint(0.3, 0.05), joint(0.5, 0.16), joint(0.7, 0.5)])
    before, after = alone.predict(plan), told.predict(plan)
    assert (alone.n_plans, told.n_plans) == (0, 3)
    assert before.drop < 0.12
    assert 0.16 < after.drop < 0.5  # between those that were measured beside it


def test_plans_as_expected_narrow_the_interval():
    cells = [cell(name, s, d) for name in "ab" for s, d in ((0.3, 0.01), (0.5, 0.03), (0.7, 0.1))]
    plan = SparsityPlan((Cut("a", "weight", 0.6), Cut("b", "weight", 0.6)))
    alone = make_predictor(cells, ACCURACY, DENSE)
    expected = {
        s: alone.predict(SparsityPlan((Cut("a", "weight", s), Cut("b", "weight", s)))) for s in (0.5, 0.55, 0.65, 0.7)
    }
    told = make_predictor(cells, ACCURACY, DENSE, [joint(s, of.drop) for s, of in expected.items()])
    before, after = alone.predict(plan), told.predict(plan)
    assert after.drop == pytest.approx(before.drop, rel=0.1)
    assert after.drop_high - after.drop_low < 0.7 * (before.drop_high - before.drop_low)


def test_a_plan_that_cuts_what_has_no_curve_corrects_nothing():
    other = MeasuredJoint(
        SparsityPlan((Cut("z", "weight", 0.5),)), DENSE, Estimate(0.5, 0.4, 0.6, 100), Estimate(0.4, 0.3, 0.5, 100)
    )
    assert make_predictor([cell("a", 0.5, 0.1)], ACCURACY, DENSE, [other]).n_plans == 0


def test_survives_json():
    found = make_predictor([cell("a", 0.5, 0.1), cell("b", 0.9, 0.4)], ACCURACY, DENSE, [])
    assert Predictor.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_cuts_that_never_had_an_effect_predict_nothing():
    nothing = replace(cell("a", 0.5, 0.0), state="no effect")
    assert make_predictor([nothing], ACCURACY, DENSE) is None


def predicted_in(unit):
    """Of three cuts that each raise an error without a range by 0.4, in a unit of its own."""
    scale = Scale("error", "units", False, None, None)
    dense = Estimate(2.0 * unit, 1.9 * unit, 2.1 * unit, 100)
    drop = Estimate(0.4 * unit, 0.39 * unit, 0.41 * unit, 100)
    metric = Estimate(2.4 * unit, 2.3 * unit, 2.5 * unit, 100)
    cells = [replace(cell(name, 0.5, 0.0), drop=drop, metric=metric) for name in "abc"]
    plan = SparsityPlan(tuple(Cut(name, "weight", 0.5) for name in "abc"))
    found = make_predictor(cells, scale, dense).predict(plan)
    return [value / unit for value in (found.drop_low, found.drop, found.drop_high)]


@pytest.mark.parametrize("unit", [1e-4, 1e4])
def test_a_metric_without_a_range_is_predicted_alike_in_every_unit(unit):
    low, drop, high = predicted_in(1.0)
    assert low < drop < high < 5
    assert drop > 0.4  # of one alone
    assert predicted_in(unit) == pytest.approx([low, drop, high], rel=1e-6)


def many(granularity, drop=0.02, n=8):
    names = [f"{granularity}{i}" for i in range(n)]
    cuts = [Cut(name, granularity, None if granularity == "head" else 0.5) for name in names]
    return [replace(cell("x", 0.5, drop), cut=cut) for cut in cuts]


def measured_plan(cells, drop):
    around = (drop - 0.01, drop + 0.01, 1000)
    return MeasuredJoint(
        SparsityPlan(tuple(one.cut for one in cells)), DENSE, Estimate(0.9 - drop, *around), Estimate(drop, *around)
    )


def test_kinds_of_cuts_do_not_correct_one_another():
    ruin = replace(cell("x", 0.9, 0.8), cut=Cut("x", "weight", 0.9))  # how bad it can become is known from any cut
    weights, channels = [*many("weight"), ruin], many("channel")
    some, others = SparsityPlan(tuple(one.cut for one in channels[:5])), SparsityPlan(tuple(c.cut for c in weights[:5]))
    alone = make_predictor([*weights, *channels], ACCURACY, DENSE)
    told = make_predictor([*weights, *channels], ACCURACY, DENSE, [measured_plan(weights[:k], 0.7) for k in (6, 7, 8)])
    assert told.predict(others).drop > 2 * alone.predict(others).drop
    assert told.predict(some).drop == pytest.approx(alone.predict(some).drop, rel=0.1)
    assert told.kinds == ("weights",)


def test_a_plan_of_both_kinds_corrects_both_by_its_share():
    weights, channels = many("weight"), many("channel")
    some = SparsityPlan(tuple(one.cut for one in channels[:5]))
    alone = make_predictor([*weights, *channels], ACCURACY, DENSE)
    both = [measured_plan([*weights[:k], *channels[:k]], 0.75) for k in (6, 7, 8)]
    assert make_predictor([*weights, *channels], ACCURACY, DENSE, both).predict(some).drop > alone.predict(some).drop


def test_what_was_swept_is_never_predicted_otherwise():
    cells = [cell("a", 0.5, -0.01), cell("a", 0.7, 0.4), cell("b", 0.5, 0.1, "early")]
    found = make_predictor(cells, ACCURACY, DENSE, [joint(0.3, 0.5), joint(0.5, 0.5), joint(0.7, 0.5)])
    told = found.predict(SparsityPlan((Cut("a", "weight", 0.7),)))
    assert (told.drop, told.drop_low, told.drop_high, told.measured) == (0.4, 0.396, 0.404, 1000)
    better = found.predict(SparsityPlan((Cut("a", "weight", 0.5),)))
    assert (better.drop, better.measured) == (-0.01, 1000)  # though the curve through it never lies below the dense
    assert found.predict(SparsityPlan((Cut("a", "weight", 0.6),))).measured is None
    assert found.predict(SparsityPlan((Cut("b", "weight", 0.5),))).measured is None  # a search left it on a few
    forecast = make_predictor([*cells, cell("c", 0.5, 0.1, "forecast")], ACCURACY, DENSE, [])
    assert forecast.predict(SparsityPlan((Cut("c", "weight", 0.5),))).measured is None


def test_a_measured_plan_is_said_as_it_was_measured():
    weights = many("weight")
    plan = measured_plan(weights[:4], 0.31)
    told = make_predictor(weights, ACCURACY, DENSE, [plan]).predict(plan.plan)
    assert (told.drop, told.drop_low, told.drop_high, told.measured) == (0.31, 0.3, 0.32, 1000)


def test_plans_of_one_cut_say_nothing_of_how_cuts_interact():
    weights = many("weight")
    assert make_predictor(weights, ACCURACY, DENSE, [measured_plan(weights[:1], 0.5)]).n_plans == 0


def test_the_bound_lies_between_the_prediction_and_the_upper_end():
    weights = many("weight")
    told = make_predictor(weights, ACCURACY, DENSE).predict(SparsityPlan(tuple(one.cut for one in weights)))
    assert told.drop < told.drop_bound < told.drop_high


def test_the_interval_of_a_mild_plan_is_no_narrower_than_the_noise_of_its_measurement():
    cells = [replace(one, drop=Estimate(0.0, -0.02, 0.02, 1000)) for one in many("weight", 0.0, 20)]
    cells += many("weight", 0.3, 1)[:1]
    told = make_predictor(cells, ACCURACY, DENSE).predict(SparsityPlan(tuple(one.cut for one in cells[1:12])))
    assert told.drop_high - told.drop_low > 0.03
