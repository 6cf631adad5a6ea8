"""What a plan should cost by hand, on links of few points; and back from a drop to the harm that costs it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.plans.plan import Cut, SparsityPlan
from core.plans.prediction import HarmCurve, Known, Link, Prediction, Predictor, harm_within
from tests.scales import ACCURACY

# a harm of 1 takes 10 points, of 3 no more than 20
LINK = Link((0.0, 1.0, 3.0), (0.9, 0.8, 0.7), (0.88, 0.75, 0.6), (0.92, 0.85, 0.8))
PREDICTOR = Predictor(ACCURACY, 0.9, 100, "metric", {}, LINK)


@pytest.mark.parametrize(("tolerance", "harm"), [(0.05, 0.5), (0.1, 1.0), (0.15, 2.0)])
def test_the_harm_within_a_tolerance_lies_on_the_link(tolerance, harm):
    assert harm_within(PREDICTOR, tolerance) == pytest.approx(harm)


def test_nothing_is_known_to_be_too_much_where_all_is_within_and_nothing_is_within_less_than_no_drop():
    assert harm_within(PREDICTOR, 0.3) == float("inf")
    assert harm_within(PREDICTOR, -0.1) == float("-inf")


@given(st.floats(0.001, 0.199))
def test_the_harm_within_a_tolerance_is_predicted_to_cost_it(tolerance):
    metric, _, _ = PREDICTOR.metric_at(harm_within(PREDICTOR, tolerance))
    assert 0.9 - metric == pytest.approx(tolerance)


def curve(name, granularity="weight", harm=1.0):
    criterion = None if granularity in ("head", "block") else "magnitude"
    return HarmCurve(name, granularity, criterion, 1, (0.0, 1.0), (0.0, harm))


def flat(metric):
    """A link that says one metric whatever the harm, one point around it, and a bound half a point below."""
    return Link((0.0, 9.0), (metric, metric), (metric - 0.01,) * 2, (metric + 0.01,) * 2, (metric - 0.005,) * 2)


def of_kinds(*curves, **more):
    links = {"weights": flat(0.5), "structure": flat(0.7)}
    return Predictor(
        ACCURACY, 0.9, 100, "metric", {one.key: one for one in curves}, flat(0.1), 0, links, flat(0.9), **more
    )


def whole(*curves):
    return SparsityPlan(tuple(Cut(c.target, c.granularity, None if c.criterion is None else 0.5) for c in curves))


def test_one_cut_does_what_it_does_alone_and_many_do_what_the_link_says():
    for n in (1, 2, 5, 50):
        layers = [curve(f"l{i}") for i in range(n)]
        found = of_kinds(*layers).predict(whole(*layers))
        assert found.metric == pytest.approx(0.9 / n + 0.5 * (1 - 1 / n))
        assert (found.high - found.metric, found.metric - found.low) == pytest.approx((0.01, 0.01))
        assert found.drop_bound == pytest.approx(found.drop + 0.005)


def test_the_links_of_several_families_count_by_their_share_of_the_harm():
    a, b, head = curve("a"), curve("b"), curve("h:0", "head", 1.5)  # 0.5 + 0.5 + 1.5
    found = of_kinds(a, b, head).predict(whole(a, b, head))
    alone = 0.2**2 + 0.2**2 + 0.6**2
    assert found.metric == pytest.approx(0.9 * alone + (1 - alone) * (0.4 * 0.5 + 0.6 * 0.7))


def test_a_family_without_a_link_of_its_own_has_the_common_one():
    a, b = curve("a", "block"), curve("b", "block")
    assert of_kinds(a, b).predict(whole(a, b)).metric == pytest.approx((0.9 + 0.1) / 2)


def test_cuts_that_do_no_harm_count_alike():
    a, head = curve("a", harm=0.0), curve("h:0", "head", 0.0)
    assert of_kinds(a, head).predict(whole(a, head)).metric == pytest.approx(0.9 / 2 + 0.5 / 4 + 0.7 / 4)


def test_of_what_was_measured_it_says_what_that_gave_and_on_how_many():
    a, b = curve("a"), curve("b")
    plan = whole(a, b)
    known = Known(plan.cuts, 0.62, 0.6, 0.64, 0.28, 0.25, 0.31, 777)
    predictor = of_kinds(a, b, known={plan.cuts: known})
    found = predictor.predict(plan)
    assert (found.metric, found.low, found.high, found.measured) == (0.62, 0.6, 0.64, 777)
    assert (found.drop, found.drop_low, found.drop_high, found.drop_bound) == (0.28, 0.25, 0.31, 0.31)
    assert predictor.predict(whole(a)).measured is None
    assert Predictor.from_json(json.loads(json.dumps(predictor.to_json()))) == predictor


def test_a_prediction_is_written_as_older_builds_wrote_it_where_it_says_no_more():
    old = {"harm": 1.0, "metric": 0.8, "low": 0.7, "high": 0.9, "drop": 0.1, "drop_low": 0.0, "drop_high": 0.2,
           "guesses": []}  # fmt: skip
    assert Prediction.from_json(old).to_json() == old
    new = {**old, "drop_bound": 0.15, "measured": 9}
    assert Prediction.from_json(new).to_json() == new
