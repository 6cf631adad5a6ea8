"""Which page of the manual helps on which screen: its only home. Addresses are relative, as those of downloads are."""

from collections.abc import Mapping
from types import MappingProxyType

PAGE_OF: Mapping[str, str] = MappingProxyType(
    {
        "model": "your-model",
        "map": "the-map",
        "tune": "tuning",
        "recover": "recovery",
        "deliver": "delivery",
    }
)
NUMBERS, ERRORS = "reading-the-numbers", "errors"


def address(page: str) -> str:
    """Of a page of the manual, as seen from a screen."""
    return f"manual/{page}"


def links(screen: str) -> str:
    """What stands at the top right of a screen, as Markdown; Streamlit opens links in a new tab."""
    here = f"[:material/help: Help for this screen]({address(PAGE_OF[screen])})"
    return f"{here} · [How to read the numbers]({address(NUMBERS)})"
