"""The frontier: plans for several budgets on one engine, beside those of other allocations; each opens as the draft."""

import pandas as pd
import streamlit as st

from core import numbers
from core.errors import SecateurError
from core.jobs import state_words
from core.jobs.known.kept_plan import MadeBy
from core.jobs.known.plan_words import COST_WORDS
from core.jobs.launch import resume, start_frontier
from core.jobs.run import Run
from core.plans.costs.left import Kind
from core.plans.plan import SparsityPlan
from core.plans.prediction import Predictor
from core.profiling.frontier import frontier_words as words
from core.profiling.frontier.report import Axis, FrontierReport
from core.profiling.frontier.request import SOLVER, FrontierRequest, even_budgets
from core.profiling.pays.request import TIMED_NAMES
from core.workload.description import Description
from dashboard.figures.frontier import clicked, frontier_figure
from dashboard.frame import help, workbench
from dashboard.frame.fragment import fragment, redraw
from dashboard.frame.plotly_live import plotly_live
from dashboard.frame.tables.table import table
from dashboard.screens.tune import plan_draft, tuner_panel
from dashboard.screens.tune.predicted import knowledge
from dashboard.screens.tune.search_panel import searchable

WHY = (
    "Solves for every budget, judges the plans on examples that nothing was chosen by, makes them smaller and times "
    "them in turn with the dense model on the engine; beside them uniform, LAMP and ERK at the same budgets. The "
    "machine should have nothing else to do meanwhile."
)


def draw(ref: str, found: Description) -> None:
    """The panel; it draws itself again while a frontier is being measured, and not the screen above."""
    active = [run.id for run in workbench.runs().list("frontier", ref) if run.active]
    fragment(_panel, bool(active))(ref, found)


def _panel(ref: str, found: Description) -> None:
    known = knowledge(ref, found, plan_draft.current(ref).repair)
    countable = [cost.kind for cost in known.kinds]
    kinds = [kind for kind in searchable(known.predictor, countable) if kind in countable] if known.predictor else []
    runs = [
        run for run in workbench.runs().list("frontier", ref) if run.result is None or workbench.is_current(run, found)
    ]
    if not kinds and not runs:
        return
    st.subheader("Frontier on an engine")
    if kinds and known.predictor is not None and not (runs and runs[0].active):
        _form(ref, found, kinds, known.predictor)
    if runs:
        _outcome(ref, found, runs)


def _form(ref: str, found: Description, kinds: list[Kind], predictor: Predictor) -> None:
    trains = bool(found.n_training) and not predictor.repair
    engine, budgets, cost, *rest, action = st.columns([2, 2, 3, *([2] * trains), 2], vertical_alignment="bottom")
    usual = next((kind for kind in ("flops", "nonzeros") if kind in kinds), kinds[0])
    name = engine.selectbox("Engine", TIMED_NAMES, TIMED_NAMES.index("onnx"), key=f"frontier-engine-{ref}")
    n = budgets.number_input(
        "Budgets", 2, 12, 6, key=f"frontier-n-{ref}", help="So many shares of the cost, evenly apart."
    )
    kind: Kind = cost.selectbox(
        "Shares of the", kinds, kinds.index(usual), format_func=COST_WORDS.__getitem__, key=f"frontier-cost-{ref}"
    )
    epochs = 0.0
    for place in rest:
        epochs = place.number_input(
            "Fine-tune, epochs", 0.0, 100.0, 0.0, 1.0, key=f"frontier-epochs-{ref}",
            help="Of each plan, with its masks held; the drops after that are compared. 0: none is trained.",
        )  # fmt: skip
    if action.button("Draw it", icon=":material/show_chart:", width="stretch", key=f"frontier-{ref}", help=WHY):
        try:
            request = FrontierRequest(name, even_budgets(int(n)), kind, repair=predictor.repair, recover=epochs)
            start_frontier(workbench.runs(), ref, request)
        except SecateurError as error:
            help.refusal(str(error))
        else:
            redraw()


def _outcome(ref: str, found: Description, runs: list[Run]) -> None:
    run = runs[0]
    if len(runs) > 1:
        named = {one.id: one for one in runs}
        chosen = st.selectbox(
            "Shown", list(named), format_func=lambda run_id: _title(named[run_id]), key=f"frontier-shown-{ref}"
        )
        run = named.get(chosen, run)
    _state(run)
    report = workbench.runs().frontier_report(run)
    if report is None:
        if not run.active and run.state != "failed":
            st.caption(WHY)
        return
    axes = words.axes_of(report)
    if axes:
        axis: Axis = axes[0]
        if len(axes) > 1:
            axis = st.segmented_control(
                "Against", axes, default=axis, required=True, format_func=words.AXIS_NAMES.__getitem__,
                key=f"frontier-axis-{run.id}", label_visibility="collapsed",
            )  # fmt: skip
        hit = plotly_live(
            frontier_figure(report, axis, workbench.colours()), "frontier",
            f"Drop of plans for several budgets by {words.AXIS_NAMES[axis]} on {report.engine}",
        )  # fmt: skip
        if hit is not None and (at := clicked(report, axis, int(hit["curve"]), int(hit["row"]))) is not None:
            st.session_state[f"frontier-point-{run.id}"] = at
    else:
        axis = "milliseconds"
    table(
        points_frame(report, axis), "Plans for several budgets",
        secondary=("compressed", "plan", "bytes", "left", "milliseconds", "budget"), width="content",
    )  # fmt: skip
    _open(ref, found, run, report)
    st.caption(f"{words.head_text(report)}. {words.note(report, axis)} Grey: dominated; hollow: not told apart.")


def _title(run: Run) -> str:
    asked = FrontierRequest.from_json(dict(run.request["frontier"]))
    return f"{asked.engine}, {len(asked.budgets)} budgets of {COST_WORDS[asked.kind]}, run {run.id}"


def _state(run: Run) -> None:
    if run.active:
        phase = run.phase or "starting"
        st.progress(run.share, f"{phase[0].upper()}{phase[1:]} …")
    elif run.state == "failed":
        help.refusal(f"The frontier could not be drawn: {run.error}")
    elif run.state != "finished":
        st.warning(
            f"The frontier {state_words.ended_text(run)}. {state_words.kept_text(run)}", icon=":material/pause_circle:"
        )
        if st.button("Resume", icon=":material/resume:", key=f"resume-{run.id}"):
            resume(workbench.runs(), run.id)
            redraw()


def _open(ref: str, found: Description, run: Run, report: FrontierReport) -> None:
    """A point to open; the one that was clicked on the chart is chosen."""
    there = [i for i, point in enumerate(report.points) if point.document is not None]
    if not there:
        return
    key = f"frontier-point-{run.id}"
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    at = left.selectbox(
        "Point", there, format_func=lambda i: f"{words.name_text(report, i)}, plan {report.points[i].plan}", key=key,
        help="A click on the chart chooses it.",
    )  # fmt: skip
    point = report.points[at]
    assert point.document is not None
    plan = SparsityPlan.from_document(point.document)
    is_taken = plan_draft.current(ref) == plan
    if right.button(
        "This is the plan above" if is_taken else "Open as the plan above",
        icon=":material/vertical_align_top:", disabled=is_taken, width="stretch", key=f"frontier-open-{run.id}",
    ):  # fmt: skip
        makers: dict[str, MadeBy] = {SOLVER: "solver", "uniform": "uniform"}
        tuner_panel.take(ref, found)
        plan_draft.save(ref, plan, makers.get(point.maker, "baseline"))
        plan_draft.follow(ref, plan.fingerprint())
        redraw()


def points_frame(report: FrontierReport, axis: Axis) -> pd.DataFrame:
    """A row for the dense model and one per point."""
    standings, unit = report.standings(axis), numbers.drop_unit(report.scale)
    seconds = report.dense_seconds
    rows = [
        {
            "plan by": "dense", "budget": "", "left": "", f"drop, {unit}": "",
            "milliseconds": numbers.milliseconds_text(seconds) if seconds else "", "times as fast": "",
            "bytes": _bytes(report.bytes), "compressed": _bytes(report.compressed), "plan": "",
            "": words.standing_text(report, standings.get(-1), report.dense_place(axis) is not None),
        }
    ]  # fmt: skip
    rows += [
        {
            "plan by": words.MAKER_NAMES[point.maker], "budget": numbers.share_text(point.budget),
            "left": words.left_text(point), f"drop, {unit}": words.drop_text(report, point),
            **({"recovered": words.recovered_text(report, point)} if report.recover else {}),
            "milliseconds": words.milliseconds_text(report, point), "times as fast": words.ratio_text(point),
            "bytes": _bytes(point.bytes), "compressed": _bytes(point.compressed), "plan": point.plan or "",
            "": words.verdict(report, i, standings, axis),
        }
        for i, point in enumerate(report.points)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _bytes(n: int | None) -> str:
    return numbers.bytes_text(n) if n is not None else ""
