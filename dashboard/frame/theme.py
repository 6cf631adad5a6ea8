"""Colours: their only home. Marks are `core.sensitivity.maps.marks`; numbers are worded by `core.numbers`."""

from dataclasses import dataclass

from core.graph.svg import COLOURS
from core.reports.colours import DARK_DROPS, LIGHT_DROPS

GREEN = "#2f7d5b"

STREAMLIT_THEME = {
    "theme.primaryColor": GREEN,
    "theme.light.backgroundColor": "#fbfcfb",
    "theme.light.secondaryBackgroundColor": "#eef2ef",
    "theme.dark.primaryColor": "#2f855a",
    "theme.dark.backgroundColor": "#121714",
    "theme.dark.secondaryBackgroundColor": "#1c2420",
}


# What Streamlit fades is too faint to read (3.85 : 1 in a caption, 3.6 : 1 on a chosen pill, where 4.5 : 1 is wanted);
# `inherit` is the text's colour in either theme, and opacity the same share of it in both
LEGIBLE = """
.stApp [data-testid="stCaptionContainer"] { color: inherit; opacity: 0.8; }
.stApp [data-testid="stCaptionContainer"] code { color: inherit; }
.stApp [data-testid="stButtonGroup"] button[data-selected="true"] { color: inherit; font-weight: 600; }
.stApp kbd { opacity: 0.85; }
.stApp .stMultiSelectTagsContainer * { max-width: 100%; white-space: normal; overflow: visible; }
.stApp :is(button, label) [data-testid="stMarkdownContainer"] p { white-space: normal; overflow: visible; }
"""
# Streamlit leaves six rem above a page and as much around a divider; a tool wants the room for its map. Columns that a
# narrow window puts below each other need no more between them than other things do
COMPACT = """
.stMainBlockContainer { padding-top: 4.2rem; padding-bottom: 2rem; }
.stMainBlockContainer hr { margin: 0.2rem 0 0.6rem; }
.stApp [data-testid="stHorizontalBlock"]:has(> [data-testid="stColumn"]) { row-gap: 1rem; }
.st-key-notices-place { position: absolute; height: 0; }
.st-key-help a { color: inherit !important; text-decoration: none; }
.st-key-run-row > :has([data-testid="stSelectbox"]) { min-width: min(32rem, 100%); }
@media (min-width: 641px) { [data-testid="stLayoutWrapper"]:has(> .st-key-whole-choice) { display: none; } }
.st-key-help a:hover, .st-key-help a:focus-visible { text-decoration: underline; }
"""


@dataclass(frozen=True)
class Palette:
    """Colours of one theme.

    Attributes:
    calm_to_costly: of drops, from nothing to much; lightness is monotone, so it reads without hue.
        better: of drops below 0, from nothing to much better; another hue, so that no improvement looks like a cost.
        lines: of curves, in order of choice.
        dense: the baseline.
        muted: what stands behind.
        mark: marks on calm cells.
        chosen: the frame of the chosen cell.
        estimates: of cells that are only estimated, from the lowest rank to the highest; grey, for they are no drops.
        less_to_more: of interactions, from far below 0 over nothing in the middle to far above.
        limits: of what may go of a layer, from nothing to everything; the theme's text is read on each of them.
    """

    calm_to_costly: tuple[str, ...]
    better: tuple[str, ...]
    lines: tuple[str, ...]
    dense: str
    muted: str
    mark: str
    chosen: str
    estimates: tuple[str, str]
    less_to_more: tuple[str, ...]
    limits: tuple[str, ...]


LIGHT = Palette(
    calm_to_costly=LIGHT_DROPS,
    better=("#e9eff6", "#c5d7ee", "#8cb0de", "#4a7cc0", "#1f4787"),
    lines=("#2f7d5b", "#b54f28", "#4b5fa8", "#84681b", "#8b3a74", "#2c7186"),
    dense="#5b6660",
    muted="rgba(120,130,125,0.35)",
    mark="#4d5953",
    chosen="#14201a",
    estimates=("#ececec", "#b0b0b0"),
    less_to_more=("#2c4f94", "#8ea9d6", "#f1f3f1", "#e9a07c", "#a8324c"),
    limits=COLOURS,
)
DARK = Palette(
    calm_to_costly=DARK_DROPS,
    better=("#1a222d", "#253d5c", "#375f97", "#6798de", "#b9d4ff"),
    lines=("#5cb88c", "#f08d5f", "#8ea2f0", "#d9b54a", "#d587c0", "#6cc3da"),
    dense="#aab5af",
    muted="rgba(160,172,166,0.30)",
    mark="#aabbb2",
    chosen="#ffffff",
    estimates=("#262626", "#606060"),
    less_to_more=("#a9c4ff", "#4b68a8", "#1d2420", "#a5552f", "#ffb38a"),
    limits=("#7a3b22", "#634a1f", "#3d4234", "#2a4636", "#1f5a40"),
)

BESIDE_LEGEND = (
    "**◢** surely worse with the repair: the two intervals lie apart  |  **≠** raw and repaired on different numbers "
    "of examples: not compared"
)


def palette(theme: str | None) -> Palette:
    """Colours for Streamlit's theme type, `"light"` or `"dark"`; light while the browser has not said."""
    return DARK if theme == "dark" else LIGHT
