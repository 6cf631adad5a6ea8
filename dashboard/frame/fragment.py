"""Drawing again: a part of a screen without the rest, which has to tell of its own errors; or all of it."""

from collections.abc import Callable
from functools import wraps
from typing import NoReturn, ParamSpec

import streamlit as st

from core.errors import SecateurError
from dashboard.frame import help, workbench

P = ParamSpec("P")


def fragment(draw: Callable[P, None], is_at_work: bool = False) -> Callable[P, None]:
    """A part drawn anew when one of its widgets is touched.

    Args:
        draw: draws it. An error of ours that it raises is shown in its place.
        is_at_work: draw it every second as well, for a run goes on in it.
    """

    @wraps(draw)  # Streamlit knows a fragment by its name
    def telling(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            draw(*args, **kwargs)
        except SecateurError as error:
            help.refusal(str(error))

    return st.fragment(telling, run_every=workbench.ACTIVE_SECONDS if is_at_work else None)


def redraw() -> NoReturn:
    """Draw all of the screen again, unless somebody has clicked meanwhile: then what that asks for.

    `st.rerun` alone joins its request with one that waits and lets its own page win (Streamlit 1.67,
    `ScriptRequests.request_rerun`): whoever opened another screen at the moment a run ended stayed where they were.
    """
    st.empty()  # gives way to what waits
    st.rerun()
