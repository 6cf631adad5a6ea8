"""Sharpen the prediction: a few whole plans are measured, from which it learns how cuts act together."""

import streamlit as st

from core.errors import SecateurError
from core.jobs.launch import start_anchors
from core.plans import cut_words
from core.plans.plan import FRACTIONAL, WHOLE, SparsityPlan
from core.plans.prediction import Predictor
from core.plans.repairs import repair_words
from core.tuning.request import N_ANCHORS, AnchorsRequest
from core.workload.target import Granularity
from dashboard.frame import help, workbench
from dashboard.frame.fragment import redraw
from dashboard.screens.tune.predicted import Knowledge

MEASURES = (
    f"{N_ANCHORS} whole plans of each kind of cut, from nearly harmless to ruinous, on examples that the sweep did not "
    "see as far as there are any; each is kept below."
)
WHY = (
    "**No whole plan{repaired} was measured yet.** Sweeps measured each cut alone; how cuts act together is taken "
    "from other models until then, so the interval of the prediction is wide. This measures "
)
WHY_MORE = f"Each measured plan makes the prediction surer. This measures {MEASURES}"


def draw(ref: str, plan: SparsityPlan, known: Knowledge) -> None:
    """The button and why; large while no plan of the model was measured, small after."""
    able = known.predictor and harmful(known.predictor)
    if not known.predictor or not able:
        return
    runs = workbench.runs().list("anchors", ref)
    is_active = any(run.active for run in runs)
    if known.predictor.n_plans:
        with st.popover("Sharpen the prediction", icon=":material/target:"):
            _form(WHY_MORE, ref, plan, able, is_active)
    else:
        with st.container(border=True):
            such = f" {repair_words(plan.repair)}" if plan.repair else ""
            _form(WHY.format(repaired=such) + MEASURES, ref, plan, able, is_active)
    if runs and not is_active and runs[0].error:
        help.refusal(f"The prediction was not sharpened: {runs[0].error}")


def harmful(predictor: Predictor) -> list[Granularity]:
    """What was measured to do any harm when cut: only of that a plan can tell anything."""
    known = {curve.granularity for curve in predictor.curves.values() if curve.harm[-1] > 0}
    return [one for one in (*FRACTIONAL, *WHOLE) if one in known]


def usual(plan: SparsityPlan, able: list[Granularity]) -> list[Granularity]:
    """What the plan on screen cuts, as far as it was measured; of an empty one the first that was."""
    cut = {cut.granularity for cut in plan.cuts}
    return [one for one in able if one in cut] or able[:1]


def _form(text: str, ref: str, plan: SparsityPlan, able: list[Granularity], is_active: bool) -> None:
    st.write(text)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = usual(plan, able)
        if len(able) > 1:
            picked = st.pills(
                "They cut", able, default=chosen, selection_mode="multi", key=f"anchors-{ref}-{'-'.join(chosen)}",
                format_func=cut_words.granularity_text,
            )  # fmt: skip
            chosen = [one for one in able if one in picked]
        if st.button(
            "Being measured …" if is_active else "Sharpen the prediction",
            icon=":material/target:", type="primary", disabled=is_active or not chosen, key=f"start-anchors-{ref}",
        ):  # fmt: skip
            try:
                start_anchors(workbench.runs(), AnchorsRequest(ref, tuple(chosen), repair=plan.repair))
            except SecateurError as error:
                help.refusal(str(error))
            else:
                redraw()
    if not chosen:
        st.caption("Choose at least one kind of cut.")
