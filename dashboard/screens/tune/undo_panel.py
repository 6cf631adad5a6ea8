"""Inside the plan: what each row is worth there, what it costs, and where the damage starts."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from core import numbers
from core.errors import SecateurError
from core.jobs import state_words
from core.jobs.launch import resume, start_undo
from core.jobs.run import Run
from core.plans import cut_words
from core.plans.costs.left import Kind
from core.plans.plan import SparsityPlan
from core.sensitivity.inside import undo_words
from core.sensitivity.inside.report import UndoReport
from core.sensitivity.inside.request import Mode, UndoRequest
from core.sensitivity.inside.rows import cost_of
from core.workload.description import Description
from dashboard.figures.inside import damage_figure, undo_figure
from dashboard.frame import help, workbench
from dashboard.frame.fragment import fragment, redraw
from dashboard.frame.plotly_live import plotly_live
from dashboard.frame.tables.table import table
from dashboard.screens.tune import plan_draft, tuner_panel
from dashboard.screens.tune.predicted import chosen_engine, knowledge
from dashboard.tuner.costs import costs_left

WHY = (
    "The map says what a cut costs alone. In a plan of many it may cost more, or nothing: this gives back every row "
    "alone, and takes each a step further, beside the plan itself on the same examples."
)
ROWS, DAMAGE = "What each row is worth", "Where the damage starts"


def draw(ref: str, found: Description) -> None:
    """The panel; it draws itself again while a map is being measured, and not the screen above."""
    active = [run.id for run in workbench.runs().list("undo", ref) if run.active]
    fragment(_panel, bool(active))(ref, found)


def _panel(ref: str, found: Description) -> None:
    plan = plan_draft.current(ref)
    runs = [
        run
        for run in workbench.runs().list("undo", ref)
        if run.request["plan"].get("repair") == plan.repair  # of others nothing is said here
        if run.result is None or workbench.is_current(run, found)
    ]
    if not plan.cuts and not runs:
        return
    own = [run for run in runs if SparsityPlan.from_document(dict(run.request["plan"])) == plan]
    at_work = next((run for run in runs if run.active), None)
    st.subheader("Inside the plan")
    cost, race, action = st.columns([2, 3, 2], vertical_alignment="bottom")
    kinds = countable(plan, known_costs(ref, found)) if plan.cuts else ()
    kind: Kind | None = cost.selectbox(
        "What a row costs, as a share of", kinds, format_func=undo_words.COST_NAMES.__getitem__,
        key=f"undo-cost-{ref}-{'-'.join(kinds)}", persist_state="session", disabled=not kinds,
    )  # fmt: skip
    is_race = race.checkbox(
        "stop each row when it is decided", key=f"undo-race-{ref}", persist_state="session",
        help="A race: a row is left when the rest of the examples would hardly change whether giving it back surely "
        "gains. Its interval is wider; measuring again without it takes up where it was left.",
    )  # fmt: skip
    if action.button(
        "Being measured …" if at_work else "Measure again" if own else "Measure its rows",
        icon=":material/undo:", width="stretch", disabled=bool(at_work) or not plan.cuts, key=f"undo-{ref}",
        help=WHY,
    ):  # fmt: skip
        try:
            mode: Mode = "race" if is_race else "exact"
            engine = chosen_engine(ref, found) if kind == "milliseconds" else None
            start_undo(workbench.runs(), UndoRequest(ref, plan.to_document(), cost=kind, mode=mode, engine=engine))
        except SecateurError as error:
            help.refusal(str(error))
        else:
            redraw()
    if not plan.cuts:
        st.caption("The plan above is empty: there is no row to measure.")
    if not runs:
        st.caption(WHY)
        return
    _state((own or runs)[0])
    report = workbench.inside_map(ref, found, plan)
    if report is not None:
        if report.plan != plan:
            st.caption("These are the rows of another plan, the one that was measured last.")
        _report(ref, found, report)


def countable(plan: SparsityPlan, costs: Mapping[Kind, Sequence[float]]) -> tuple[Kind, ...]:
    """Kinds of cost of which a plan saves any, what its cuts are made for first.

    Args:
        plan: with at least one cut.
        costs: of kinds that can be counted, what is left of the dense model and of the plan.
    """
    usual = cost_of(plan)
    kinds = [kind for kind, (dense, left) in costs.items() if dense != left]
    return tuple(sorted(kinds, key=lambda kind: kind != usual))


def known_costs(ref: str, found: Description) -> dict[Kind, tuple[float, float]]:
    """What is left of the dense model and of the plan on screen, of every kind of cost that can be counted."""
    plan = plan_draft.current(ref)
    known = knowledge(ref, found, plan.repair)
    left = {one.kind: one.left for one in costs_left(plan, known.kinds, found, known.saved)}
    return {kind.kind: (kind.dense, left[kind.kind]) for kind in known.kinds}


def _state(run: Run) -> None:
    if run.active:
        phase = run.phase or "starting"
        st.progress(run.share, f"{phase[0].upper()}{phase[1:]} …")
    elif run.state == "failed":
        help.refusal(f"The rows could not be measured: {run.error}")
    elif run.state != "finished":
        st.warning(
            f"The map {state_words.ended_text(run)}. {state_words.kept_text(run)}", icon=":material/pause_circle:"
        )
        if st.button("Resume", icon=":material/resume:", key=f"resume-{run.id}"):
            resume(workbench.runs(), run.id)
            redraw()


def _report(ref: str, found: Description, report: UndoReport) -> None:
    st.caption(undo_words.plan_text(report))
    cells = workbench.known_cells(ref, found, report.plan.repair)
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
    if not any(row.back.change for row in report.rows):
        st.caption("No row is measured yet.")
        return
    plotly_live(undo_figure(report, alone, workbench.colours()), "undo", "What giving back each row gains")
    is_open = any(row.back.stage == "open" or row.back.state == "waiting" for row in report.rows)
    with st.expander("As a table, with a step further", expanded=is_open):
        table(
            rows_frame(report), "Rows of the plan by what they give back",
            secondary=("saves", "a step further"), width="content",
        )  # fmt: skip
    st.caption(f"{undo_words.NOTE} Pale, and ·: the 95 % interval holds 0.")
    for note in undo_words.partial_notes(report):
        st.caption(note)
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
        redraw()


def rows_frame(report: UndoReport) -> pd.DataFrame:
    """A row per row of the plan, in the order of the map."""
    unit = numbers.drop_unit(report.scale)
    has_steps = any(row.step is not None for row in report.rows)
    found = []
    for row in report.ordered():
        cells = {
            "row": cut_words.cut_text(row.cut),
            "given back": undo_words.worth_text(report, row),
        }
        if has_steps:
            cells |= {
                "a step further": cut_words.removed_text(row.step) if row.step else "",
                f"loses, {unit}": undo_words.change_text(report, row.further) if row.further else "",
                "saves": undo_words.share_text(row.saves.get(report.cost)) if row.step else "",
            }
        found.append(cells)
    return pd.DataFrame(found)
