"""A workspace that may not be written: it is looked at, and every button is greyed with the reason."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.frame import workbench

REASON = "This workspace is read-only: it can be looked at, but nothing can be measured or changed in it."
MEND = "Copy its folder and open the copy to go on from it."


def draw() -> None:
    """The notice above a screen, and greyed buttons below it; nothing where the workspace may be written.

    Every button of the dashboard starts work or writes something (what only looks are links, tabs and choices), so
    that they are greyed in one place: a screen cannot forget it. Others that write are refused by the workspace.
    """
    _grey()
    if workbench.is_read_only():
        st.info(f"{REASON} {MEND}", icon=":material/lock:")


def _grey() -> None:
    if hasattr(st.button, "is_greyed"):
        return
    for name in ("button", "form_submit_button"):
        # `st.button` was bound when Streamlit was imported, so that a change of the class does not reach it
        for place in (st, DeltaGenerator):
            setattr(place, name, _greyed(getattr(place, name)))


def _greyed(button: Callable[..., bool]) -> Callable[..., bool]:
    @wraps(button)
    def drawn(*args: Any, **options: Any) -> bool:
        return button(*args, **({**options, "disabled": True, "help": REASON} if workbench.is_read_only() else options))

    setattr(drawn, "is_greyed", True)  # noqa: B010
    return drawn
