"""Certificates: the button that has the plan judged on examples that nothing was chosen by, and what came of it."""

import streamlit as st

from core import numbers
from core.certificates.certificate import Certificate
from core.certificates.certificate_words import certificate_line, certificate_notes
from core.errors import SecateurError
from core.jobs.known.certificates import best_certificate, certificates_of
from core.jobs.launch import start_certify
from core.jobs.run import Run
from core.plans.plan import SparsityPlan
from core.workload.description import Description
from dashboard.frame import help, workbench
from dashboard.frame.strip import time_text

CONFIDENCE = 0.95


def draw(ref: str, found: Description, plan: SparsityPlan) -> None:
    """The form that starts one, and what is certified of the plan.

    Args:
        ref: of the model.
        found: the model as it is now.
        plan: chosen above, with cuts.
    """
    st.subheader("Certificate")
    if (why := why_none(found)) is not None:
        st.caption(why)
        return
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    within = left.number_input(
        f"Accepted drop, {numbers.drop_unit(found.scale)}", 0.0, None, 1.0, 0.5, key=f"certify-within-{ref}",
        help="What the plan must not exceed: shown with a confidence of 95 %, or not shown.",
    )  # fmt: skip
    newest = next(iter(workbench.runs().list("certify", ref)), None)
    at_work = newest is not None and newest.active
    pressed = right.button(
        "Certify", key=f"certify-{plan.fingerprint()}", icon=":material/workspace_premium:", width="stretch",
        disabled=at_work,
    )  # fmt: skip
    st.caption(
        f"Measures the plan on {found.n_certified_on:,} examples that nothing was chosen by, and stops when the answer "
        "is certain. Every further plan is judged more strictly, so certify the one that you mean to deliver; the next "
        "bundle carries the certificate."
    )
    if pressed:
        try:
            start_certify(workbench.runs(), ref, plan, within / found.scale.factor, CONFIDENCE)
        except SecateurError as error:
            help.refusal(str(error))
        else:
            st.rerun()
    _state(newest, plan)
    best = best_certificate(certificates_of(workbench.runs(), ref, found.fingerprint, plan))
    if best is not None:
        _draw_one(best)


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
        why = {"cancelled": "was stopped", "interrupted": "ended when its worker died"}.get(run.state)
        help.refusal(f"The newest certificate {f'{why}.' if why else f'failed: {run.error}'}")


def _at_work(run_id: str) -> None:
    run = workbench.runs().get(run_id)
    if not run.active:
        st.rerun()
    phase = "stopping" if run.stopping else run.phase or "starting"
    st.caption(f":material/pending: Certifying: {phase}{time_text(run)}")
