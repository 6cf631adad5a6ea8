"""The curve from the harm of cuts alone to the harm of all together."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.tuning.link_fit import Joint, fit_link

TOTALS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def test_no_cut_does_no_harm_and_the_interval_there_is_the_noise_of_the_measurement():
    fit = fit_link((), TOTALS, worst=4.0, noise=lambda harm: 0.05)
    assert fit.joint[0] == 0
    assert -0.11 < fit.low[0] < -0.085  # 0.05 standard error, 95 %: ±0.098
    assert 0.085 < fit.high[0] < 0.11
    assert 0.055 < fit.bound[0] < 0.075  # 90 %, one-sided: 0.064


def test_without_plans_the_interval_is_wide_and_narrows_with_each():
    law = [Joint(total, 1.5 * total**1.3, 0.02) for total in (0.1, 0.2, 0.4, 0.7, 1.0, 1.2)]
    widths = []
    for n in (0, 3, 6):
        fit = fit_link(law[:n], TOTALS, worst=10.0)
        widths.append(fit.high[4] - fit.low[4])
    assert widths[0] > 1.2 * widths[1] > 1.2 * widths[2]


def test_finds_the_law_that_measured_plans_follow():
    law = [Joint(total, 1.5 * total**1.3, 0.02) for total in np.geomspace(0.05, 2.0, 12)]
    fit = fit_link(law, TOTALS, worst=100.0)
    for total, joint in zip(TOTALS[1:5], fit.joint[1:5], strict=True):
        assert joint == pytest.approx(1.5 * total**1.3, rel=0.25, abs=0.03)


def test_a_model_at_its_worst_becomes_no_worse():
    ruined = [Joint(total, 4.0, 0.05) for total in (5.0, 8.0, 12.0, 20.0)]
    fit = fit_link(ruined, (*TOTALS, 100.0), worst=4.0)
    assert fit.joint[-1] == pytest.approx(4.0, rel=0.15)
    assert fit.high[-1] < 6.5


def test_one_odd_plan_does_not_decide():
    law = [Joint(total, total, 0.02) for total in np.geomspace(0.05, 2.0, 12)]
    odd = [*law, Joint(0.5, 5.0, 0.02)]
    plain, moved = (fit_link(plans, TOTALS, worst=10.0) for plans in (law, odd))
    assert moved.joint[4] == pytest.approx(plain.joint[4], rel=0.3)


def test_is_the_same_again():
    plans = [Joint(0.5, 0.7, 0.1)]
    assert fit_link(plans, TOTALS, 4.0) == fit_link(plans, TOTALS, 4.0)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 50), st.floats(-2, 50), st.floats(0, 5)).map(lambda fields: Joint(*fields)), max_size=8
    ),
    st.floats(1e-6, 50),
)
def test_is_finite_and_never_falls_whatever_was_measured(plans, worst):
    fit = fit_link(plans, TOTALS, worst)
    for column in (fit.low, fit.joint, fit.high):
        assert all(map(math.isfinite, column))
    assert list(fit.joint) == sorted(fit.joint)
    assert all(low <= joint <= high for low, joint, high in zip(fit.low, fit.joint, fit.high, strict=True))
