"""Curves where the noise hides what was measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tuning.smooth import CLEAR, SPREAD, USUAL_POWER, Point, smoothed, usual_power


def law(power, sparsities=(0.1, 0.2, 0.4, 0.8), error=1e-6, scale=1.0):
    return [Point(s, scale * s**power, error) for s in sparsities]


def test_the_power_is_that_of_neighbouring_clear_points():
    assert usual_power([law(3), law(3, scale=5.0)]) == pytest.approx(3)
    assert usual_power([law(2), law(3), law(5)]) == pytest.approx(3)


def test_without_two_clear_points_it_is_the_usual_one_and_never_beyond_reason():
    assert usual_power([]) == USUAL_POWER
    assert usual_power([[Point(0.5, 0.01, 0.1), Point(0.9, 1.0, 0.1)]]) == USUAL_POWER
    assert usual_power([law(20, (0.6, 0.7, 0.8), 1e-9)]) == 8.0
    assert usual_power([law(0.2, (0.001, 0.002, 0.9))]) == 1.0


def test_clear_points_stay_as_they_were_measured():
    curve = law(4)
    assert smoothed(curve, 2.0) == [point.harm for point in curve]


def test_a_point_in_the_noise_goes_by_the_power():
    curve = [Point(0.2, -0.05, 0.05), Point(0.4, 0.01, 0.05), Point(0.8, 1.6, 0.05)]
    small, middle, large = smoothed(curve, 4.0)
    assert large == 1.6
    # (0.2 / 0.8)^4 of it, though it was measured to be better than dense
    assert small == pytest.approx(1.6 / 256, abs=0.001)
    # for 0.4 the power says 1.6 / 2^4, and of that 0.7 for sure; the measurement is that much surer
    said, share = 0.1, (SPREAD * 0.1 / 0.05) ** 2
    assert middle == pytest.approx((said + share * 0.01) / (1 + share))


def test_a_target_that_is_never_clear_costs_a_little_more_the_more_is_cut():
    curve = [Point(s, 0.0, 0.04) for s in (0.2, 0.5, 0.9)]
    found = smoothed(curve, 4.0)
    assert found == sorted(found)
    assert 0 < found[0] < found[-1] <= 0.02


def test_a_target_whose_measured_harm_is_exactly_nothing_stays_free():
    assert smoothed([Point(0.5, 0.0, 0.0), Point(0.9, 0.0, 0.0)], 4.0) == [0.0, 0.0]


@given(
    st.lists(
        st.tuples(st.floats(0.01, 0.99), st.floats(-1, 5), st.floats(0, 1)),
        min_size=1,
        max_size=12,
        unique_by=lambda p: p[0],
    ),
    st.floats(1, 8),
)
def test_is_finite_and_clear_points_stay_whatever_was_measured(points, power):
    curve = [Point(*point) for point in sorted(points)]
    for point, harm in zip(curve, smoothed(curve, power), strict=True):
        assert min(point.harm, 0.0) - 1e-9 <= harm < float("inf")
        if point.harm > CLEAR * point.error and point.harm > 0:
            assert harm == point.harm
