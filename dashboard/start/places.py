"""Where the screens lie, for links and steps from one to another; a page is known by its address."""

from pathlib import Path
from typing import Literal, NoReturn

import streamlit as st

Screen = Literal["map", "tune", "recover", "deliver"]
MAP: Screen = "map"
TUNE: Screen = "tune"
RECOVER: Screen = "recover"
DELIVER: Screen = "deliver"


def page(screen: Screen) -> st.Page:
    """The page of a screen, as `dashboard/app.py` names it."""
    return st.Page(Path(__file__).parents[1] / "screens" / screen / "screen.py", url_path=screen)


def go(screen: Screen) -> NoReturn:
    """Show a screen; the model stays, a run that the address names does not."""
    st.switch_page(page(screen), query_params={})  # None would clear the model's, which is bound to its list: refused
