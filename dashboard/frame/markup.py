"""Text that is shown as it is where Streamlit would read Markdown."""

import pandas as pd


def without_markup(text: str) -> str:
    """For Markdown: a name or a note that a person wrote is no markup, and `$` and `[` of figures neither."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>()#$:~|!" else letter for letter in text)


def plain_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """A table for `st.table`, which reads Markdown in every cell: `> 99 %` would become a quotation."""
    return frame.map(lambda cell: without_markup(cell) if isinstance(cell, str) else cell)
