"""What became of a plan: the dense model, the prediction and the measurement beside each other, and in a sentence."""

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import numbers
from core.jobs.known import plan_words
from core.jobs.known.kept_plan import MeasuredPlan
from core.plans.plan import SparsityPlan
from dashboard.frame import help, measured, workbench
from dashboard.frame.guards import who_suffers
from dashboard.frame.markup import without_markup

NUMBER_PIXELS = 220  # three beside each other in a window of 900


def draw(plan: SparsityPlan, found: Sequence[MeasuredPlan]) -> None:
    """Of the plan on screen if it was measured, else of the one that was measured last.

    Args:
        plan: on screen.
        found: every measured plan, at least one.
    """
    of_plan = [one for one in found if one.kept.plan == plan]
    shown = of_plan[0] if of_plan else max(found, key=lambda one: one.result.ended)
    result, foreseen = shown.result, plan_words.foreseen_metric(shown)
    if result.metric is None or result.drop is None:
        what = "This plan" if of_plan else f"Plan {plan_words.plan_title(shown.kept)}"
        help.refusal(f"{what} could not be measured: {plan_words.measured_text(shown)}")
        return
    scale, row = result.scale, st.container(horizontal=True)  # what has no room goes below

    def place() -> DeltaGenerator:
        return row.container(width=NUMBER_PIXELS)

    measured.metric(place(), "dense", scale, result.dense)
    if foreseen is not None:
        value, low, high = (numbers.metric_text(scale, bound) for bound in foreseen)
        box = row.container(width=NUMBER_PIXELS, gap=None)
        box.metric("predicted before", value)
        guess = "; a guess" if shown.predicted and shown.predicted.guesses else ""
        box.caption(f"95 % should lie in [{low.split(' ')[0]}, {high.split(' ')[0]}]{guess}")
    measured.metric(place(), "this plan, measured" if of_plan else "newest measured plan", scale, result.metric)
    if shown.gap is None:
        measured.drop(place(), "drop", scale, result.drop)
    else:
        box = row.container(width=NUMBER_PIXELS, gap=None)
        box.metric(f"gap, {numbers.drop_unit(scale)}", plan_words.gap_text(shown))
        box.caption("measured − predicted drop; + is worse")
    name = "This plan" if of_plan else f"Plan {plan_words.plan_title(shown.kept)}"
    st.markdown(without_markup(f"{name}: {plan_words.outcome_text(shown)}."))
    who_suffers(scale, workbench.runs().get(result.run).result)
    for other in of_plan[1:]:
        st.caption(f"Measured {other.result.form}: drop {plan_words.measured_text(other)}.")
    if not of_plan and plan.cuts:
        st.caption(":material/warning: The plan above differs from it, and is not measured yet.")
