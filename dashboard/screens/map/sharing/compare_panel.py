"""Another run beside the one that is shown, of this model or of another: both maps, and their difference map."""

import streamlit as st

from core.errors import SecateurError
from core.jobs.run import Run
from core.jobs.run_words import run_label
from core.reports.differences import Comparison, compare, comparison_lines, comparison_sheets
from core.reports.sheets import Sheet, map_sheets
from core.reports.svg import sheet_svg
from core.sensitivity.report import SensitivityReport
from dashboard.frame import help, workbench
from dashboard.frame.markup import without_markup
from dashboard.frame.sharing import report_button, take_away
from dashboard.screens.map.sharing.map_address import beside_key

MAP_PIXELS = 560  # of one map, above which it scrolls


def draw(run: Run, report: SensitivityReport, tolerance: float) -> None:
    """A list of other runs, and once one is chosen what differs.

    Args:
        run: that is shown.
        report: its map.
        tolerance: in the metric's unit, for the colours.
    """
    others = {one.id: one for one in workbench.runs().list("sweep") if one.id != run.id and _has_map(one)}
    if not others:
        return
    chosen = st.selectbox(
        "Beside another run", [None, *others], key=beside_key(run), persist_state="session",
        format_func=lambda one: "none" if one is None else _label(others[one]),
        help="Both maps, and where the other run costs surely more or less. Runs of another model may be chosen, too.",
    )  # fmt: skip
    if chosen is None:
        return
    other = others[chosen]
    theirs = workbench.report_of(other)
    try:
        found = _compared(str(workbench.runs().workspace.folder), run.id, chosen, (run.done, other.done))
    except SecateurError as error:
        help.refusal(str(error))
        return
    assert theirs is not None
    st.caption("  \n".join(map(without_markup, comparison_lines(found))))
    sides = (
        (
            f"Difference: run {other.name or other.id} minus run {run.name or run.id}",
            comparison_sheets(found, tolerance),
        ),
        (_label(run), map_sheets(report, tolerance)),
        (_label(other), map_sheets(theirs, tolerance)),
    )
    for side, (place, (title, sheets)) in enumerate(zip(st.columns(len(sides), gap="large"), sides, strict=True)):
        with place:
            st.markdown(f"**{without_markup(title)}**")
            _draw_sheets(side, title, sheets)
    with st.container(horizontal=True):
        take_away.table(found.rows, take_away.file_name(run.workload, run.id, chosen, "difference"), "compare-table")
        report_button.draw(run, other, key="compare-report")


def _draw_sheet(svg: str, key: str) -> None:
    """A drawing of ours; `st.html` takes pictures out."""
    component = st.components.v2.component(
        "secateur_sheet",
        html="<div style='overflow-x:auto'></div>",
        js="export default c => { c.parentElement.querySelector('div').innerHTML = c.data.svg }",
    )
    component(key=key, data={"svg": svg, "label": key}, height="content")


def _draw_sheets(side: int, title: str, sheets: tuple[Sheet, ...]) -> None:
    with st.container(height=MAP_PIXELS, border=False):
        for sheet in sheets:
            st.caption(sheet.title)
            _draw_sheet(sheet_svg(sheet, f"{title}, {sheet.title}"), f"compared-{side}-{sheet.title}")


def _has_map(run: Run) -> bool:
    return bool((run.result or {}).get("dense")) and not run.request.get("dry_run")


def _label(run: Run) -> str:
    return f"{workbench.short_name(run.workload)}: {run_label(run)}"


@st.cache_data(max_entries=8, show_spinner="Comparing …")
def _compared(folder: str, first: str, second: str, progress: tuple[int, int]) -> Comparison:
    runs = workbench.runs()
    return compare(runs, runs.get(first), runs.get(second))
