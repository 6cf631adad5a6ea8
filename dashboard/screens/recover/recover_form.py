"""What a recovery is asked to do: what to cut, on which schedule, how to train; drawn before it starts."""

import re

import streamlit as st

from core import numbers
from core.errors import SecateurError
from core.jobs.launch import start_recover
from core.plans.schedules import Schedule
from core.recovery.recovery_words import GIVEN
from core.recovery.request import RecoverRequest
from core.recovery.settings import FineTuning
from core.workload.description import Description
from dashboard.figures.recovery import schedule_figure
from dashboard.frame import help, workbench
from dashboard.frame.fragment import redraw
from dashboard.frame.plotly_live import plotly_live
from dashboard.screens.recover import cutting_fields, training_fields
from dashboard.screens.recover.cutting_fields import Cutting

DEVICE = re.compile(r"(cpu|mps|(cuda|xpu)(:\d+)?)")


def draw(ref: str, found: Description, last: RecoverRequest | None = None) -> RecoverRequest | None:
    """The form of a model that has training data, and the schedule that it makes; starts what is asked.

    Args:
        ref, found: the model.
        last: what was asked for the last time; it stands in the fields at first.

    Returns:
        What stands in it; `None` while that is nothing which could be done.
    """
    left, right = st.columns([3, 2], gap="large")
    with left:
        what, how = st.container(), st.container()
        more_training = st.expander("More about the training")
        more_cuts = st.expander("More about the cuts and the measuring")
        with what:
            cutting = cutting_fields.draw(ref, found, more_cuts, last)
        with how:
            fields, place = st.columns([3, 1], vertical_alignment="bottom")
            asked = training_fields.draw(
                ref, found, fields, more_training, last.fine_tuning if last is not None else FineTuning()
            )
            with place:
                tolerance = _tolerance(ref, found, last)
        request: RecoverRequest | None = None
        schedule: Schedule | None = None
        try:
            schedule = cutting.schedule()
            if not DEVICE.fullmatch(cutting.device.strip()):
                raise SecateurError(f"There is no device “{cutting.device}”; write cpu, cuda, cuda:1, xpu or mps.")
            request = RecoverRequest(
                ref, schedule, FineTuning(**asked), cutting.plan.to_document() if cutting.plan else None,
                cutting.spread, cutting.criterion, cutting.samples, cutting.device.strip(), tolerance,
            )  # fmt: skip
        except SecateurError as error:
            help.refusal(str(error))
        pressed = st.button(
            "Start", type="primary", icon=":material/healing:", key=f"recover-{ref}", disabled=request is None
        )
    with right:
        if schedule is None:
            st.caption("The schedule is drawn here once the fields make one.")
        else:
            figure = schedule_figure(schedule.sparsities(), workbench.colours(), schedule.initial_sparsity)
            plotly_live(figure, "schedule", "Planned sparsity after every round")
        if request is not None:
            st.caption(_caption(found, request, cutting))
    if pressed and request is not None:
        start_recover(workbench.runs(), request)
        redraw()
    return request


def _tolerance(ref: str, found: Description, last: RecoverRequest | None) -> float:
    """In the metric's unit; the field speaks of points where that is a fraction."""
    scale = found.scale
    asked = last.tolerance if last is not None else None
    usual = (workbench.tolerance_of(ref, found) if asked is None else asked) * scale.factor
    shown = st.number_input(
        f"Tolerance, {numbers.drop_unit(scale)}", 0.0, None, usual, usual / 2, format="%.3g",
        key=f"recover-tolerance-{ref}-{usual:.6g}", persist_state="session",
        help="Marks the sparsest round of whose drop the whole interval lies within.",
    )  # fmt: skip
    return float(shown) / scale.factor


def _caption(found: Description, request: RecoverRequest, cutting: Cutting) -> str:
    n, settings = request.schedule.num_iterations, request.fine_tuning
    n_training = found.n_training or 0
    n_training -= settings.n_held(n_training)
    steps = sum(settings.n_steps(n_training, is_last=i == n) for i in range(1, n + 1))
    n_judged = (
        "all " * (request.samples == "all") + f"{found.n_open if request.samples == 'all' else request.samples:,}"
    )
    text = (
        f"Planned, not measured. {n} round{'s' * (n > 1)}, {'at most ' * bool(settings.patience)}{steps:,} optimiser "
        f"steps in all on {n_training:,} training examples; each round is measured on {n_judged} "
        "evaluation examples, before training and after."
    )
    if cutting.plan is not None:
        text += " Each target goes this way to its own sparsity; what goes as a whole goes one after the other."
        if cutting.name == GIVEN:
            text += f" What was typed is stretched to end at the plan's {numbers.share_text(cutting.final)}."
    return text
