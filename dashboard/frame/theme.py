"""Colours; those of cells are `core.sensitivity.maps.colours`, marks `core.sensitivity.maps.marks`."""

from dataclasses import dataclass

from core.sensitivity.maps import colours

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
[data-testid="stLayoutWrapper"]:has(> :is(.st-key-notices-place, .st-key-room-place)) { position: absolute; height: 0; }
.st-key-help a { color: inherit !important; text-decoration: none; }
.st-key-run-row > :has([data-testid="stSelectbox"]) { min-width: min(32rem, 100%); }
@media (min-width: 641px) { [data-testid="stLayoutWrapper"]:has(> .st-key-whole-choice) { display: none; } }
.st-key-help a:hover, .st-key-help a:focus-visible { text-decoration: underline; }
"""


@dataclass(frozen=True)
class Palette:
    """Colours of one theme.

    Attributes:
        shades: of the cells of a map, and of the boxes of a network.
        lines: of curves, in order of choice.
        dense: the baseline.
        muted: what stands behind.
        mark: marks on calm cells.
        chosen: the frame of the chosen cell.
        less_to_more: of interactions, from far below 0 over nothing in the middle to far above.
    """

    shades: colours.Shades
    lines: tuple[str, ...]
    dense: str
    muted: str
    mark: str
    chosen: str
    less_to_more: tuple[str, ...]


LIGHT = Palette(
    shades=colours.LIGHT,
    lines=("#2f7d5b", "#b54f28", "#4b5fa8", "#84681b", "#8b3a74", "#2c7186"),
    dense="#5b6660",
    muted="rgba(120,130,125,0.35)",
    mark="#4d5953",
    chosen="#14201a",
    less_to_more=("#2c4f94", "#8ea9d6", "#f1f3f1", "#e9a07c", "#a8324c"),
)
DARK = Palette(
    shades=colours.DARK,
    lines=("#5cb88c", "#f08d5f", "#8ea2f0", "#d9b54a", "#d587c0", "#6cc3da"),
    dense="#aab5af",
    muted="rgba(160,172,166,0.30)",
    mark="#aabbb2",
    chosen="#ffffff",
    less_to_more=("#a9c4ff", "#4b68a8", "#1d2420", "#a5552f", "#ffb38a"),
)

BESIDE_LEGEND = (
    "**◢** surely worse with the repair: the two intervals lie apart  |  **≠** raw and repaired on different numbers "
    "of examples: not compared"
)


def palette(theme: str | None) -> Palette:
    """Colours for Streamlit's theme type, `"light"` or `"dark"`; light while the browser has not said."""
    return DARK if theme == "dark" else LIGHT
