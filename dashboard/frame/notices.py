"""What has ended since somebody opened the page: a note that stays until it is dismissed, with a link to the place."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from core import numbers
from core.jobs.run import Kind, Run
from core.sensitivity.report import Estimate
from core.workload.scale import Scale
from dashboard.frame import workbench

HERE = Path(__file__).parent
SINCE, DISMISSED, GO, SCROLL = "notices-since", "notices-dismissed", "notices-go", "notices-scroll"
MOST = 4  # that are shown at one time
# by kind of run what was done, for the page's title too; the screen where it stands; the heading there
PLACES: Mapping[Kind, tuple[str, str, str]] = {
    "sweep": ("swept", "map", ""),
    "pairs": ("pairs measured", "map", "interactions"),
    "bits": ("bits measured", "map", ""),
    "measure": ("measured", "tune", "plans"),
    "anchors": ("prediction sharpened", "tune", "plans"),
    "minimise": ("search ended", "tune", "smallest-plan-within-a-tolerance"),
    "refine": ("plan refined", "tune", "best-plan-for-a-budget"),
    "frontier": ("frontier drawn", "tune", "frontier-on-an-engine"),
    "undo": ("rows measured", "tune", "inside-the-plan"),
    "recover": ("recovered", "recover", ""),
    "tickets": ("tickets looked for", "recover", ""),
    "certify": ("certified", "deliver", "certificate"),
    "export": ("exported", "deliver", "bundles"),
    "verify": ("verified", "deliver", "bundles"),
    "quantize": ("quantized", "deliver", "quantize"),
    "profile": ("timed", "deliver", "size-and-speed"),
    "stairs": ("widths timed", "model", ""),
    "pays": ("engines compared", "deliver", "where-it-pays"),
}
_JS, _CSS = ((HERE / name).read_text(encoding="utf-8") for name in ("notices.js", "notices.css"))
_HTML = '<div class="notices" role="region" aria-label="Notices" aria-live="polite"></div>'


def told() -> list[Run]:
    """Runs that ended since this session began and that nobody has dismissed in it, newest first."""
    since = st.session_state.setdefault(SINCE, time.time())
    dismissed = st.session_state.get(DISMISSED, frozenset())
    ended = workbench.runs().ended_since(since)
    return [run for run in ended if run.kind in PLACES and run.id not in dismissed and not run.request.get("dry_run")]


def notice_of(run: Run) -> dict[str, Any]:
    """Plain values of one notice."""
    done, screen, _ = PLACES[run.kind]
    ok = run.state == "finished"
    name = workbench.short_name(run.workload)
    return {
        "id": run.id,
        "ok": ok,
        "title": done if ok else f"{run.kind} failed",
        "text": f"{name}: {done}{_outcome(run)}" if ok else f"{name}: {run.kind} failed. {(run.error or '')[:300]}",
        "link": f"Show it on {screen.capitalize()}",
    }


def _outcome(run: Run) -> str:
    """What came of it, where that is one number with its interval and n."""
    result = run.result or {}
    told = (result.get("manifest") or {}).get("measured") if run.kind == "export" else result
    drop = (told or {}).get("drop")
    if run.kind not in ("measure", "export") or not drop or not (told or {}).get("metric"):
        return ""
    scale = Scale.from_json(dict(told["metric"])) if told else None
    return f", drop {numbers.drop_with_interval(scale, Estimate(**drop))}" if scale else ""


def take(pages: Mapping[str, Any]) -> None:
    """Go where a notice leads, if one was clicked; before anything is drawn.

    Args:
        pages: by the name of a screen.
    """
    st.session_state.setdefault(SINCE, time.time())
    asked = st.session_state.pop(GO, None)
    if asked is None:
        return
    run = workbench.runs().get(asked)
    _, screen, heading = PLACES[run.kind]
    if run.workload in workbench.model_names():
        st.session_state["model"] = run.workload
    st.session_state[SCROLL] = heading
    st.switch_page(pages[screen])


def draw() -> None:
    """The notes, at the lower edge of the window; nothing where nothing has ended."""
    runs = told()
    scroll = st.session_state.pop(SCROLL, "")
    if not runs and not scroll and not st.session_state.get("notices"):
        return
    component = st.components.v2.component("secateur_notices", html=_HTML, css=_CSS, js=_JS)
    data = {"label": "Notices", "notices": [notice_of(run) for run in runs[:MOST]], "scroll": scroll}
    component(key="notices", data=data, on_dismiss_change=_dismissed, on_go_change=_went)


def _dismiss(which: str) -> None:
    st.session_state[DISMISSED] = st.session_state.get(DISMISSED, frozenset()) | {which}


def _dismissed() -> None:
    which = st.session_state["notices"].get("dismiss")
    if which == "all":
        for run in told():
            _dismiss(run.id)
    elif which:
        _dismiss(which)


def _went() -> None:
    which = st.session_state["notices"].get("go")
    if which:
        _dismiss(which)
        st.session_state[GO] = which
