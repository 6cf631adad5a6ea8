"""What can be done with a round that is kept: go on from it with other settings, or sweep its model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from core import numbers
from core.errors import SecateurError
from core.jobs.known.kept_rounds import round_of
from core.jobs.launch import start_recover
from core.jobs.run import Run
from core.recovery.history import Round
from core.recovery.request import RecoverRequest
from core.workload.description import Description
from core.workload.scale import Scale
from dashboard.frame import help, workbench
from dashboard.frame.fragment import redraw
from dashboard.screens.recover import recovered_maps


def draw(found: Description, run: Run, request: RecoverRequest | None) -> None:
    """Choose a round of a run that is not at work, and what to do with it.

    Args:
        found: the dense model.
        run: a recovery with at least one round.
        request: what the form asks for; `None` while that is nothing.
    """
    result = run.result or {}
    scale, history = Scale.from_json(result["metric"]), [Round.from_json(row) for row in result["history"]]
    best = result["best"]
    st.markdown("**Use a round**")
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        number = st.selectbox(
            "Round", [row.iteration for row in history], index=(best or len(history)) - 1,
            format_func=lambda i: round_text(scale, history[i - 1], result),
            key=f"round-{run.id}-{len(history)}-{best}",
        )  # fmt: skip
    problem = "mend what the form above says first" if request is None else cannot_go_on(request, run, number)
    with right:
        pressed = st.button(
            f"Go on from round {number}", icon=":material/undo:", key=f"roll-back-{run.id}", disabled=bool(problem)
        )
    if problem:
        st.caption(f"To go on from round {number}, {problem}.")
    else:
        assert request is not None
        st.caption(go_on_text(request, history[:number]))
    if pressed and request is not None:
        try:
            start = round_of(workbench.runs(), run.id, number)
            start_recover(workbench.runs(), replace(request, start=str(start)))
        except SecateurError as error:
            help.refusal(str(error))
        else:
            redraw()
    recovered_maps.draw(found, run, number)


def round_text(scale: Scale, row: Round, result: Mapping[str, Any]) -> str:
    """`round 3: 75 % gone, accuracy 84.2 %, best within the tolerance, +0.40 points on others than it was chosen by`.

    Args:
        scale: of the metric.
        row: the round.
        result: of its run.
    """
    parts = [f"round {row.iteration}: {numbers.share_text(row.sparsity)} gone"]
    parts.append(f"{scale.name} {numbers.metric_text(scale, row.after.value)}" if row.after else "not measured")
    if row.iteration != result["best"]:
        return ", ".join(parts)
    choice = result.get("choice")
    if choice and choice["unseen"] and choice["judged"]:
        drop = numbers.drop_text(scale, choice["judged"]["value"])
        found = [f"{drop} {numbers.drop_unit(scale)} on others than it was chosen by"]
    else:
        found = []
    return ", ".join([*parts, "best within the tolerance", *found])


def cannot_go_on(request: RecoverRequest, run: Run, number: int) -> str:
    """What to change in the form before it can go on from a round of a run; empty if nothing."""
    judged = run.request["samples"]
    if request.samples != judged:
        n = "all" if judged == "all" else f"{judged:,}"
        return (
            f"ask for the evaluation examples that its rounds were judged on, {n} (*More about the cuts and the "
            "measuring*): drops on others could not stand in one table"
        )
    return too_few_rounds(request, number)


def too_few_rounds(request: RecoverRequest, number: int) -> str:
    """What to change in the form before it can go on from a round; empty if nothing."""
    n = request.schedule.num_iterations
    if n > number:
        return ""
    return f"give the schedule above more than {number} round{'s' * (number > 1)}; it has {n}"


def go_on_text(request: RecoverRequest, done: Sequence[Round]) -> str:
    """What rolling back would do, and whether the next round has anything to cut."""
    schedule, number = request.schedule, len(done)
    planned, reached = schedule.sparsities()[number], done[-1].sparsity
    left = schedule.num_iterations - number
    text = (
        f"Goes on as the form above says: {schedule.name}, {left} more round{'s' * (left > 1)} to "
        f"{numbers.share_text(schedule.final_sparsity)}. This recovery and its rounds stay as they are."
    )
    if planned <= reached:
        text += (
            f" By that schedule round {number + 1} ends at {numbers.share_text(planned)}; "
            f"{numbers.share_text(reached)} are gone already and stay so, and it may only train."
        )
    return text
