"""Tune: a ratio for every layer, the heads to remove, the totals, and what the whole plan really costs."""

from collections.abc import Mapping
from datetime import datetime

import pandas as pd
import streamlit as st

from core import wording
from core.errors import SecateurError
from core.jobs.launch import start_measure
from core.jobs.runs import Run
from core.plans.plan import Cut, SparsityPlan
from core.sensitivity.report import CellResult, Estimate, largest_within
from core.workload.description import Description
from core.workload.scale import Scale
from dashboard import measured, plan_editor, workbench


def set_all(ref: str, found: Description, base: SparsityPlan) -> None:
    percent = st.session_state["all-percent"]
    heads = tuple(cut for cut in base.cuts if cut.granularity == "head")
    uniform = SparsityPlan.uniform(found.targets, percent / 100, workload=ref)
    plan_editor.start_over(ref, SparsityPlan((*uniform.cuts, *heads), ref))


def set_limits(ref: str, plan: SparsityPlan, within: Mapping[str, float]) -> None:
    """Each layer with a known limit to that limit; what is not known stays as it was."""
    for name, sparsity in within.items():
        plan = plan.with_cut(Cut(name, "weight", sparsity))
    plan_editor.start_over(ref, plan)


def read_upload(ref: str, found: Description) -> None:
    upload = st.session_state.get("plan-upload")
    if upload is None:
        return
    try:
        plan = SparsityPlan.from_json(upload.getvalue().decode("utf-8", "replace"))
    except SecateurError as error:
        st.session_state["upload-problem"] = str(error)
        return
    unknown = plan_editor.unknown_cuts(plan, found)
    if unknown:
        st.session_state["upload-problem"] = f"The plan is for another model: {ref} has no {', '.join(unknown[:3])}."
        return
    st.session_state.pop("upload-problem", None)
    plan_editor.start_over(ref, plan)


def tools(ref: str, found: Description, plan: SparsityPlan, within: Mapping[str, float]) -> None:
    a, b, c, d, e = st.columns([2, 1, 1.4, 1, 1], vertical_alignment="bottom")
    a.slider("Every layer, %", 0, 95, 50, 5, key="all-percent")
    b.button("Set all", on_click=set_all, args=(ref, found, plan), width="stretch")
    c.button(
        "Set each to its limit",
        on_click=set_limits,
        args=(ref, plan, within),
        disabled=not within,
        width="stretch",
        help="Each layer to the largest measured sparsity at which its own drop stays within the tolerance. "
        "Together they cost more, often much more: measure.",
    )
    d.button("Clear", on_click=plan_editor.start_over, args=(ref, SparsityPlan((), ref)), width="stretch")
    with e.popover("File", width="stretch"):
        st.download_button("Download plan.json", plan.to_json(), "plan.json", "application/json", on_click="ignore")
        st.file_uploader("Load a plan", type="json", key="plan-upload", on_change=read_upload, args=(ref, found))
    if "upload-problem" in st.session_state:
        st.error(st.session_state.pop("upload-problem"), icon=":material/error:")


def measured_frame(found: tuple[Run, ...], scale: Scale) -> pd.DataFrame:
    """Every measured plan, newest first. All measured; nothing here is a prediction."""
    rows = []
    for run in found:
        result = run.result or {}
        drop, pruned = result.get("drop"), result.get("pruned")
        rows.append(
            {
                "run": run.id,
                "when": datetime.fromtimestamp(run.created),
                "cuts": len(run.request["plan"]["cuts"]),
                "removed": 100 * result["n_removed"] / max(1, result["n_weights"]) if result else None,
                "pruned": wording.metric_with_interval(scale, Estimate(**pruned))
                if pruned
                else result.get("reason") or run.error or run.state,
                "drop": wording.drop_with_interval(scale, Estimate(**drop)) if drop else "",
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def measured_plans(ref: str, found: Description, plan: SparsityPlan) -> None:
    scale = found.scale
    ended = tuple(run for run in workbench.runs().list("measure", ref) if not run.active)
    done = tuple(run for run in ended if run.result is None or workbench.is_current(run, found))
    st.subheader("Measured plans")
    if len(done) < len(ended):
        st.caption(f"{len(ended) - len(done)} measured on an earlier version of the model are left out.")
    if not done:
        st.caption(
            "None yet. Measure the plan above to see what it really costs: "
            "cuts that are harmless alone may not be together."
        )
        return
    shown = next((run for run in done if SparsityPlan.from_document(run.request["plan"]) == plan), done[0])
    same = SparsityPlan.from_document(shown.request["plan"]) == plan
    result = shown.result
    if result and result.get("drop"):
        a, b, c = st.columns(3)
        measured.metric(a, "dense", scale, Estimate(**result["dense"]))
        pruned = Estimate(**result["pruned"])
        measured.metric(b, "this plan, measured" if same else "newest measured plan", scale, pruned)
        measured.drop(c, "drop", scale, Estimate(**result["drop"]))
        if not same and plan.cuts:
            st.caption(":material/warning: The plan above differs from it, and is not measured yet.")
    elif shown.error:
        st.error(f"The newest measurement failed: {shown.error}", icon=":material/error:")
    event = st.dataframe(
        measured_frame(done, scale),
        hide_index=True,
        key=f"measured-{ref}",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "when": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "removed": st.column_config.NumberColumn("weights removed", format="%.1f %%"),
            "pruned": "metric, measured",
            "drop": "drop, measured",
        },
    )
    rows = event.selection.rows
    if rows:
        chosen = done[rows[0]]
        st.button(
            "Load this plan",
            icon=":material/undo:",
            on_click=plan_editor.start_over,
            args=(ref, SparsityPlan.from_document(chosen.request["plan"])),
        )
    else:
        st.caption("Tick a row to load its plan into the tables above.")


def where_from(ref: str, found: Description, cells: Mapping[Cut, CellResult], within: Mapping[str, float]) -> None:
    """What the columns of the tables rest on."""
    numbers = [cell.drop.n for cell in cells.values() if cell.drop]
    if not numbers:
        return
    n = f"n = {max(numbers):,}" if min(numbers) == max(numbers) else f"n from {min(numbers):,} to {max(numbers):,}"
    tolerance = wording.limit_text(found.scale, workbench.tolerance_of(ref, found))
    text = f"Drops: sweeps of this model, {n}, with 95 % intervals. Tolerance: {tolerance}, set on the Map screen."
    if not within:
        text += " No layer is known to stay within it: measure more examples, or accept a larger drop."
    elif len(within) < len(found.weight_targets):
        text += " Where no limit stands, none is known, or the cuts had no effect."
    st.caption(text)


def draw(ref: str, found: Description) -> None:
    cells = workbench.known_cells(ref, found)
    within = largest_within(cells.values(), workbench.tolerance_of(ref, found))
    base = plan_editor.base_plan(ref, found)
    foreign = plan_editor.unknown_cuts(base, found)
    if foreign:
        base = SparsityPlan(tuple(c for c in base.cuts if c.target not in foreign), ref)
        plan_editor.start_over(ref, base)
        st.warning(f"The model has changed: the plan's cuts of {', '.join(foreign[:3])} were left out.")
    if not cells:
        st.info(
            "No map yet: the plan can be made all the same, but blind. "
            "A sweep on the Map screen shows what each cut costs.",
            icon=":material/info:",
        )
    top = st.container()
    table, side = st.columns([3, 2], gap="large") if found.head_targets else (st.container(), None)
    with table:
        plan = plan_editor.layers_table(ref, base, found, cells, within)
    if side is not None:
        with side:
            plan = plan_editor.heads_table(ref, base, plan, found, cells)
    plan_editor.save(ref, plan)
    where_from(ref, found, cells, within)
    with top:
        tools(ref, found, plan, within)
        removed, total, exact = plan_editor.totals(plan, found)
        about = "" if exact else "≈ "
        a, b, c, d = st.columns([1, 1, 1, 1], vertical_alignment="bottom")
        a.metric(
            "weights removed",
            about + wording.share_text(removed / max(1, total)),
            help=f"{about}{removed:,} of {total:,} weights in layers that can be cut",
        )
        b.metric("weights left", f"{about}{total - removed:,}")
        c.metric("cuts", len(plan.cuts))
        if d.button(
            "Measure this plan",
            type="primary",
            icon=":material/straighten:",
            disabled=not plan.cuts,
            width="stretch",
            help=f"On all {found.n_evaluation:,} evaluation examples, with the masks on.",
        ):
            start_measure(workbench.runs(), ref, plan)
            st.rerun()
    measured_plans(ref, found, plan)


ref = workbench.chosen_model()
described = workbench.described(ref)
if described.targets:
    draw(ref, described)
else:
    st.warning("Nothing in this model can be cut; the Model screen lists the reasons.")
