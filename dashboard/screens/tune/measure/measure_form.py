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
from dashboard.frame.fragment import redraw
from dashboard.screens.tune import plan_draft
from dashboard.screens.tune.predicted import Knowledge

FEWER = (500, 2_000, 5_000, 20_000, 100_000)  # examples that one may choose in place of all
NO_CUTS = "The plan has no cuts yet: there is nothing to measure."


def choices(n_open: int) -> list[int]:
    """Numbers of examples to choose from, all of them first."""
    return [n_open, *(n for n in FEWER if n < n_open)]


def choice_text(n: int, pace: Pace | None) -> str:
    """`2,000 · ≈ 12 s`; without a time where nothing was timed. Short: it stands in a narrow list."""
    return f"{n:,}" if pace is None else f"{n:,} · ≈ {_seconds(n, pace)}"


def time_text(n: int, pace: Pace | None) -> str:
    """How long measuring should take, in a line that stands below the button."""
    if pace is None:
        return "How long is not known: nothing was timed yet."
    return f"About {_seconds(n, pace)}, predicted."


def _seconds(n: int, pace: Pace) -> str:
    return numbers.seconds_text(max(1.0, pace.seconds(n)))


def draw(ref: str, found: Description, plan: SparsityPlan, known: Knowledge, kept: Sequence[KeptPlan]) -> None:
    """Measure the plan on disk; what was predicted of it is kept beside, and which kept plan it was made from."""
    pace, n_open = pace_of(workbench.runs(), ref), found.n_open
    n = st.selectbox(
        f"Examples, of {n_open:,}", choices(n_open), key=f"measure-n-{ref}", persist_state="session",
        format_func=lambda n: choice_text(n, pace),
        help="Of several measurements of a plan the one on the most examples counts. Fewer are quicker, and their "
        "interval is wider: four times as few make it twice as wide."
        + (f" Times are predicted from {pace.source}." if pace else ""),
    )  # fmt: skip
    at_work = is_at_work(ref, plan)
    if st.button(
        "Being measured …" if at_work else "Measure this plan",
        type="primary", disabled=not plan.cuts or at_work, width="stretch", key=f"measure-{ref}",
        help="With the masks on. The answer stands in the head of the tuner.",
    ):  # fmt: skip
        plan, predictor = plan_draft.current(ref), known.predictor
        start_measure(
            workbench.runs(), ref, plan, "all" if n == n_open else n, made_by=plan_draft.maker_of(ref, plan),
            parent=plan_draft.parent_of(ref, plan, kept),
            prediction=predictor.predict(plan) if predictor and predictor.fits(plan) else None,
            n_plans=predictor.n_plans if predictor else 0,
        )  # fmt: skip
        plan_draft.follow(ref, plan.fingerprint())
        redraw()
    st.caption(time_text(n, pace) if plan.cuts else NO_CUTS)


def is_at_work(ref: str, plan: SparsityPlan) -> bool:
    """Whether the plan waits to be measured, or is."""
    return any(
        run.kind == "measure" and run.workload == ref and SparsityPlan.from_document(dict(run.request["plan"])) == plan
        for run in workbench.active_runs()
    )
