"""What a recovery is asked to do: what to cut, on which schedule, how to train; drawn before it starts."""

from typing import get_args

import streamlit as st

from core import wording
from core.jobs.launch import start_recover
from core.plans.plan import SparsityPlan
from core.plans.schedules import SCHEDULES, Schedule, usual_rounds
from core.plans.totals import plan_totals
from core.recovery.request import SPREADS, RecoverRequest, Spread
from core.recovery.settings import FineTuning, Optimiser
from core.recovery_wording import SCHEDULE_WORDS, SPREAD_WORDS
from core.workload.description import Description
from dashboard import workbench
from dashboard.figures.recovery import schedule_figure
from dashboard.plotly_live import plotly_live

PLAN, ALL = "the plan being made", "one sparsity of all weights"
USUAL = FineTuning()
OPTIMISERS: tuple[Optimiser, ...] = get_args(Optimiser)
MOST_ROUNDS = 100


def draw(ref: str, found: Description) -> None:
    """The form of a model that has training data, and the schedule that it makes."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        plan, schedule, spread = _what(ref, found)
        settings, tolerance = _how(ref, found)
        request = RecoverRequest(
            ref, schedule, settings, plan.to_document() if plan else None, spread, tolerance=tolerance
        )
        pressed = st.button("Start", type="primary", icon=":material/healing:", key=f"recover-{ref}")
    with right:
        plotly_live(
            schedule_figure(schedule.sparsities(), workbench.colours()),
            "schedule",
            "Planned sparsity after every round",
        )
        st.caption(_caption(found, request))
    if pressed:
        start_recover(workbench.runs(), request)
        st.rerun()


def plan_share(plan: SparsityPlan, found: Description) -> float:
    """Share of the weights that can be cut which a plan removes, in [0, 1]."""
    totals = plan_totals(plan, found)
    return totals.n_removed / max(1, totals.n_weights)


def _what(ref: str, found: Description) -> tuple[SparsityPlan | None, Schedule, Spread]:
    draft = workbench.runs().draft(ref)
    choices = [PLAN, ALL] if draft.cuts else [ALL]
    cut = st.segmented_control(
        "Cut", choices, default=choices[0], required=True, key=f"recover-cut-{ref}-{len(choices)}",
        help="The plan is made on the Tune screen; there is none while it is empty.",
    )  # fmt: skip
    first, second, third = st.columns(3, vertical_alignment="bottom")
    name = first.selectbox(
        "Schedule", list(SCHEDULES), index=list(SCHEDULES).index("cubic"), format_func=SCHEDULE_WORDS.__getitem__,
        key=f"recover-schedule-{ref}", persist_state="session",
    )  # fmt: skip
    plan, spread = (draft, SPREADS[0]) if cut == PLAN else (None, SPREADS[0])
    if plan is not None:
        final = plan_share(plan, found)
        third.caption(f"The plan removes {wording.share_text(final)} of the weights that can be cut.")
    else:
        final = third.number_input(
            "Final sparsity, %", 0.1, 99.9, 90.0, 1.0, key=f"recover-final-{ref}", persist_state="session"
        ) / 100  # fmt: skip
        spread = st.selectbox(
            "Spread over the layers", SPREADS, format_func=SPREAD_WORDS.__getitem__, key=f"recover-spread-{ref}",
            persist_state="session", help="Anew in every round, of the weights that training has made by then.",
        )  # fmt: skip
    usual = min(MOST_ROUNDS, usual_rounds(name, 0.0, final))
    n = second.number_input(
        "Rounds", 1, MOST_ROUNDS, usual, key=f"recover-rounds-{ref}-{name}-{usual}", disabled=name == "one_shot",
        persist_state="session",
    )  # fmt: skip
    return plan, Schedule(name, 0.0, final, n), spread


def _how(ref: str, found: Description) -> tuple[FineTuning, float]:
    scale = found.scale
    usual = workbench.tolerance_of(ref, found) * scale.factor
    a, b, c, d = st.columns(4, vertical_alignment="bottom")
    epochs = a.number_input(
        "Epochs per round", 0.0, None, USUAL.epochs, 0.5, key=f"recover-epochs-{ref}", persist_state="session",
        help="Passes over the training examples; 0 trains nothing.",
    )  # fmt: skip
    rate = b.number_input(
        "Learning rate", 0.0, None, USUAL.rate, 1e-4, format="%.3g", key=f"recover-rate-{ref}",
        persist_state="session", help="The highest of a round.",
    )  # fmt: skip
    distillation = c.number_input(
        "Distillation", 0.0, 1.0, USUAL.distillation, 0.1, key=f"recover-distillation-{ref}", persist_state="session",
        help="Weight of the loss against the dense model's outputs; the labels' has the rest.",
    )  # fmt: skip
    shown = d.number_input(
        f"Tolerance, {wording.drop_unit(scale)}", 0.0, None, usual, usual / 2, format="%.3g",
        key=f"recover-tolerance-{ref}-{usual:.6g}", persist_state="session",
        help="Marks the sparsest round of whose drop the whole interval lies within.",
    )  # fmt: skip
    with st.expander("More about the training"):
        a, b, c, d = st.columns(4)
        optimiser = a.selectbox("Optimiser", OPTIMISERS, key=f"recover-optimiser-{ref}")
        batch_size = b.number_input("Batch size", 1, None, USUAL.batch_size, key=f"recover-batch-{ref}")
        last = c.number_input(
            "Last round, times as long", 1.0, None, USUAL.last, 1.0, key=f"recover-last-{ref}"
        )  # fmt: skip
        patience = d.number_input(
            "Patience, epochs", 0, None, USUAL.patience, key=f"recover-patience-{ref}",
            help="Epochs without progress on held-back training examples that end a round; 0: never.",
        )  # fmt: skip
    settings = FineTuning(
        epochs=epochs, rate=rate, distillation=distillation, optimiser=optimiser, batch_size=batch_size, last=last,
        patience=patience,
    )  # fmt: skip
    return settings, shown / scale.factor


def _caption(found: Description, request: RecoverRequest) -> str:
    n, settings = request.schedule.num_iterations, request.fine_tuning
    n_training = found.n_training or 0
    n_training -= round(settings.validation * n_training) if settings.patience else 0
    steps = sum(settings.n_steps(n_training, is_last=i == n) for i in range(1, n + 1))
    text = (
        f"Planned, not measured. {n} round{'s' * (n > 1)}, {'at most ' * bool(settings.patience)}{steps:,} optimiser "
        f"steps in all on {n_training:,} training examples; each round is measured on all {found.n_evaluation:,} "
        "evaluation examples, before training and after."
    )
    if request.plan is not None:
        text += " Each target goes this way to its own sparsity; what goes as a whole goes one after the other."
    return text
