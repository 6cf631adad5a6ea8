"""The network as a Streamlit component: its files joined to one module, no build step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent
SCRIPTS = ("folding.js", "drawing.js", "graph.js")
DAGRE = "dagre-3.1.3.min.js"  # with its licence in dashboard/serving/scripts
# no "/" before it: works below any base path. The version is in the name, for a browser keeps it for a year
DAGRE_URL = f"assets/{DAGRE}"


def _read(*names: str) -> str:
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


_JS, _CSS, _HTML = _read(*SCRIPTS), _read("graph.css"), _read("graph.html")


def graph(key: str, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Draw a network, in place of what it showed before; what is unfolded stays so.

    Args:
        key: of the component.
        data: of `graph_data`.

    Returns:
        What was done that caused this run of the page: `box`, its id, and `act`, which is `"choose"` or `"cut"`.
        Else `None`.
    """
    component = st.components.v2.component("secateur_graph", html=_HTML, css=_CSS, js=_JS)
    result = component(key=key, data={**data, "script": DAGRE_URL}, on_hit_change=lambda: None, height="content")
    hit: Mapping[str, Any] | None = result.hit
    return hit
