"""Colours that words are drawn in stand out from what lies behind them."""

import pytest

from dashboard.frame.theme import DARK, LIGHT, STREAMLIT_THEME


def light_of(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    """As WCAG 2.2 defines it, from 1 to 21."""
    darker, lighter = sorted(map(light_of, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_black_on_white_is_the_most_there_is():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize(("scheme", "palette"), [("light", LIGHT), ("dark", DARK)])
def test_names_of_curves_and_marks_on_calm_cells_can_be_read(scheme, palette):
    page = STREAMLIT_THEME[f"theme.{scheme}.backgroundColor"]
    for colour in (*palette.lines, palette.dense):
        assert contrast(colour, page) >= 4.5, colour
    for calm in palette.shades.worse[:3]:
        assert contrast(palette.mark, calm) >= 4.5, calm
