"""How much room the browser's window leaves for what lies side by side."""

from pathlib import Path

import streamlit as st

STEPS = (260, 340, 420, 500, 560, 640, 720, 820, 960, 1100, 1250)  # pixels; a window of 600 leaves 568, of 900 740
USUAL = STEPS[-1]  # while the browser has not said
STACKED = 560  # up to here Streamlit puts columns below each other
KEY = "room"
_JS = (Path(__file__).parent / "room.js").read_text(encoding="utf-8")


def watch() -> None:
    """Ask the browser, once a page; when the window leaves a step, the page is drawn anew."""
    component = st.components.v2.component("secateur_room", html="<span></span>", js=_JS)
    with st.container(key="room-place"):  # out of the flow
        component(key=KEY, data={"steps": STEPS, "room": room()}, on_room_change=lambda: None)


def room(share: float = 1.0) -> int:
    """Pixels at least for a table that has this share of the page's width; all of it where columns are stacked."""
    told = st.session_state.get(KEY)
    whole = int((told or {}).get("room") or USUAL)
    return whole if whole <= STACKED else int(share * whole)
