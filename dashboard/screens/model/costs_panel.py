"""Where the time goes: what every layer costs of parameters, FLOPs and milliseconds, from the newest profile."""

import pandas as pd
import streamlit as st

from core import numbers
from core.errors import SecateurError
from core.jobs.launch import start_profile
from core.profiling import profile_words
from core.profiling.report import ProfileReport
from core.profiling.request import ProfileRequest
from core.workload.description import Description
from dashboard.figures.costs import costs_figure
from dashboard.frame import help, workbench
from dashboard.frame.fragment import redraw
from dashboard.frame.plotly_live import plotly_live
from dashboard.frame.tables.table import table

SAVINGS = (0.5,)  # how much of each group and attention is cut to see what time that saves


def draw(found: Description) -> None:
    """The newest profile of the model as it is, and the button that makes another."""
    st.subheader("Where the time goes")
    reports = workbench.profiles_of(found)
    busy = any(run.active for run in workbench.runs().list("profile", found.ref))
    report = reports[0] if reports else None
    left, right = st.columns([3, 1], vertical_alignment="center")
    if right.button(
        "Measure again" if report else "Measure times",
        key="profile", icon=":material/timer:", width="stretch", disabled=busy,
        help="Times every layer at two batch sizes, and what cutting half of each coupled group and attention alone "
        "saves: some minutes. The machine should have nothing else to do.",
    ):  # fmt: skip
        try:
            start_profile(workbench.runs(), found.ref, request=ProfileRequest(savings=SAVINGS))
        except SecateurError as error:
            help.refusal(str(error))
        else:
            redraw()
    if busy:
        right.caption("A profile is under way.")
    _draw_failure(found)
    if report is None or not report.layers:
        left.caption(
            "Not measured yet. The layers with the most weights are seldom those that take the most time: "
            "measure before cutting for speed."
        )
        return
    with left:
        batch = _choose_batch(report)
    layers = report.layers_at(batch)
    plotly_live(costs_figure(layers, workbench.colours()), "costs", "Share of parameters, FLOPs and time of each layer")
    rounds = {timing.n for timing in report.timings if timing.batch == batch}
    n = f", medians of {max(rounds)} rounds" if rounds else ""
    st.caption(
        f"Batch of {batch:,}, {numbers.threads_text(layers[0].threads)}{n}. "
        f"{profile_words.LAYERS_NOTE} Measured on {profile_words.machine_text(report.machine)}."
    )
    _draw_savings(report, batch)


def savings_frame(report: ProfileReport, batch: int) -> pd.DataFrame:
    """What each coupled group or attention saves when it alone is cut, largest first; a dot where 0 is possible."""
    found = sorted((one for one in report.savings if one.batch == batch), key=lambda one: -one.seconds)
    return pd.DataFrame(
        {
            "target": [one.target for one in found],
            "cut": [numbers.sparsity_text(one.sparsity) for one in found],
            "ms saved": [
                numbers.milliseconds_text(one.seconds) + ("·" if one.low <= 0 <= one.high else "") for one in found
            ],
            "95 % interval": [
                f"[{numbers.milliseconds_text(one.low)}, {numbers.milliseconds_text(one.high)}]" for one in found
            ],
            "n": [one.n for one in found],
        }
    )


def _draw_savings(report: ProfileReport, batch: int) -> None:
    frame = savings_frame(report, batch)
    if frame.empty:
        return
    st.markdown("**What cutting one of them alone saves**")
    table(frame, "What layers cost", width="content", tallest=460)
    st.caption(profile_words.SAVINGS_NOTE)


def _choose_batch(report: ProfileReport) -> int:
    """One of the batch sizes that were timed; the largest at first, of which the times are steadiest."""
    sizes = sorted({layer.batch for layer in report.layers})
    if len(sizes) == 1:
        return sizes[0]
    chosen = st.segmented_control(
        "Batch", sizes, default=sizes[-1], required=True, key=f"costs-batch-{sizes}",
        format_func=lambda n: f"batch of {n:,}", label_visibility="collapsed",
    )  # fmt: skip
    return chosen or sizes[-1]


def _draw_failure(found: Description) -> None:
    run = next(iter(workbench.runs().list("profile", found.ref)), None)
    if run is not None and run.state in ("failed", "interrupted"):
        help.refusal(f"The newest profile was {run.state}: {run.error or 'its worker died'}")
