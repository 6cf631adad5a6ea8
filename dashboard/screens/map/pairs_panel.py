"""Interactions: do the drops of single cuts add up? A plan is made of cuts that were measured alone."""

import pandas as pd
import streamlit as st

from core import numbers
from core.errors import SecateurError
from core.jobs import state_words
from core.jobs.launch import resume, start_pairs
from core.sensitivity import sweep_words
from core.sensitivity.maps.marks import MARKS
from core.sensitivity.pairs import PairsReport, PairsRequest, check_n_pairs
from core.workload.description import Description
from dashboard.figures.pairs import pairs_figure
from dashboard.frame import help, workbench
from dashboard.frame.fragment import redraw
from dashboard.frame.plotly_live import plotly_live
from dashboard.frame.tables.table import table

MANY = 20


def draw(ref: str, found: Description) -> None:
    """The newest finished run over pairs, and a form that starts another."""
    if len(found.weight_targets) + len(found.head_targets) < 2:
        return
    st.divider()
    reports = workbench.pairs_of(ref, found)
    head, action = st.columns([3, 1], vertical_alignment="bottom")
    head.subheader("Interactions")
    with action.popover("Measure pairs", icon=":material/grid_view:", width="stretch", key=f"new-pairs-{len(reports)}"):
        _form(ref, found)
    _newest_state(ref)
    if not reports:
        st.caption(
            "The map measures every cut alone, and a plan makes them all at once. Measuring cuts two at a time shows "
            "how far the drops add up."
        )
        return
    report = _choose(reports)
    st.markdown("  \n".join(sweep_words.pairs_lines(report)))
    map_, beside = st.columns([3, 2], gap="large")
    with map_:
        plotly_live(pairs_figure(report, workbench.colours()), "pairs", "Interaction of every two cuts")
        st.caption(
            f"{sweep_words.INTERACTIONS_NOTE} Pale and **{MARKS['undecided']}**: the 95 % interval holds 0  |  "
            f"**{MARKS['no effect']}** one of the two has no effect  |  **{MARKS['failed']}** failed"
        )
    with beside:
        _table(report)


def _newest_state(ref: str) -> None:
    """What became of the newest run, where that is no report."""
    run = next(iter(workbench.runs().list("pairs", ref)), None)
    if run is None or run.state not in ("failed", "cancelled", "interrupted"):
        return
    if run.state == "failed":
        help.refusal(f"The last run over pairs failed: {run.error}")
        return
    st.warning(
        f"The last run over pairs {state_words.ended_text(run)}. {state_words.kept_text(run)}",
        icon=":material/pause_circle:",
    )
    if st.button("Resume the pairs", icon=":material/resume:", key=f"resume-{run.id}"):
        resume(workbench.runs(), run.id)
        redraw()


def _form(ref: str, found: Description) -> None:
    with st.form("pairs", enter_to_submit=False, border=False):
        percent = st.number_input("Sparsity, %", 1.0, 99.9, 50.0, step=10.0, format="%g", key="pairs-sparsity")
        layers = st.text_input("Layers", key="pairs-layers", placeholder="all; or a regular expression")
        samples = st.number_input(
            "Evaluation examples", 2, found.n_open, found.sweep_examples, key=f"pairs-samples-{ref}"
        )
        heads = st.checkbox("Attention heads too", True, key="pairs-heads") if found.head_targets else False
        n = len(found.weight_targets) + (len(found.head_targets) if heads else 0)
        st.caption(f"All of them make {sweep_words.n_pairs_text(n)}.")
        if st.form_submit_button("Measure pairs", type="primary", icon=":material/play_arrow:"):
            try:
                request = PairsRequest(ref, round(percent / 100, 6), layers.strip(), heads, int(samples))
                if not request.layers:
                    check_n_pairs(n)
                start_pairs(workbench.runs(), request)
            except SecateurError as error:
                help.refusal(str(error))
            else:
                redraw()


def _choose(reports: tuple[PairsReport, ...]) -> PairsReport:
    labels = {report.run: _label(report) for report in reports}
    if len(reports) == 1:
        return reports[0]
    chosen = st.selectbox(
        "Pairs", list(labels), format_func=labels.__getitem__, label_visibility="collapsed",
        key=f"pairs-{hash(tuple(labels))}",
    )  # fmt: skip
    return next(report for report in reports if report.run == chosen)


def _label(report: PairsReport) -> str:
    sparsity = next((part.cut.sparsity for part in report.parts if part.cut.sparsity is not None), None)
    removed = "" if sparsity is None else f" · {numbers.sparsity_text(sparsity)} removed"
    n = f" · n = {report.dense.n:,}" if report.dense else ""
    return f"pairs {report.run} · {sweep_words.n_pairs_text(len(report.parts))}{removed}{n}"


def _table(report: PairsReport) -> None:
    """Pairs whose interval leaves out 0: to rank the others would rank noise."""
    summary = report.summary()
    if summary is None:
        return
    sure = [pair for pair in report.strongest() if pair.is_sure]
    if not sure:
        st.caption(
            f"The interval of none of {summary.n:,} pairs leaves out 0: nothing to rank. More examples may tell."
        )
        return
    n = sorted({pair.interaction.n for pair in sure if pair.interaction})
    counted = f"n = {n[0]:,}" if len(n) == 1 else f"n from {n[0]:,} to {n[-1]:,}"
    first = f", the {MANY} strongest" if len(sure) > MANY else ""
    st.caption(
        f"Of {summary.n:,} pairs {len(sure):,} whose 95 % interval leaves out 0 ({summary.n_by_chance:.1f} would by "
        f"chance){first}, in {numbers.drop_unit(report.scale)}, {counted}"
    )
    table(
        pd.DataFrame(
            [
                {
                    "pair": f"{pair.a.target} + {pair.b.target}",
                    "interaction": numbers.drop_text(report.scale, pair.interaction.value),
                    "95 % interval": numbers.drop_interval(report.scale, pair.interaction),
                    "together": numbers.drop_text(report.scale, pair.joint.value),
                    "added up": numbers.drop_text(report.scale, pair.sum_alone),
                }
                for pair in sure[:MANY]
                if pair.joint is not None and pair.sum_alone is not None and pair.interaction is not None
            ]
        ),
        "Pairs of which the interaction is sure",
        share=0.36,
        secondary=("added up", "together"),
    )
