"""In which terms harm adds up."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tuning.spaces import metric_at, position, slope, space_of
from core.workload.scale import Scale

ACCURACY = Scale("accuracy", "fraction", True, 0.0, 1.0)
ERROR = Scale("error", "fraction", False, 0.0, 1.0)
PERPLEXITY = Scale("perplexity", "perplexity", False, 1.0, None, "exp_mean")
COSINE = Scale("cosine", "cosine", True, None, 1.0)


@pytest.mark.parametrize(
    ("scale", "space"), [(ACCURACY, "log-odds"), (ERROR, "log-odds"), (PERPLEXITY, "log"), (COSINE, "metric")]
)
def test_a_fraction_adds_up_in_log_odds_a_perplexity_in_its_logarithm_the_rest_as_it_is(scale, space):
    assert space_of(scale) == space


def test_half_is_the_middle_of_log_odds_and_worse_is_higher():
    assert position(ACCURACY, "log-odds", 0.5) == pytest.approx(0.0)
    assert position(ACCURACY, "log-odds", 0.9) == pytest.approx(-math.log(0.905 / 0.105))
    assert position(ERROR, "log-odds", 0.9) > position(ERROR, "log-odds", 0.5)
    assert position(PERPLEXITY, "log", 10.0) == pytest.approx(math.log(10))
    assert position(COSINE, "metric", 0.3) == -0.3


@pytest.mark.parametrize("scale", [ACCURACY, ERROR])
@given(value=st.floats(0, 1))
def test_there_and_back_is_where_it_was(scale, value):
    assert metric_at(scale, "log-odds", position(scale, "log-odds", value)) == pytest.approx(value, abs=1e-9)


def test_a_metric_stays_in_its_range_however_much_harm_is_done():
    assert metric_at(ACCURACY, "log-odds", 1e6) == 0.0
    assert metric_at(ACCURACY, "log-odds", -1e6) == 1.0
    assert metric_at(PERPLEXITY, "log", -5.0) == 1.0
    assert metric_at(COSINE, "metric", -2.0) == 1.0


@pytest.mark.parametrize(("scale", "at"), [(ACCURACY, 0.8), (ERROR, 0.3), (PERPLEXITY, 7.0), (COSINE, 0.4)])
def test_the_slope_is_that_of_a_small_step(scale, at):
    space, step = space_of(scale), 1e-6
    rise = (position(scale, space, at + step) - position(scale, space, at - step)) / (2 * step)
    assert slope(scale, space, at) == pytest.approx(abs(rise), rel=1e-5)
