"""The map as a Streamlit component: its files joined to one module, no build step."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard.frame.sharing import take_away

HERE = Path(__file__).parent
PURE = ("shades.js", "order.js", "../tuner/format.js")  # pure functions, which tests call by themselves
VIEW = ("place.js", "paint.js", "bar.js", "svg_pen.js", "picture.js", "linked.js", "hands.js", "map.js")


def joined(names: tuple[str, ...]) -> str:
    """JavaScript files as one module: a component's script cannot import files beside it."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


JS, CSS, HTML = joined((*PURE, *VIEW)), joined(("map.css",)), joined(("map.html",))


def map_view(
    key: str, data: Mapping[str, Any], on_tolerance: Callable[[], None] = lambda: None
) -> Mapping[str, Any] | None:
    """Draw a map, in place of what it showed before.

    Args:
        key: of the component; `st.session_state[key]["tolerance"]` holds what its colour bar was last dragged to.
        data: of `map_data`.
        on_tolerance: called before the page runs again because of that.

    Returns:
        What was done that caused this run of the page: `row` and `column` of a cell, and `act`, which is `"choose"` or
        `"cut"`. Else `None`.
    """
    model, run = st.session_state.get("model", ""), st.query_params.get("run", "")
    component = st.components.v2.component("secateur_map", html=HTML, css=CSS, js=JS)
    result = component(
        key=key,
        data={**data, "file": take_away.file_name(model, run, key)},
        on_hit_change=lambda: None,
        on_tolerance_change=on_tolerance,
        height="content",
    )
    hit: Mapping[str, Any] | None = result.hit
    return hit
