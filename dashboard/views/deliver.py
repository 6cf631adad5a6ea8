"""Deliver: models side by side; the chosen one written, reloaded, compared, verified again and downloaded."""

import streamlit as st

from core import wording
from core.jobs.runs import Run
from core.plans.plan import Form, SparsityPlan
from core.sensitivity.report import Estimate
from core.workload.description import Description
from core.workload.scale import Scale
from dashboard import bundles_panel, export_panel, quantize_panel, speed_panel, variants_panel, workbench


def plans_to_export(ref: str, found: Description) -> dict[str, SparsityPlan]:
    """The plan on the Tune screen, then every measured one, newest first; each plan once."""
    plans: dict[str, SparsityPlan] = {}
    measured: dict[str, SparsityPlan] = {}
    for run in workbench.runs().list("measure", ref):
        plan = SparsityPlan.from_document(run.request["plan"])
        if workbench.is_current(run, found) and (run.result or {}).get("drop") and plan not in measured.values():
            measured[f"{run.id}: {measured_words(run)}"] = plan
    draft = workbench.runs().draft(ref)
    if draft.cuts:
        words = next((label for label, plan in measured.items() if plan == draft), "not measured yet")
        plans[f"the plan on the Tune screen: {len(draft.cuts)} cuts, {words.partition(': ')[2] or words}"] = draft
    return {**plans, **{label: plan for label, plan in measured.items() if plan != draft}}


def measured_words(run: Run) -> str:
    result = run.result or {}
    scale = Scale.from_json(result["metric"])
    removed = wording.share_text(result["n_removed"] / max(1, result["n_weights"]))
    blocks = sum(cut["granularity"] == "block" for cut in run.request["plan"]["cuts"])
    skipped = f" and {blocks} block{'s' * (blocks > 1)} skipped" if blocks else ""  # they are no zeros to count
    return f"{removed} removed{skipped}, measured drop {wording.drop_with_interval(scale, Estimate(**result['drop']))}"


def draw(ref: str, found: Description) -> None:
    plans = plans_to_export(ref, found)
    if plans:
        plan = plans[st.selectbox("Plan", list(plans), key=f"plan-{ref}")]
    else:
        plan = None
        st.info(
            "There is no plan yet. Make one on the Tune screen, or click a cell of the map and “Cut here”.",
            icon=":material/tune:",
        )
    variants_panel.draw(ref, found, plan)
    exports = workbench.runs().list("export", ref)
    form: Form = "masked"
    if plan is not None:
        st.subheader("Export")
        form = export_panel.choose_form(found, plan)
        export_panel.draw(ref, plan, form)
    export_panel.draw_state(exports[0] if exports else None)
    quantize_panel.draw(ref, found, plan, form)
    if plan is not None:
        speed_panel.draw(ref, found, plan)
    bundles_panel.draw(ref, found, exports)


ref = workbench.chosen_model()
draw(ref, workbench.described(ref))
