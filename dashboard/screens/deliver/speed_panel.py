"""What a plan saves: sizes of the dense, masked and shrunk model beside each other, and their times."""

import pandas as pd
import streamlit as st

from core import numbers
from core.errors import SecateurError
from core.jobs.launch import start_profile
from core.jobs.run import Run
from core.plans.plan import SparsityPlan
from core.profiling import profile_words
from core.profiling.report import ProfileReport, Timing
from core.workload.description import Description
from dashboard.frame import help, workbench
from dashboard.frame.fragment import redraw
from dashboard.frame.tables.table import table, wrapped


def draw(ref: str, found: Description, plan: SparsityPlan) -> None:
    """The newest profile of the plan, and the button that starts one."""
    st.subheader("Size and speed")
    runs = [run for run in workbench.runs().list("profile", ref) if _is_of(run, plan)]
    reports = [
        report
        for run in runs
        if run.state == "finished" and workbench.is_current(run, found)
        if (report := workbench.runs().profile_report(run)) is not None
    ]
    left, right = st.columns([3, 1], vertical_alignment="center")
    if right.button(
        "Measure again" if reports else "Measure speed",
        key="measure-speed", icon=":material/speed:", width="stretch", disabled=any(run.active for run in runs),
        help="Runs the dense model and what the plan makes of it in turn, at two batch sizes. "
        "The machine should have nothing else to do meanwhile.",
    ):  # fmt: skip
        try:
            start_profile(workbench.runs(), ref, plan)
        except SecateurError as error:
            help.refusal(str(error))
        else:
            redraw()
    if any(run.active for run in runs):
        right.caption("It is under way.")
    if runs and runs[0].state in ("failed", "interrupted"):
        help.refusal(f"The newest profile was {runs[0].state}: {runs[0].error or 'its worker died'}")
    if not reports:
        left.caption(
            "Not measured for this plan. Zeros alone make no model faster in the usual engines; "
            "whether a smaller one is faster here, only a clock can tell."
        )
        return
    report = reports[0]
    left.caption(f"Measured on {profile_words.machine_text(report.machine)}.")
    wrapped(sizes_frame(report), "Sizes")
    times = times_frame(report)
    table(times, "Times", secondary=("verdict", "threads"), tallest=640)
    for line in profile_words.unavailable_lines(report):
        st.caption(line)
    n = len(report.ratios)
    together = f" Of {n} intervals looked at together, about one in twenty leaves out 1 by chance." if n > 1 else ""
    st.caption(profile_words.TIMES_NOTE + together)


def _is_of(run: Run, plan: SparsityPlan) -> bool:
    document = run.request.get("plan")
    return document is not None and SparsityPlan.from_document(document) == plan


def sizes_frame(report: ProfileReport) -> pd.DataFrame:
    """A column per model, the one that others are compared with first."""
    rows = {
        "parameters": [f"{size.parameters:,}" for size in report.sizes],
        "non-zeros": [f"{size.nonzeros:,}" for size in report.sizes],
        "operations of one example": [numbers.flops_text(size.flops) for size in report.sizes],
        "file": [numbers.bytes_text(size.bytes_dense) for size in report.sizes],
        "file, compressed": [numbers.bytes_text(size.bytes_compressed) for size in report.sizes],
        f"peak memory, batch of {report.sizes[0].peak_batch}": [
            numbers.bytes_text(size.peak_bytes) for size in report.sizes
        ],
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=[size.variant for size in report.sizes])


def times_frame(report: ProfileReport) -> pd.DataFrame:
    """A row per engine, batch size, number of threads and model."""
    return pd.DataFrame([_time_row(report, timing) for timing in report.timings])


def _time_row(report: ProfileReport, timing: Timing) -> dict[str, str]:
    ratio = report.ratio_of(timing)
    return {
        "engine": timing.engine,
        "batch": f"{timing.batch:,}",
        "threads": f"{timing.threads}",
        "model": timing.variant,
        "milliseconds": profile_words.timing_text(timing),
        "times as fast": numbers.ratio_text(ratio.value) if ratio else "",
        "95 % interval": f"{profile_words.ratio_interval(ratio)}, n = {ratio.n}" if ratio else "",
        "verdict": ratio.verdict if ratio else "",
    }
