"""Where the time goes: what every layer costs of parameters, FLOPs and milliseconds, from the newest profile."""

import streamlit as st

from core import wording
from core.delivery.profile_report import ProfileReport
from core.errors import SecateurError
from core.jobs.launch import start_profile
from core.workload.description import Description
from dashboard import workbench
from dashboard.figures.costs import costs_figure
from dashboard.plotly_live import plotly_live


def draw(found: Description) -> None:
    """The newest profile of the model as it is, and the button that makes another."""
    st.subheader("Where the time goes")
    reports = workbench.profiles_of(found)
    busy = any(run.active for run in workbench.runs().list("profile", found.ref))
    report = reports[0] if reports else None
    left, right = st.columns([5, 1], vertical_alignment="center")
    if right.button(
        "Measure again" if report else "Measure times",
        key="profile", icon=":material/timer:", width="stretch", disabled=busy,
        help="Times every layer at two batch sizes: about a minute. The machine should have nothing else to do.",
    ):  # fmt: skip
        try:
            start_profile(workbench.runs(), found.ref)
        except SecateurError as error:
            st.error(str(error), icon=":material/error:")
        else:
            st.rerun()
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
        f"Batch of {batch:,}, {wording.threads_text(layers[0].threads)}{n}. "
        f"{wording.LAYERS_NOTE} Measured on {wording.machine_text(report.machine)}."
    )


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
        st.error(f"The newest profile was {run.state}: {run.error or 'its worker died'}", icon=":material/error:")
