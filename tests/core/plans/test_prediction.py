"""Going back from a drop to the harm that is predicted to cost it, by hand on a link of three points."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.plans.prediction import Link, Predictor, harm_within
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
