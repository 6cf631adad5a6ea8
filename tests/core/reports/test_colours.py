"""Colours of drops."""

import pytest

from core.reports import colours
from core.reports.colours import BETTER, contrast, step_of
from core.reports.svg import DARK, LIGHT, _ink


@pytest.mark.parametrize(
    ("drop", "step"), [(-0.1, 0), (0.0, 0), (0.25, 0), (0.26, 1), (0.5, 1), (1.0, 2), (1.001, 3), (8.0, 5), (99.0, 6)]
)
def test_warm_begins_just_above_the_tolerance(drop, step):
    assert step_of(drop, drop + 0.2, 1.0) == step
    assert (step >= colours.CALM) == (drop > 1.0)


def test_a_clear_improvement_looks_like_none_of_the_drops():
    assert step_of(-2.0, -1.0, 1.0) == BETTER
    assert step_of(-2.0, 0.5, 1.0) == 0


@pytest.mark.parametrize("shades", [LIGHT, DARK])
def test_words_on_every_colour_can_be_read(shades):
    assert min(contrast(shade, _ink(shade)) for shade in shades) >= 4.5


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
