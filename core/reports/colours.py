"""Colours of drops, in steps of the tolerance, for whatever draws a map: the screens, a page, a notebook."""

import math

LIGHT_DROPS = ("#edf3ef", "#d3e6db", "#b9d3bb", "#f0bf73", "#dd7a4b", "#a8324c", "#4a0f33")
DARK_DROPS = ("#19211d", "#21332a", "#2c4c3c", "#8a5a1c", "#c8703a", "#f0a06e", "#ffe6c4")
LIGHT_BETTER, DARK_BETTER = "#a9c4f0", "#34508c"  # of a clear improvement: no drop at all
LIGHT_INK, DARK_INK = "#14201a", "#ffffff"  # of words on them, the one that is read better
CALM = 3  # steps that lie within the tolerance
STEPS = len(LIGHT_DROPS)
BETTER = STEPS  # the step of a clear improvement


def step_of(drop: float, high: float, tolerance: float) -> int:
    """Which colour a drop has: 0, 1, 2 within a quarter, half and all of the tolerance, 3 to 6 above it, by doubling.

    Args:
        drop: in the metric's unit.
        high: upper end of its interval; below 0 the cut is an improvement, which has a colour of its own.
        tolerance: above 0.
    """
    if high < 0:
        return BETTER
    if drop <= 0:
        return 0
    return min(STEPS - 1, max(0, math.ceil(math.log2(drop / tolerance) - 1e-9) + CALM - 1))


def step_ends(tolerance: float) -> tuple[float, ...]:
    """Upper ends of all steps but the last, which has none."""
    return tuple(tolerance * 2.0 ** (step - CALM + 1) for step in range(STEPS - 1))


def is_light(colour: str) -> bool:
    """Whether dark words are read better on a colour, `#rrggbb`, than white ones."""
    return contrast(colour, LIGHT_INK) >= contrast(colour, DARK_INK)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio, from 1 to 21."""
    low, high = sorted(map(_luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
