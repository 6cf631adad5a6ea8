"""Colours of a map."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.sensitivity.maps import colours
from core.sensitivity.maps.colours import CALM, DARK, LIGHT, N_WORSE, contrast, grey_step, ink, limit_colour, step_of


@pytest.mark.parametrize(
    ("drop", "step"), [(0.0, 0), (0.25, 0), (0.26, 1), (0.5, 1), (1.0, 2), (1.001, 3), (8.0, 5), (8.1, 6), (99.0, 6)]
)
def test_warm_begins_just_above_the_tolerance(drop, step):
    assert step_of(drop, 1.0) == step
    assert (step >= CALM) == (drop > 1.0)


@pytest.mark.parametrize(("drop", "step"), [(-1e-9, 0), (-1.0, 0), (-1.1, 1), (-4.0, 1), (-4.1, 2), (-99.0, 2)])
def test_an_improvement_looks_like_none_of_the_drops(drop, step):
    assert step_of(drop, 1.0) == N_WORSE + step


@given(st.floats(-1, 1), st.floats(0.0001, 1))
def test_a_larger_drop_never_has_a_weaker_colour(drop, tolerance):
    order = [*reversed(range(N_WORSE, N_WORSE + 3)), *range(N_WORSE)]
    assert order.index(step_of(drop + 0.01, tolerance)) >= order.index(step_of(drop, tolerance))


@given(st.floats(0.0001, 100))
def test_what_costs_just_the_tolerance_is_within_it(tolerance):
    assert step_of(0.1 + 0.2, 0.3) == CALM - 1
    assert step_of(tolerance, tolerance) == CALM - 1


def test_estimates_are_grey_from_the_lowest_rank_to_the_highest():
    assert [LIGHT.cells[grey_step(grey)] for grey in (0.0, 1.0)] == [LIGHT.greys[0], LIGHT.greys[-1]]


def test_limits_go_from_nothing_to_everything():
    assert [limit_colour(limit, LIGHT) for limit in (0.0, 0.19, 0.5, 1.0)] == [LIGHT.limits[i] for i in (0, 0, 2, 4)]


@pytest.mark.parametrize("shades", [LIGHT, DARK])
def test_words_on_every_colour_can_be_read(shades):
    assert min(contrast(shade, ink(shade)) for shade in shades.cells) >= 4.5
    assert len(shades.worse) == colours.N_WORSE
    assert len(shades.better) == colours.N_BETTER
    assert len(shades.greys) == colours.N_GREYS


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
