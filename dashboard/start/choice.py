"""“What do you want?”: three answers, each of which presets the screens that follow."""

import streamlit as st

from core.errors import SecateurError
from core.workload.description import Description
from dashboard.frame import help
from dashboard.frame.fragment import redraw
from dashboard.start import wishes
from dashboard.start.places import MAP, go


def draw(ref: str, found: Description, goes_on: bool) -> None:
    """The question and its answers; the one that was given is marked.

    Args:
        ref, found: the model.
        goes_on: to the map, where what was chosen is measured; else the screen is drawn again.
    """
    st.subheader("What do you want?")
    chosen = wishes.chosen(ref)
    for place, wish in zip(st.columns(len(wishes.WISHES)), wishes.WISHES.values(), strict=True):
        why_not = wishes.why_not(wish, found)
        pressed = place.button(
            wish.label, icon=":material/check:" if wish is chosen else wish.icon, width="stretch",
            type="primary" if wish is chosen else "secondary", key=f"wish-{wish.name}", disabled=why_not is not None,
        )  # fmt: skip
        place.caption(why_not or wish.words)
        if not pressed:
            continue
        try:
            wishes.choose(ref, wish.name)
        except SecateurError as error:
            help.refusal(str(error))
            return
        if goes_on:
            go(MAP)
        redraw()
