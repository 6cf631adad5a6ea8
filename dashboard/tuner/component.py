"""The tuner as a Streamlit component: its files joined to one module, no build step."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent
FORMULA = (
    "formula.js",
    "memory.js",
    "goal.js",
    "format.js",
    "told.js",
)  # pure functions, which tests call by themselves
VIEW = ("curve.js", "row.js", "totals.js", "list.js", "goal_control.js", "keys.js", "hands.js", "tuner.js")


def joined(names: tuple[str, ...]) -> str:
    """JavaScript files as one module: a component's script cannot import files beside it."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


_JS, _CSS, _HTML = joined((*FORMULA, *VIEW)), joined(("tuner.css",)), joined(("tuner.html",))


def tuner(key: str, data: Mapping[str, Any], on_edit: Callable[[], None]) -> None:
    """Draw the tuner, in place of what it showed before.

    Args:
        key: of the component; `st.session_state[key]["edit"]` holds its last message.
        data: of `tuner_data`.
        on_edit: called before the page runs again because of a message.
    """
    component = st.components.v2.component("secateur_tuner", html=_HTML, css=_CSS, js=_JS)
    component(key=key, data=dict(data), on_edit_change=on_edit, height="content")
