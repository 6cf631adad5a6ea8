"""The strip on top of every screen: which model, help, and the run at work: how far, how long still, stop."""

from collections.abc import Sequence
from datetime import datetime

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import numbers
from core.errors import SecateurError
from core.jobs import launch, state_words
from core.jobs.known import left_out
from core.jobs.run import Run
from dashboard.frame import help, markup, own_model, workbench, workers_menu
from dashboard.frame.fragment import redraw
from dashboard.frame.sharing import address

LEFT_OUT_SECONDS = 10.0  # a damaged row is told of as long as a screen meets it

VERBS = {
    "sweep": "sweeping",
    "pairs": "measuring pairs of cuts of",
    "bits": "rounding the layers of",
    "quantize": "quantizing",
    "measure": "measuring a plan for",
    "anchors": "sharpening the prediction for",
    "minimise": "finding the smallest plan of",
    "refine": "refining a plan for",
    "frontier": "drawing the frontier of",
    "undo": "giving back rows of a plan for",
    "recover": "recovering",
    "tickets": "looking for lottery tickets of",
    "profile": "profiling",
    "stairs": "measuring widths of",
    "pays": "comparing engines on",
    "export": "exporting",
    "verify": "verifying a bundle of",
    "certify": "certifying a plan of",
    "graph": "drawing the network of",
}


def draw(screen: str) -> bool:
    """Draw it above a screen. Returns whether there is a model to show a screen for."""
    try:
        names = workbench.model_names()
    except SecateurError as error:
        help.refusal(str(error))
        return False
    if not names:
        st.error("No models are installed. Install Secateur again: `python -m pip install -e .`")
        return False
    asked = _take_address(names)
    place = st.container()
    left, right = st.columns([5, 8], gap="medium")  # so wide that the line of help is one at 900 px
    with left.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox("Model", names, format_func=labels(names).__getitem__, key="model", bind="query-params")
        own_model.draw()
    _tell(place, asked)
    # help stands beside the label of the list, where there was room; the run beside the list
    with right.container(height="stretch", vertical_alignment="distribute", gap=None):
        with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
            help.draw(screen)
            address.copy_link()
        active = workbench.active_runs()
        interval = workbench.ACTIVE_SECONDS if active else workbench.IDLE_SECONDS
        st.fragment(_runs_at_work, run_every=interval)(tuple(run.id for run in active))
    st.divider()
    return True


def _take_address(names: list[str]) -> str | None:
    """A model that the address names in full is shown; one that is not known is returned."""
    asked, shown = st.query_params.get("model"), labels(names)
    if asked in names and asked not in shown.values():
        del st.query_params["model"]  # the list writes its short name there
        st.session_state["model"] = asked
    elif asked and asked not in shown.values():
        return asked
    return None


def _tell(place: DeltaGenerator, asked: str | None) -> None:
    """That the address asks for a model which nobody knows, for as long as another stands in its place."""
    shown, code = workbench.chosen_model(), (asked or "").replace("`", "'")
    line = (
        f"The address asks for the model `{code}`, which this workspace does not know; "
        f"**{workbench.short_name(shown)}** is shown. The list holds what is known; *Yours*, beside it, opens a folder "
        "or a file."
    )
    for text in address.told("model", [line] if asked else [], shown):
        place.warning(text)


def labels(names: list[str]) -> dict[str, str]:
    """What the list and the address say for each model: short, but never the same for two."""
    short = [workbench.short_name(name) for name in names]
    return {name: label if short.count(label) == 1 else name for name, label in zip(names, short, strict=True)}


def _runs_at_work(drawn: tuple[str, ...]) -> None:
    try:
        active = workbench.active_runs()
    except SecateurError as error:
        help.refusal(str(error))
        return
    if (damaged := left_out.line(LEFT_OUT_SECONDS)) is not None:
        st.caption(f":material/warning: {markup.without_markup(damaged)}")
    if tuple(run.id for run in active) != drawn:
        redraw()  # a run began or ended: the screen below has news, and this fragment another pace
    if not active:
        row = st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center")
        row.caption("Nothing is running.", width="content")
        workers_menu.draw(row, None)
        return
    run, *waiting = active
    row = st.container(horizontal=True, vertical_alignment="center")
    row.progress(run.share, text=progress_text(run))
    stop_button(row, run)
    workers_menu.draw(row, run)
    if waiting:
        _queue(row.popover(f"{len(waiting)} waiting", icon=":material/queue:", key="queue"), waiting)


def stop_button(place: DeltaGenerator, run: Run, key: str = "stop") -> None:
    """*Stop* of a run at work, *End now* of one that does not stop, *Cancel* of one that waits.

    `key` tells several on a page apart.
    """
    waits = run.state == "queued"
    if run.stopping and not waits:
        if place.button("End now", key=f"{key}-now-{run.id}", icon=":material/cancel:", help=state_words.END_NOTE):
            try:
                launch.stop(workbench.runs(), run.id)
            except SecateurError as error:
                with place:
                    help.refusal(str(error))
                return
            redraw()
        return
    if place.button(
        "Cancel" if waits else "Stop", key=f"{key}-{run.id}", disabled=run.stopping,
        icon=":material/cancel:" if waits else ":material/stop_circle:",
        help=state_words.CANCEL_NOTE if waits else state_words.STOP_NOTE,
    ):  # fmt: skip
        workbench.runs().ask_to_stop(run.id)
        redraw()


def _queue(place: DeltaGenerator, waiting: Sequence[Run]) -> None:
    """Who waits, in the order in which they will work, each to be cancelled."""
    place.caption("One run works at a time, in the order in which they were asked for.")
    for number, run in enumerate(waiting, 1):
        row = place.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute")
        asked = datetime.fromtimestamp(run.created).strftime("%H:%M")
        row.markdown(f"{number}. {_what(run)}, asked for at {asked}", width="content")
        stop_button(row, run)


def _what(run: Run) -> str:
    return f"{VERBS.get(run.kind, run.kind)} **{workbench.short_name(run.workload)}**"


def progress_text(run: Run) -> str:
    """`sweeping fashion-resnet: 220 cells, up to example 1,000 of 2,000 · about 12 s left`."""
    text = _what(run)
    if run.stopping:
        text += ": stopping after this batch"
    elif run.state == "queued":
        text += ": starting"
    elif run.phase:
        text += f": {run.phase}" + time_text(run)
    return text


def time_text(run: Run) -> str:
    """` · about 12 s left`; of a search whose end is not in sight, ` · at most 22 s left`."""
    left = run.seconds_left()
    if left is None:
        return ""
    searching = run.request.get("mode", "exact") != "exact" and run.share < 0.25
    is_bound = searching or run.kind == "minimise"  # which needs fewer plans than it may measure
    return f" · {'at most' if is_bound else 'about'} {numbers.seconds_text(left)} left"
