"""A recovery under way or done: its losses, what every round made of the metric, the table of rounds."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from core import numbers
from core.jobs.run import Run
from core.jobs.state_words import state_text
from core.recovery.history import Round
from core.recovery.recovery_words import outcome_lines, settings_rows
from core.recovery.request import RecoverRequest
from core.recovery.round_file import number_of
from core.sensitivity.report import Estimate
from core.workload.description import Description
from core.workload.scale import Scale
from dashboard.figures.recovery import degradation_figure, loss_figure, schedule_figure
from dashboard.frame import measured, run_state, workbench
from dashboard.frame.plotly_live import plotly_live
from dashboard.frame.strip import stop_button, time_text
from dashboard.frame.tables.table import wrapped

NUMBER_PIXELS = 250
STOP_NOTE = (
    "Stop keeps every finished round, and Resume goes on after the last of them. What is lost is at most the round "
    "under way, which starts again from its beginning."
)


def label(run: Run) -> str:
    """One line for the list of runs."""
    request = RecoverRequest.from_json(dict(run.request))
    when = datetime.fromtimestamp(run.created).strftime("%Y-%m-%d %H:%M")
    back = f", from round {number_of(request.start)} of an earlier one" if request.start else ""
    star, name = "★ " if run.star else "", (run.name,) if run.name else ()
    return star + " · ".join((*name, f"recovery {run.id}", when, f"{schedule_text(request)}{back}", state_text(run)))


def schedule_text(request: RecoverRequest) -> str:
    """`cubic to 90 % in 5 rounds, global`, `cubic in 5 rounds, a plan`: what a plan removes is told with its rounds."""
    n, name = request.schedule.num_iterations, request.schedule.name
    rounds = f"in {n} round{'s' * (n > 1)}"
    if request.plan is not None:
        return f"{name} {rounds}, a plan"
    return f"{name} to {numbers.share_text(request.schedule.final_sparsity)} {rounds}, {request.spread}"


def draw(found: Description, run: Run) -> None:
    """How far it is, what can be done about it, and all that it has measured."""
    if run.active:
        _progress(run)
    else:
        run_state.draw(run, kept_text(run), "Resume")
        if run.state == "failed":
            st.caption(f"{kept_text(run)} With the same settings; other ones are chosen above.")
    result = run.result
    if not result:
        return
    if not workbench.is_current(run, found):
        st.warning("This recovery was of an earlier version of the model.", icon=":material/history:")
    scale, dense = Scale.from_json(result["metric"]), Estimate(**result["dense"])
    history = [Round.from_json(row) for row in result["history"]]
    st.caption("  \n".join(outcome_lines(scale, history, result, run.request["tolerance"])))
    _reached(scale, dense, history, result["schedule"])
    if history or run.active:
        left, right = st.columns(2)
        with left:
            _degradation(scale, dense, history, result)
        with right:
            _losses(result, history)
    if history:
        wrapped(rounds_frame(scale, history, result["best"]), "Rounds that are done, in order", hide_index=True)
    with st.expander("Settings of this recovery"):
        rows = settings_rows(RecoverRequest.from_json(dict(run.request)))
        wrapped(pd.DataFrame(rows, columns=["setting", "value"]).set_index("setting"), "Settings of this recovery")


def _degradation(scale: Scale, dense: Estimate, history: Sequence[Round], result: Mapping[str, Any]) -> None:
    st.markdown(f"**{scale.name[:1].upper()}{scale.name[1:]} by sparsity**")
    if not history:
        plotly_live(
            schedule_figure(result["schedule"], workbench.colours()), "planned", "Planned sparsity of every round"
        )
        st.caption("The first round is not finished yet; this is what is planned.")
        return
    figure = degradation_figure(scale, dense, history, result["best"], workbench.colours())
    plotly_live(figure, "degradation", "Metric of every round before and after training, by sparsity")
    st.caption(f"Measured on n = {dense.n:,} evaluation examples; bars are 95 % intervals.")


def kept_text(run: Run) -> str:
    """What a recovery that ended early has kept, and what going on does."""
    request = RecoverRequest.from_json(dict(run.request))
    n, of = len((run.result or {}).get("history", ())), request.schedule
    if not n and request.start:
        number = number_of(request.start)
        return f"No round was finished, so Resume starts again from round {number} of the earlier recovery."
    if not n:
        return "No round was finished, so Resume starts from the dense model."
    kept = "Round 1 is" if n == 1 else f"Rounds 1 to {n} are"
    return f"{kept} kept, and Resume goes on with round {n + 1} of {of.num_iterations} from its beginning."


def rounds_frame(scale: Scale, history: Sequence[Round], best: int | None) -> pd.DataFrame:
    """A row per round, every measured number with interval and n; the best one within the tolerance has its word."""

    def metric(found: Estimate | None) -> str:
        return numbers.metric_with_interval(scale, found) if found else "–"

    return pd.DataFrame(
        {
            "round": [row.iteration for row in history],
            "removed": [numbers.share_text(row.sparsity) for row in history],
            "tolerance": ["best within" if row.iteration == best else "" for row in history],
            f"{scale.name} after the cut": [metric(row.before) for row in history],
            f"{scale.name} after training": [metric(row.after) for row in history],
            f"drop, {numbers.drop_unit(scale)}": [
                numbers.drop_with_interval(scale, row.drop) if row.drop else "–" for row in history
            ],
            "steps": [row.steps for row in history],
            "took": [numbers.seconds_text(row.seconds) for row in history],
        }
    )


def _progress(run: Run) -> None:
    bar, button = st.columns([5, 1], vertical_alignment="center")
    text = "stopping" if run.stopping else f"{run.phase or 'starting'}{time_text(run)}"
    bar.progress(run.share, text=f"Recovering: {text}")
    stop_button(button, run, "recovery-stop")
    st.caption(STOP_NOTE)


def _reached(scale: Scale, dense: Estimate, history: Sequence[Round], schedule: Sequence[float]) -> None:
    row = st.container(horizontal=True)
    first = row.container(width=NUMBER_PIXELS, gap=None)
    first.metric("Sparsity reached", numbers.share_text(history[-1].sparsity) if history else "–")
    first.caption(f"round {len(history)} of {len(schedule)}, planned to end at {numbers.share_text(schedule[-1])}")
    measured.metric(row.container(width=NUMBER_PIXELS), "Dense", scale, dense)
    if history and history[-1].after is not None:
        measured.metric(row.container(width=NUMBER_PIXELS), "Newest round, trained", scale, history[-1].after)
    if history and history[-1].drop is not None:
        measured.drop(row.container(width=NUMBER_PIXELS), "Its drop", scale, history[-1].drop)


def _losses(result: Mapping[str, Any], history: Sequence[Round]) -> None:
    losses = [(int(iteration), int(step), float(loss)) for iteration, step, loss in result["losses"]]
    st.markdown("**Training loss**")
    if not any(math.isfinite(loss) for _, _, loss in losses):
        st.caption("No optimiser step was told of yet.")
        return
    n_steps = {row.iteration: row.steps for row in history}
    plotly_live(loss_figure(losses, n_steps, workbench.colours()), "losses", "Training loss of every round")
    text = "Each point is the loss of one training batch, so it has no interval."
    missing = [row.iteration for row in history if row.steps and row.iteration not in {one[0] for one in losses}]
    if missing:
        text += f" The run went on from round {max(missing)}: losses before are not kept."
    st.caption(text)
