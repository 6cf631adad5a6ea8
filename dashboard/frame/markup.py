"""Text that is shown as it is where Streamlit would read Markdown."""

import re

import pandas as pd

# within these a line must not end: `n = 10,000`, `[+6.82, +8.17]`, `92.40 %`, `3.50 points`
TOGETHER = re.compile(r"n = \d[\d,]*|\[[^\[\]]{1,40}\]|[\d.,]+ (?:%|points?|ms|s|min)\b|[\d.,]+ %")
FIXED_SPACE = "\N{NO-BREAK SPACE}"


def without_markup(text: str) -> str:
    """For Markdown: a name or a note that a person wrote is no markup, and `$` and `[` of figures neither."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>()#$:~|!" else letter for letter in text)


def unbroken(text: str) -> str:
    """The same text; a number, its unit, its interval and its n each stay on one line."""
    return TOGETHER.sub(lambda found: found.group().replace(" ", FIXED_SPACE), text)


def plain_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """A table for `st.table`, which reads Markdown in every cell: `> 99 %` would become a quotation."""
    return frame.map(lambda cell: without_markup(unbroken(cell)) if isinstance(cell, str) else cell)
