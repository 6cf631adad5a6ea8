"""All measured plans on one chart, quality against cost, beside the plan that is being made."""

from collections.abc import Sequence

import streamlit as st

from core.jobs.known.kept_plan import MeasuredPlan
from core.jobs.known.plan_words import MADE_BY, plan_title
from core.plans.costs.left import plan_cost
from core.plans.plan import SparsityPlan
from core.workload.description import Description
from dashboard.figures.plans import MeasuredPoint, PredictedPoint, plans_figure
from dashboard.frame import workbench
from dashboard.frame.plotly_live import plotly_live
from dashboard.screens.tune.predicted import Knowledge
from dashboard.tuner.costs import CostKind


def draw(ref: str, found: Description, plan: SparsityPlan, known: Knowledge, measured: Sequence[MeasuredPlan]) -> None:
    """The chart; nothing where nothing was measured and there is no cut to predict."""
    if not known.kinds or not (measured or (known.predictor and plan.cuts)):
        return
    st.subheader("Quality against cost")
    cost = _choose(ref, known.kinds)
    points = [
        MeasuredPoint(
            plan_title(one.kept), MADE_BY[one.kept.made_by], one.result.form,
            share_left(one.kept.plan, found, known, cost), one.result.drop,
        )
        for one in measured
        if one.result.drop is not None
    ]  # fmt: skip
    present = (
        PredictedPoint(share_left(plan, found, known, cost), known.predictor.predict(plan))
        if known.predictor and known.predictor.fits(plan)
        else None
    )
    figure = plans_figure(points, present, found.scale, cost.label, workbench.colours())
    plotly_live(figure, "plans", f"Drop of every measured plan by its {cost.label} left, and of the plan above")


def share_left(plan: SparsityPlan, found: Description, known: Knowledge, cost: CostKind) -> float:
    """Fraction of a cost that a plan leaves."""
    return plan_cost(plan, found, cost.kind, known.saved).value / cost.dense


def _choose(ref: str, kinds: tuple[CostKind, ...]) -> CostKind:
    named: dict[str, CostKind] = {cost.kind: cost for cost in kinds}
    if len(named) == 1:
        return kinds[0]
    chosen = st.segmented_control(
        "Cost", list(named), default=kinds[0].kind, required=True, key=f"plans-cost-{ref}",
        format_func=lambda kind: named[kind].label, label_visibility="collapsed", persist_state="session",
    )  # fmt: skip
    return named.get(chosen or "", kinds[0])
