"""The one way in which a screen shows a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.frame.markup import plain_cells
from dashboard.frame.tables import fitting
from dashboard.frame.tables.room import room

ROW, HEAD = 35, 38  # pixels
TICK, SCROLLBAR = 42, 8


def table(
    frame: pd.DataFrame,
    alt: str,
    *,
    secondary: Sequence[str] = (),
    columns: Mapping[str, Any] | None = None,
    share: float = 1.0,
    tallest: int | None = None,
    **more: Any,
) -> Any:
    """A table that can be sorted and searched, and of which rows can be ticked; it never scrolls sideways for figures.

    Args:
        frame: a row per row. What all rows say of n is said once, below.
        alt: what it shows, for those who do not see it.
        secondary: columns that give way in a narrow window, the first one first. They are named below and come back by
            the eye above the table; files that are saved hold them.
        columns: what Streamlit is told of columns.
        share: of the page's width that it has.
        tallest: pixels; higher ones scroll. `None`: as Streamlit likes.
        more: `on_select`, `key` and the like, as for `st.dataframe`.

    Returns:
        What `st.dataframe` returns.
    """
    shown, n = fitting.n_once(frame)
    ticks = TICK if more.get("on_select") not in (None, "ignore") else 0
    found = fitting.fit(shown, room(share) - ticks - SCROLLBAR, secondary, columns)
    told: dict[Any, Any] = {str(name): dict((columns or {}).get(str(name)) or {}) for name in shown}
    for name, width in found.columns.items():
        told[name]["width"] = width
    titles = [str(told[name].get("label") or name) for name in found.left_out]
    if tallest is not None:
        more["height"] = min(tallest, HEAD + ROW * len(shown))
    event = st.dataframe(shown, alt=alt, hide_index=True, column_order=list(found.columns), column_config=told, **more)
    below = [n] if n else []
    below += [f"No room for: {', '.join(titles)}; the eye above the table shows them."] if titles else []
    if below:
        st.caption(" ".join(below))
    return event


def wrapped(frame: pd.DataFrame, alt: str, **more: Any) -> None:
    """A short table whose cells wrap, so that it is whole in every window; nothing can be sorted or ticked."""
    shown, n = fitting.n_once(frame)
    st.table(plain_cells(shown), alt=alt, **more)
    if n:
        st.caption(n)
