"""A part of a screen that draws itself again without the rest, and so has to tell of its own errors."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

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
