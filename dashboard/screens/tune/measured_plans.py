"""Plans that were kept: all measured ones on one chart, quality against cost, beside the plan that is being made; what
became of the newest, a table of all, and what can be done with one or two of them."""

from collections.abc import Sequence

import streamlit as st

from core import numbers
from core.jobs.known.kept_plan import KeptPlan, MeasuredPlan
from core.jobs.known.plan_words import MADE_BY, PLANS_NOTE, plan_title
from core.plans.costs.left import plan_cost
from core.plans.plan import Form, SparsityPlan
from core.reports.tables import outcome_rows, plan_rows
from core.workload.description import Description
from dashboard.figures.plans import MeasuredPoint, PredictedPoint, plans_figure
from dashboard.frame import help, workbench
from dashboard.frame.plotly_live import plotly_live
from dashboard.frame.sharing import take_away
from dashboard.screens.tune import plan_actions, plan_diff_panel, plan_outcome, plan_table
from dashboard.screens.tune.predicted import Knowledge
from dashboard.tuner.costs import CostKind


def draw(
    ref: str,
    found: Description,
    plan: SparsityPlan,
    known: Knowledge,
    kept: Sequence[KeptPlan],
    measured: Sequence[MeasuredPlan],
) -> None:
    """From the outcome of the plan on screen to the tools for the plans that are ticked.

    Args:
        ref, found: the model.
        plan: on screen.
        known: what predicts plans.
        kept: every plan of the model, newest first.
        measured: what was measured of them on the model as it is now.
    """
    st.subheader("Plans")
    _problems(ref, found)
    if not kept:
        st.caption(
            "None yet. Measure the plan above to see what it really costs: "
            "cuts that are harmless alone may not be together."
        )
        _take_away(ref, plan, kept, measured)
        return
    if measured:
        plan_outcome.draw(plan, measured)
    results, unfinished = plan_table.by_plan(measured), plan_table.tried(ref)
    ticked = plan_table.draw(ref, found, kept, results, unfinished)
    st.caption(PLANS_NOTE.format(unit=numbers.drop_unit(found.scale)))
    _take_away(ref, plan, kept, measured)
    if len(ticked) == 1:
        (one,) = ticked
        forms: tuple[Form, ...] = ("masked", "shrunk")
        busy = [form for form in forms if unfinished.get((one.fingerprint, form)) == plan_table.AT_WORK]
        plan_actions.draw(ref, found, one, results.get(one.fingerprint, ()), known, busy)
    elif len(ticked) == 2:
        plan_diff_panel.draw(found, *ticked, results)
    else:
        why = "Tick a plan to load, measure, name or download it; two to compare them."
        st.caption(f"{len(ticked)} plans are ticked. {why}" if ticked else why)


def _take_away(ref: str, plan: SparsityPlan, kept: Sequence[KeptPlan], measured: Sequence[MeasuredPlan]) -> None:
    """Tables as files: of the plan on screen a line a row, of all plans predicted beside measured."""
    row = st.container(horizontal=True)
    if plan.cuts:
        name = take_away.file_name(ref, "plan")
        take_away.table(lambda: plan_rows(plan), name, "plan-lines", row, "Download plan as a table")
    if kept:
        known = {one.kept.id for one in measured}
        rest = [one for one in kept if one.id not in known]
        name = take_away.file_name(ref, "plans")
        take_away.table(lambda: outcome_rows(measured, rest), name, "plans-table", row)


def _problems(ref: str, found: Description) -> None:
    """The newest measurement, if it failed; and what was measured on an earlier version of the model."""
    ended = [run for run in workbench.runs().list("measure", ref) if not run.active]
    if ended and ended[0].error:
        help.refusal(f"The newest measurement failed: {ended[0].error}")
    old = sum(1 for run in ended if run.result is not None and not workbench.is_current(run, found))
    if old:
        st.caption(f"{old} measured on an earlier version of the model are left out.")


def chart(ref: str, found: Description, plan: SparsityPlan, known: Knowledge, measured: Sequence[MeasuredPlan]) -> None:
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
    said = known.predictor.predict(plan) if known.predictor and known.predictor.fits(plan) and plan.cuts else None
    is_prediction = said is not None and said.measured is None  # what was measured has its own mark
    present = PredictedPoint(share_left(plan, found, known, cost), said) if said and is_prediction else None
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
