"""Which page of the manual helps on which screen, and with which a refusal is told: their only home."""

from collections.abc import Mapping
from types import MappingProxyType

import streamlit as st

PAGE_OF: Mapping[str, str] = MappingProxyType(
    {
        "model": "your-model",
        "map": "the-map",
        "tune": "tuning",
        "recover": "recovery",
        "deliver": "delivery",
    }
)
NUMBERS, ERRORS, GLOSSARY = "reading-the-numbers", "errors", "glossary"


def address(page: str) -> str:
    """Of a page of the manual, as seen from a screen; relative, so that it holds wherever the dashboard is served."""
    return f"manual/{page}"


def draw(screen: str) -> None:
    """The line of help at the top right of a screen; Streamlit opens links in a new tab."""
    here = f"[:material/help: Help for this screen]({address(PAGE_OF[screen])})"
    numbers = f"[How to read the numbers]({address(NUMBERS)})"
    st.container(key="help").caption(f"{here} · {numbers} · [Glossary]({address(GLOSSARY)})", text_alignment="right")


def refusal(text: str) -> None:
    """Tell why something was refused or failed, and where the manual says what helps."""
    st.error(f"{text} [What helps]({address(ERRORS)})", icon=":material/error:")
