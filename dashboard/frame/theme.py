"""Colours and marks: their only home. Numbers are worded by `core.numbers`, which the command line shares."""

from dataclasses import dataclass

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
# Streamlit leaves six rem above a page and as much around a divider; a tool wants the room for its map
COMPACT = """
.stMainBlockContainer { padding-top: 4.2rem; padding-bottom: 2rem; }
.stMainBlockContainer hr { margin: 0.2rem 0 0.6rem; }
.st-key-help a { color: inherit !important; text-decoration: none; }
.st-key-help a:hover, .st-key-help a:focus-visible { text-decoration: underline; }
"""


@dataclass(frozen=True)
class Palette:
    """Colours of one theme.

    Attributes:
        calm_to_costly: of drops, from nothing to much; lightness is monotone, so it reads without hue.
        lines: of curves, in order of choice.
        dense: the baseline.
        muted: what stands behind.
        mark: marks on calm cells.
        chosen: the frame of the chosen cell.
        estimates: of cells that are only estimated, from the lowest rank to the highest; grey, for they are no drops.
        less_to_more: of interactions, from far below 0 over nothing in the middle to far above.
    """

    calm_to_costly: tuple[str, ...]
    lines: tuple[str, ...]
    dense: str
    muted: str
    mark: str
    chosen: str
    estimates: tuple[str, str]
    less_to_more: tuple[str, ...]


LIGHT = Palette(
    calm_to_costly=("#edf3ef", "#d3e6db", "#b9d3bb", "#f0bf73", "#dd7a4b", "#a8324c", "#4a0f33"),
    lines=("#2f7d5b", "#b54f28", "#4b5fa8", "#84681b", "#8b3a74", "#2c7186"),
    dense="#5b6660",
    muted="rgba(120,130,125,0.35)",
    mark="#4d5953",
    chosen="#14201a",
    estimates=("#ececec", "#b0b0b0"),
    less_to_more=("#2c4f94", "#8ea9d6", "#f1f3f1", "#e9a07c", "#a8324c"),
)
DARK = Palette(
    calm_to_costly=("#19211d", "#21332a", "#2c4c3c", "#8a5a1c", "#c8703a", "#f0a06e", "#ffe6c4"),
    lines=("#5cb88c", "#f08d5f", "#8ea2f0", "#d9b54a", "#d587c0", "#6cc3da"),
    dense="#aab5af",
    muted="rgba(160,172,166,0.30)",
    mark="#aabbb2",
    chosen="#ffffff",
    estimates=("#262626", "#606060"),
    less_to_more=("#a9c4ff", "#4b68a8", "#1d2420", "#a5552f", "#ffb38a"),
)

MARKS = {
    "undecided": "·",
    "no effect": "▨",
    "failed": "✕",
    "estimate": "?",
    "few": "◦",
    "forecast": "≈",
    "planned": "◥",
    "worse": "◢",
    "other n": "≠",
}
LEGEND = (
    "**·** no change that the data can tell: the 95 % interval holds 0  |  **▨** no effect: no output changed  |  "
    "**✕** failed  |  **╱** interpolated between measured sparsities  |  **◦** on few examples: the answer did not "
    "need more  |  **≈** some examples, and a forecast of the others  |  "
    "**?** estimate, not measured: the stronger the grey, the more it should cost  |  "
    "**◥** in the plan  |  blank: not measured yet"
)
BESIDE_LEGEND = (
    "**◢** surely worse with the repair: the two intervals lie apart  |  **≠** raw and repaired on different numbers "
    "of examples: not compared"
)


def palette(theme: str | None) -> Palette:
    """Colours for Streamlit's theme type, `"light"` or `"dark"`; light while the browser has not said."""
    return DARK if theme == "dark" else LIGHT
