"""Colours of a map, in steps of the tolerance, for whoever draws one: a screen, a page, a notebook."""

from bisect import bisect_left
from dataclasses import dataclass

# upper ends of the steps as multiples of the tolerance; the last step has none. Warm colours begin at the tolerance
WORSE_ENDS, BETTER_ENDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0), (1.0, 4.0)
N_WORSE, N_BETTER, N_GREYS = len(WORSE_ENDS) + 1, len(BETTER_ENDS) + 1, 5
CALM = 3  # steps that lie within the tolerance
PALE = 0.38  # of a colour's strength, where little is known: the theme's text is read on the strongest of them
LIGHT_INK, DARK_INK = "#14201a", "#ffffff"  # of words on them, the one that is read better


@dataclass(frozen=True)
class Shades:
    """Colours of cells in one theme, `#rrggbb`.

    Attributes:
        worse: of drops, from nothing to much; lightness is monotone, so it reads without hue.
        better: of drops below 0; another hue, so that no improvement looks like a cost.
        greys: of cells that are only estimated, from the lowest rank to the highest; grey, for they are no drops.
        limits: of what may go of a layer, from nothing to everything; the theme's text is read on each of them.
    """

    worse: tuple[str, ...]
    better: tuple[str, ...]
    greys: tuple[str, ...]
    limits: tuple[str, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        """By step, as `step_of` and `grey_step` count them."""
        return (*self.worse, *self.better, *self.greys)

    @property
    def inks(self) -> tuple[str, ...]:
        """Of words on each of `cells`."""
        return tuple(map(ink, self.cells))


LIGHT = Shades(
    worse=("#edf3ef", "#d3e6db", "#b9d3bb", "#f0bf73", "#dd7a4b", "#a8324c", "#4a0f33"),
    better=("#d5e2f3", "#8cb0de", "#2f5fa5"),
    greys=("#ececec", "#dddddd", "#cecece", "#bfbfbf", "#b0b0b0"),
    limits=("#f0a57f", "#f5cf9d", "#eef0dc", "#cfe5d2", "#a3d0b3"),
)
DARK = Shades(
    worse=("#19211d", "#21332a", "#2c4c3c", "#8a5a1c", "#c8703a", "#f0a06e", "#ffe6c4"),
    better=("#22314a", "#3c639b", "#9cc0fa"),
    greys=("#262626", "#343434", "#434343", "#515151", "#606060"),
    limits=("#7a3b22", "#634a1f", "#3d4234", "#2a4636", "#1f5a40"),
)


def step_of(drop: float, tolerance: float) -> int:
    """Which colour a drop has: 0, 1, 2 within a quarter, half and all of the tolerance, 3 to 6 above it, by doubling.

    7, 8, 9 are improvements, up to the tolerance, four times the tolerance, and beyond.

    Args:
        drop: in the metric's unit.
        tolerance: above 0.
    """
    share = abs(drop) / tolerance * (1 - 1e-9)  # what lies at an end lies within it, however it was computed
    return bisect_left(WORSE_ENDS, share) if drop >= 0 else N_WORSE + bisect_left(BETTER_ENDS, share)


def grey_step(grey: float) -> int:
    """Which colour an estimate has.

    Args:
        grey: how much it should cost, 0 to 1 by rank.
    """
    return N_WORSE + N_BETTER + min(N_GREYS - 1, int(grey * N_GREYS))


def limit_colour(limit: float, shades: Shades) -> str:
    """Of what may go within the tolerance.

    Args:
        limit: sparsity, 0 to 1.
        shades: of the theme.
    """
    return shades.limits[min(len(shades.limits) - 1, int(limit * len(shades.limits)))]


def ink(colour: str) -> str:
    """Of words on a colour: dark or white, whichever is read better."""
    return max((LIGHT_INK, DARK_INK), key=lambda one: contrast(colour, one))


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio, from 1 to 21."""
    low, high = sorted(map(_luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
