"""Deliver: write the plan's model as a bundle that was reloaded and compared, and download it."""

from datetime import datetime
from typing import Literal

import streamlit as st

from core import wording
from core.jobs.launch import start_export
from core.jobs.runs import Run
from core.plans.plan import STRUCTURED, SparsityPlan
from core.sensitivity.report import Estimate
from core.workload.description import Description
from core.workload.scale import Scale
from dashboard import speed_panel, workbench

Form = Literal["masked", "shrunk"]


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


def draw_bundle(run: Run, found: Description) -> None:
    result = run.result or {}
    measured, scale = result["manifest"]["measured"], found.scale
    folder = workbench.runs().bundle_folder(run)
    assert folder is not None
    archive = folder.with_name(f"{folder.name}.zip")
    with st.container(border=True):
        left, right = st.columns([4, 1], vertical_alignment="center")
        when = datetime.fromtimestamp(run.created).strftime("%Y-%m-%d %H:%M")
        removed = wording.share_text(measured["n_removed"] / max(1, measured["n_weights"]))
        shrunk = [" ".join(line.split()) for line in wording.shrunk_lines(result["manifest"])]
        form, cut = ("shrunk", "masked") if shrunk else ("masked", "pruned")
        zeros = "" if shrunk else f" · {removed} of the cuttable weights are zero"
        left.markdown(
            f"**{folder.name}** · {form} · {when}{zeros}  \n"
            + "".join(f"{line}  \n" for line in shrunk)
            + f"{cut} {wording.metric_with_interval(scale, Estimate(**measured['pruned']))}  \n"
            f"drop {wording.drop_with_interval(scale, Estimate(**measured['drop']))}  \n"
            f"dense {wording.metric_with_interval(scale, Estimate(**measured['dense']))}  \n"
            ":material/verified: reloaded in a fresh process when it was written: hashes, tensors and metric agreed"
        )
        if result["manifest"]["dense_model"] != found.fingerprint:
            left.caption(
                ":material/history: Cut from an earlier version of the model, so it does not verify against this one."
            )
        if archive.is_file():
            size = archive.stat().st_size / 1e6
            right.link_button(
                f"Download ({size:.1f} MB)", f"bundles/{run.id}.zip", icon=":material/download:", width="stretch"
            )
        else:
            right.caption("Its files were removed.")
        model = f" --model {run.workload}" if run.workload.endswith(".py") else ""
        left.code(f"secateur verify {folder}{model}", language="bash")


def choose_form(found: Description, plan: SparsityPlan) -> Form:
    """Masked or shrunk; only what the plan allows."""
    kinds = {cut.granularity for cut in plan.cuts}
    forms: list[Form] = []
    if "block" not in kinds:
        forms.append("masked")
    if kinds.intersection(STRUCTURED):
        forms.append("shrunk")
    chosen = st.segmented_control(
        "Form", forms, default=forms[-1], required=True, key=f"form-{'-'.join(forms)}", label_visibility="collapsed"
    )
    how = {
        "masked": "The bundle holds `model.safetensors`, `plan.json` and `manifest.json`. Masked: the weights are "
        "zero, the shapes stay, so the file is no smaller yet and the model no faster.",
        "shrunk": "The bundle holds `model.safetensors`, `plan.json`, `manifest.json` and, if it can be written, "
        "`model.onnx`. Shrunk: "
        "channels, heads and blocks are gone, so the model is smaller; its outputs are compared with the masked "
        "model's first.",
    }
    why_one = ""
    if len(forms) == 1:
        why_one = {
            "masked": " Single weights and patterns cannot be taken out, so there is nothing to shrink.",
            "shrunk": " A skipped block has no masked form.",
        }[forms[0]]
    st.caption(
        f"{how[chosen]} It is measured on all {found.n_evaluation:,} examples, then reloaded in a fresh process and "
        f"compared.{why_one}"
    )
    return chosen


def draw(ref: str, found: Description) -> None:
    plans = plans_to_export(ref, found)
    st.subheader("Export")
    plan = None
    if not plans:
        st.info(
            "There is no plan yet. Make one on the Tune screen, or click a cell of the map and “Cut here”.",
            icon=":material/tune:",
        )
    else:
        label = st.selectbox("Plan", list(plans), key=f"plan-{ref}")
        plan = plans[label]
        form = choose_form(found, plan)
        if st.button("Export", type="primary", icon=":material/package_2:"):
            start_export(workbench.runs(), ref, plan, form=form)
            st.rerun()
    exports = workbench.runs().list("export", ref)
    if exports and exports[0].state in ("failed", "interrupted", "cancelled"):
        st.error(
            f"The newest export was {exports[0].state}: {exports[0].error or 'nothing was written'}",
            icon=":material/error:",
        )
    if plan is not None:
        speed_panel.draw(ref, found, plan)
    finished = [run for run in exports if run.state == "finished"]
    if finished:
        st.subheader("Bundles")
    for run in finished:
        draw_bundle(run, found)


ref = workbench.chosen_model()
draw(ref, workbench.described(ref))
