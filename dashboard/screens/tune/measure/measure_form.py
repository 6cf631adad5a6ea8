"""The button that measures the plan on disk, on how many examples, and what time that is predicted to take."""

from collections.abc import Sequence

import streamlit as st

from core import numbers
from core.jobs.known.kept_plan import KeptPlan
from core.jobs.launch import start_measure
from core.jobs.pace import Pace, pace_of
from core.plans.plan import SparsityPlan
from core.workload.description import Description
from dashboard.frame import workbench
from dashboard.screens.tune import plan_draft
from dashboard.screens.tune.predicted import Knowledge

FEWER = (500, 2_000, 5_000, 20_000, 100_000)  # examples that one may choose in place of all
NO_CUTS = "The plan has no cuts yet: there is nothing to measure."


def choices(n_open: int) -> list[int]:
    """Numbers of examples to choose from, all of them first."""
    return [n_open, *(n for n in FEWER if n < n_open)]


def choice_text(n: int, n_open: int, pace: Pace | None) -> str:
    """`all 10,000 examples, ≈ 12 s`; without a time where nothing was timed."""
    took = "" if pace is None else f", ≈ {numbers.seconds_text(max(1.0, pace.seconds(n)))}"
    return f"{'all ' if n == n_open else ''}{n:,} examples{took}"


def time_text(pace: Pace | None) -> str:
    """On what a predicted time rests."""
    if pace is None:
        return "Nothing was timed of this model yet, so the time it takes is not known."
    return f"≈ predicted from {pace.source}."


def draw(ref: str, found: Description, plan: SparsityPlan, known: Knowledge, kept: Sequence[KeptPlan]) -> None:
    """Measure the plan on disk; what was predicted of it is kept beside, and which kept plan it was made from."""
    pace, n_open = pace_of(workbench.runs(), ref), found.n_open
    n = st.selectbox(
        "On", choices(n_open), key=f"measure-n-{ref}", persist_state="session",
        format_func=lambda n: choice_text(n, n_open, pace),
        help="Of several measurements of a plan the one on the most examples counts. Fewer are quicker, and their "
        f"interval is wider: four times as few make it twice as wide. {time_text(pace)}",
    )  # fmt: skip
    at_work = is_at_work(ref, plan)
    if st.button(
        "Being measured …" if at_work else "Measure this plan",
        type="primary", disabled=not plan.cuts or at_work, width="stretch", key=f"measure-{ref}",
        help=NO_CUTS if not plan.cuts else f"On {choice_text(n, n_open, pace)} (predicted), with the masks on. "
        "The answer stands in the head of the tuner.",
    ):  # fmt: skip
        plan, predictor = plan_draft.current(ref), known.predictor
        start_measure(
            workbench.runs(), ref, plan, "all" if n == n_open else n, made_by=plan_draft.maker_of(ref, plan),
            parent=plan_draft.parent_of(ref, plan, kept),
            prediction=predictor.predict(plan) if predictor and predictor.fits(plan) else None,
            n_plans=predictor.n_plans if predictor else 0,
        )  # fmt: skip
        plan_draft.follow(ref, plan.fingerprint())
        st.rerun()
    if not plan.cuts:
        st.caption(NO_CUTS)


def is_at_work(ref: str, plan: SparsityPlan) -> bool:
    """Whether the plan waits to be measured, or is."""
    return any(
        run.kind == "measure" and run.workload == ref and SparsityPlan.from_document(dict(run.request["plan"])) == plan
        for run in workbench.active_runs()
    )
