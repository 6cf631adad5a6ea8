"""Certificates: the button that has a plan or a recovered round judged on examples that nothing was chosen by."""

import streamlit as st

from core import numbers
from core.certificates.certificate import Certificate
from core.certificates.certificate_words import certificate_line, certificate_notes
from core.errors import SecateurError
from core.jobs import state_words
from core.jobs.known.certificates import best_certificate, certificates_of
from core.jobs.launch import start_certify
from core.jobs.run import Run
from core.plans.plan import SparsityPlan
from core.workload.description import Description
from dashboard.frame import help, workbench
from dashboard.frame.fragment import redraw
from dashboard.frame.strip import time_text
from dashboard.screens.deliver.deliverables import Deliverable

CONFIDENCE = 0.95


def draw(ref: str, found: Description, model: Deliverable) -> None:
    """The form that starts one, and what is certified.

    Args:
        ref: of the dense model.
        found: that model as it is now.
        model: chosen above: a plan with cuts, or a round.
    """
    place, plan, what = model.place(ref), model.plan, "plan" if model.recovery is None else "round"
    st.subheader("Certificate")
    if (why := why_none(found)) is not None:
        st.caption(why)
        return
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    within = left.number_input(
        f"Accepted drop, {numbers.drop_unit(found.scale)}", 0.0, None, 1.0, 0.5, key=f"certify-within-{ref}",
        help="What the plan must not exceed: shown with a confidence of 95 %, or not shown.",
    )  # fmt: skip
    newest = next(iter(workbench.runs().list("certify", place)), None)
    at_work = newest is not None and newest.active
    pressed = right.button(
        "Certify", key=f"certify-{key_of(model)}", icon=":material/workspace_premium:", width="stretch",
        disabled=at_work,
    )  # fmt: skip
    st.caption(
        f"Measures the {what} beside the dense model on {found.n_certified_on:,} examples that nothing was chosen by, "
        "and stops when the answer is certain. Every further model is judged more strictly, so certify the one that "
        "you mean to deliver; the next bundle carries the certificate."
    )
    if pressed:
        try:
            start_certify(workbench.runs(), model.reference(ref), plan, within / found.scale.factor, CONFIDENCE)
        except SecateurError as error:
            help.refusal(str(error))
        else:
            redraw()
    _state(newest, plan)
    of = found.fingerprint if model.recovery is None else None  # a round's file has a name of its own
    best = best_certificate(certificates_of(workbench.runs(), place, of, plan))
    if best is not None:
        _draw_one(best)


def key_of(model: Deliverable) -> str:
    """Of the button: a plan's fingerprint, a round's run and number."""
    return model.plan.fingerprint() if model.recovery is None else f"{model.recovery.id}-{model.round}"


def why_none(found: Description) -> str | None:
    """Why no plan of a model can be certified; `None` if one can."""
    scale = found.scale
    if not scale.is_bounded:
        return f"No bound holds for {scale.name}; a mean of bounded scores, such as accuracy, has one."
    if not found.n_certified_on:
        return (
            f"No example is set aside: {found.n_evaluation:,} evaluation examples are too few to spare any. Name "
            "examples for certificates in the workload: `Workload(holdout=…)`."
        )
    return None


def _draw_one(best: Certificate) -> None:
    show = st.success if best.state == "certified" else st.warning
    icon = ":material/workspace_premium:" if best.state == "certified" else ":material/help:"
    line = certificate_line(best)
    show(f"{line[0].upper()}{line[1:]}.", icon=icon)
    st.caption("  \n".join(certificate_notes(best)))


def _state(run: Run | None, plan: SparsityPlan) -> None:
    if run is None or run.state == "finished":
        return
    if run.active:
        st.fragment(_at_work, run_every=workbench.ACTIVE_SECONDS)(run.id)
    elif SparsityPlan.from_document(run.request["plan"]) == plan:
        why = state_words.ended_text(run)
        help.refusal(f"The newest certificate {f'{why}.' if why else f'failed: {run.error}'}")


def _at_work(run_id: str) -> None:
    run = workbench.runs().get(run_id)
    if not run.active:
        redraw()
    phase = "stopping" if run.stopping else run.phase or "starting"
    st.caption(f":material/pending: Certifying: {phase}{time_text(run)}")
