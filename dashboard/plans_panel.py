"""All measured plans on one chart, quality against cost, beside the plan that is being made."""

import streamlit as st

from core.jobs.plan_book import PlanBook
from core.plan_wording import MADE_BY, plan_title
from core.plans.plan import SparsityPlan
from core.workload.description import Description
from dashboard import workbench
from dashboard.figures.plans import MeasuredPoint, PredictedPoint, plans_figure
from dashboard.plotly_live import plotly_live
from dashboard.predicted import Knowledge
from dashboard.tuner.costs import CostTable, cost_left, cost_tables


def draw(ref: str, found: Description, plan: SparsityPlan, known: Knowledge) -> None:
    """The chart; nothing where there is neither a measurement nor a prediction."""
    tables = cost_tables(found)
    measured = PlanBook(workbench.runs().workspace).measured(ref, found.fingerprint)
    if not tables or not (measured or known.predictor):
        return
    st.subheader("Quality against cost")
    table = _choose(ref, tables)
    points = [
        MeasuredPoint(
            plan_title(one.kept), MADE_BY[one.kept.made_by], one.result.form,
            share_left(one.kept.plan, found, table), one.result.drop,
        )
        for one in measured
        if one.result.drop is not None
    ]  # fmt: skip
    present = PredictedPoint(share_left(plan, found, table), known.predictor.predict(plan)) if known.predictor else None
    figure = plans_figure(points, present, found.scale, table.label, workbench.colours())
    plotly_live(figure, "plans", f"Drop of every measured plan by its {table.label} left, and of the plan above")


def share_left(plan: SparsityPlan, found: Description, table: CostTable) -> float:
    """Fraction of a cost that a plan leaves."""
    return cost_left(plan, found, table.kind) / table.dense


def _choose(ref: str, tables: tuple[CostTable, ...]) -> CostTable:
    named = {table.kind: table for table in tables}
    if len(named) == 1:
        return tables[0]
    chosen = st.segmented_control(
        "Cost", list(named), default=tables[0].kind, required=True, key=f"plans-cost-{ref}",
        format_func=lambda kind: named[kind].label, label_visibility="collapsed", persist_state="session",
    )  # fmt: skip
    return named[chosen or tables[0].kind]
