"""Inside the plan: what each row is worth there, what it costs, and where the damage starts."""

import pandas as pd
import streamlit as st

from core import numbers
from core.errors import SecateurError
from core.jobs.launch import resume, start_undo
from core.jobs.run import Run
from core.plans import cut_words
from core.plans.plan import SparsityPlan
from core.sensitivity.inside import undo_words
from core.sensitivity.inside.report import UndoReport
from core.sensitivity.inside.request import UndoRequest
from core.workload.description import Description
from dashboard.figures.inside import damage_figure, undo_figure
from dashboard.frame import help, workbench
from dashboard.frame.fragment import fragment
from dashboard.frame.plotly_live import plotly_live
from dashboard.screens.tune import plan_draft, tuner_panel

WHY = (
    "The map says what a cut costs alone. In a plan of many it may cost more, or nothing: this gives back every row "
    "alone, and takes each a step further, beside the plan itself on the same examples."
)
ROWS, DAMAGE = "What each row is worth", "Where the damage starts"
ENDED = {"cancelled": "was stopped", "interrupted": "was interrupted: its worker died"}


def draw(ref: str, found: Description) -> None:
    """The panel; it draws itself again while a map is being measured, and not the screen above."""
    active = [run.id for run in workbench.runs().list("undo", ref) if run.active]
    fragment(_panel, bool(active))(ref, found)


def _panel(ref: str, found: Description) -> None:
    plan = plan_draft.current(ref)
    runs = [run for run in workbench.runs().list("undo", ref) if run.result is None or workbench.is_current(run, found)]
    if not plan.cuts and not runs:
        return
    own = [run for run in runs if SparsityPlan.from_document(dict(run.request["plan"])) == plan]
    at_work = next((run for run in runs if run.active), None)
    head, action = st.columns([4, 1], vertical_alignment="bottom")
    head.subheader("Inside the plan")
    if action.button(
        "Being measured …" if at_work else "Measure again" if own else "Measure its rows",
        icon=":material/undo:", width="stretch", disabled=bool(at_work) or not plan.cuts, key=f"undo-{ref}",
        help=WHY,
    ):  # fmt: skip
        try:
            start_undo(workbench.runs(), UndoRequest(ref, plan.to_document()))
        except SecateurError as error:
            help.refusal(str(error))
        else:
            st.rerun()
    if not runs:
        st.caption(WHY)
        return
    _state((own or runs)[0])
    finished = next((run for run in (*own, *runs) if run.state == "finished"), None)
    report = workbench.runs().undo_report(finished) if finished is not None else None
    if report is not None:
        if report.plan != plan:
            st.caption("These are the rows of another plan, the one that was measured last.")
        _report(ref, found, report)


def _state(run: Run) -> None:
    if run.active:
        share = min(1.0, run.done / run.total) if run.total else 0.0
        st.progress(share, f"{(run.phase or 'starting').capitalize()} …")
    elif run.state == "failed":
        help.refusal(f"The rows could not be measured: {run.error}")
    elif run.state != "finished":
        st.warning(f"The map {ENDED[run.state]}. What it measured is kept.", icon=":material/pause_circle:")
        if st.button("Go on", icon=":material/resume:", key=f"resume-{run.id}"):
            resume(workbench.runs(), run.id)
            st.rerun()


def _report(ref: str, found: Description, report: UndoReport) -> None:
    st.caption(undo_words.plan_text(report))
    cells = workbench.known_cells(ref, found)
    alone = {row.cut: cell.drop for row in report.rows if (cell := cells.get(row.cut)) is not None and cell.drop}
    views = [ROWS, DAMAGE] if report.damage else [ROWS]
    # no tabs: a chart that is drawn while it is hidden does not know how wide it may be
    chosen = st.segmented_control(
        "Inside the plan", views, default=ROWS, required=True, label_visibility="collapsed", key=f"inside-{report.run}"
    )
    if chosen == DAMAGE:
        plotly_live(damage_figure(report.damage, workbench.colours()), "damage", "Error of every layer's output")
        st.caption(undo_words.damage_note(report))
        return
    plotly_live(undo_figure(report, alone, workbench.colours()), "undo", "What giving back each row gains")
    st.dataframe(rows_frame(report), hide_index=True, width="content", alt="Rows of the plan by what they give back")
    st.caption(f"{undo_words.NOTE} Pale, and ·: the 95 % interval holds 0.")
    _together(ref, found, report)


def _together(ref: str, found: Description, report: UndoReport) -> None:
    for one in report.together:
        st.markdown(undo_words.together_text(report, one))
    if not report.together:
        return
    best = report.without(report.together[-1].rows)
    is_taken = plan_draft.current(ref) == best
    if st.button(
        "This is the plan above" if is_taken else f"Give back these {len(report.together[-1].rows)} rows",
        icon=":material/vertical_align_top:", disabled=is_taken, key=f"give-back-{report.run}",
    ):  # fmt: skip
        tuner_panel.take(ref, found)
        plan_draft.save(ref, best)
        plan_draft.follow(ref, report.plan.fingerprint())
        st.rerun()


def rows_frame(report: UndoReport) -> pd.DataFrame:
    """A row per row of the plan, in the order of the map."""
    unit = numbers.drop_unit(report.scale)
    has_steps = any(row.step is not None for row in report.rows)
    found = []
    for row in report.ordered():
        cells = {
            "row": cut_words.cut_text(row.cut),
            "given back": undo_words.worth_text(report, row),
            f"gains, {unit}": undo_words.change_text(report, row.back),
        }
        if has_steps:
            cells |= {
                "a step further": cut_words.removed_text(row.step) if row.step else "",
                f"loses, {unit}": undo_words.change_text(report, row.further) if row.further else "",
                "saves": undo_words.share_text(row.saves.get(report.cost)) if row.step else "",
            }
        found.append(cells)
    return pd.DataFrame(found)
