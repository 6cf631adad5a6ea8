"""What of a screen stands in its address, so that a link shows somebody else the same: the only home of these names.

`model` is bound to its list (`strip`), `run` is written by the list of runs. The others are read when the address names
something else than was written there last (a link was opened, or the browser went back), and written after the widgets
are drawn. What cannot be is passed over, with a line that says so.
"""

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import streamlit as st

from core.plans.plan import Cut
from core.sensitivity.report import CellResult
from dashboard.frame.markup import without_markup

CELL, TOLERANCE, FILTER, KINDS, BESIDE = "cell", "tolerance", "filter", "kinds", "beside"
ROWS: Mapping[str, str] = MappingProxyType(  # how the rows of each map are shown, by key of the map
    {
        f"map-{kind}{side}": f"rows{short}{side}"
        for kind, short in (("weights", ""), ("heads", "-heads"), ("blocks", "-blocks"))
        for side in ("", "-raw")
    }
)
PLAN = "plan"  # id of a kept plan, or run and round of a recovery as `3f2a.2`
OF_PLANS = (PLAN,)
OF_MAP = (CELL, TOLERANCE, FILTER, KINDS, BESIDE, *ROWS.values())
WRITTEN, TOLD = "address-written", "address-told"
COPY = """
export default function (component) {
  const button = component.parentElement.querySelector('button')
  const say = text => { button.lastElementChild.textContent = text }
  button.onclick = () => navigator.clipboard.writeText(window.location.href)
    .then(() => say('Copied'), () => say('Copy the address above'))
    .then(() => setTimeout(() => say('Copy link'), 2000))
}
"""
LOOK = """
button { font: inherit; font-size: .875rem; color: inherit; background: none; border: 0; padding: 0; cursor: pointer }
button:hover, button:focus-visible { text-decoration: underline }
"""


def news(screen: str, names: Sequence[str] = OF_MAP) -> dict[str, str] | None:
    """What the address says, if it is not what was written there last; else `None`.

    Args:
        screen: whose address it is.
        names: that it may hold.
    """
    asked = {name: st.query_params[name] for name in names if name in st.query_params}
    return None if asked == st.session_state.get(f"{WRITTEN}-{screen}", {}) else asked


def write(screen: str, values: Mapping[str, str | None], names: Sequence[str] = OF_MAP) -> None:
    """Put what is shown into the address; `None` or an empty text takes a name out."""
    kept = {name: value for name in names if (value := values.get(name))}
    for name in names:
        if name not in kept:
            st.query_params.pop(name, None)
        elif st.query_params.get(name) != kept[name]:
            st.query_params[name] = kept[name]
    st.session_state[f"{WRITTEN}-{screen}"] = kept


def told(what: str, new: Sequence[str], shown: object) -> Sequence[str]:
    """Lines on what an address asks for and cannot be; they stay until something else is shown.

    A screen is drawn again whenever a run begins or ends, and the address then says what is shown: lines that stood
    there once would be gone before anybody has read them.

    Args:
        what: of the address they are about.
        new: lines; empty if it asks for nothing new.
        shown: in place of what it asks for, or beside it; anything that can be compared.
    """
    key = f"{TOLD}-{what}"
    if new:
        st.session_state[key] = (tuple(new), shown)
    lines, beside = st.session_state.get(key, ((), None))
    if beside != shown:
        st.session_state.pop(key, None)
        return ()
    return tuple(lines)


def cell_text(cut: Cut) -> str:
    """A cut in an address: `weight~stem~0.5~magnitude`; without a sparsity of what goes whole."""
    parts = (cut.granularity, cut.target, "" if cut.sparsity is None else f"{cut.sparsity:g}", cut.criterion or "")
    return "~".join(parts)


def cell_named(text: str, cells: Sequence[CellResult]) -> CellResult | None:
    """The cell that an address names; `None` if the map has none such."""
    return next((cell for cell in cells if cell_text(cell.cut) == text), None)


def tolerance_named(text: str, least: float) -> float | None:
    """A tolerance as the field takes it; `None` for what is no number, or below the least that it takes."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= least else None


def is_pattern(text: str) -> bool:
    """Whether a filter is a regular expression."""
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def problem_text(name: str, value: str, instead: str) -> str:
    """`The address asks for cell “x”, which this map does not have; none is chosen.`"""
    return f"The address asks for {name} “{without_markup(value)}”, {instead}."  # whoever made the link wrote the value


def copy_link() -> None:
    """A button that puts the address of what is shown into the clipboard."""
    component = st.components.v2.component(
        "secateur_copy_link", html="<button type='button'><span>Copy link</span></button>", js=COPY, css=LOOK
    )
    component(key="copy-link", data={"label": "Copy link"}, width="content", height="content")
