"""The map as a Streamlit component: its files joined to one module, no build step."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard.frame.sharing import take_away

HERE = Path(__file__).parent
PURE = ("shades.js", "order.js", "address.js", "../tuner/format.js")  # pure functions, which tests call by themselves
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

    def keep() -> None:
        st.session_state[_how_key(key)] = {**_how(key), "text": str((st.session_state.get(key) or {}).get("how") or "")}

    model, run = st.session_state.get("model", ""), st.query_params.get("run", "")
    component = st.components.v2.component("secateur_map", html=HTML, css=CSS, js=JS)
    result = component(
        key=key,
        data={**data, "file": take_away.file_name(model, run, key), "how": _how(key)},
        on_hit_change=lambda: None,
        on_how_change=keep,
        on_tolerance_change=on_tolerance,
        height="content",
    )
    hit: Mapping[str, Any] | None = result.hit
    return hit


def how_shown(key: str) -> str:
    """How the rows of a map are sorted, folded and fitted, as `address.js` writes it: `drop~50`; empty of the usual.

    Args:
        key: of the component, drawn or not.
    """
    return str(_how(key)["text"])


def show_how(key: str, text: str) -> None:
    """Have a map shown so, once; the browser passes over what the map does not have, and says so.

    Args:
        key: of the component, before it is drawn.
        text: as `how_shown` gives it, from an address.
    """
    st.session_state[_how_key(key)] = {"id": time.time_ns(), "text": text}


def _how(key: str) -> dict[str, Any]:
    found: dict[str, Any] = st.session_state.get(_how_key(key), {"id": 0, "text": ""})
    return found


def _how_key(key: str) -> str:
    return f"how-{key}"
