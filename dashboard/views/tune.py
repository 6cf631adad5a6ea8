"""Tune: a ratio for every layer, the heads to remove, the totals, and what the whole plan really costs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from core import wording
from core.errors import SecateurError
from core.jobs.launch import start_measure
from core.jobs.runs import Run
from core.plans.plan import Cut, SparsityPlan
from core.sensitivity.report import CellResult, Estimate, SensitivityReport
from core.workload.description import Description
from core.workload.scale import Scale
from dashboard import workbench

HIGHEST = 99.9  # percent; a whole layer cannot go


def edited_plan(
    plan: SparsityPlan, names: list[str], changes: Mapping[int, Mapping[str, Any]], column: str
) -> SparsityPlan:
    """The plan after edits of a table.

    Args:
        plan: before.
        names: of the rows.
        changes: absolute values by row and column, as Streamlit's editor keeps them.
        column: `"cut"` (percent) or `"remove"` (a tick per head).
    """
    for row, change in changes.items():
        if column not in change:
            continue
        name, value = names[int(row)], change[column]
        if column == "cut":
            plan = plan.with_cut(Cut(name, "weight", round((value or 0) / 100, 6)))
        elif value:
            plan = plan.with_cut(Cut(name, "head"))
        else:
            plan = SparsityPlan(
                tuple(c for c in plan.cuts if (c.granularity, c.target) != ("head", name)), plan.workload
            )
    return plan


def totals(plan: SparsityPlan, found: Description) -> tuple[int, int]:
    """Weights that the plan removes, and all that could be. A head whose projection is cut as well is counted once, about:
    the exact number comes with the measurement."""
    removed = sum(round(plan.sparsity_of(t.name) * t.n_weights) for t in found.weight_targets)
    gone = {c.target for c in plan.cuts if c.granularity == "head"}
    by_parameter = {t.parameter: plan.sparsity_of(t.name) for t in found.weight_targets}
    removed += sum(
        round(h.n_weights * (1 - by_parameter.get(h.parameter, 0.0))) for h in found.head_targets if h.name in gone
    )
    return removed, sum(t.n_weights for t in found.weight_targets)


def unknown_cuts(plan: SparsityPlan, found: Description) -> list[str]:
    known = {(t.granularity, t.name) for t in found.targets}
    return [cut.target for cut in plan.cuts if (cut.granularity, cut.target) not in known]


def measured_drops(report: SensitivityReport | None) -> dict[Cut, CellResult]:
    return {cell.cut: cell for cell in report.cells} if report else {}


def drop_alone(cells: Mapping[Cut, CellResult], cut: Cut, scale: Scale) -> str:
    """What the sweep measured for exactly this cut; empty where it measured another sparsity."""
    cell = cells.get(cut)
    return "" if cell is None or cell.drop is None else wording.drop_text(scale, cell.drop.value)


def base_plan(ref: str, editor: str) -> SparsityPlan:
    """The plan that the tables started from. Streamlit drops an editor's edits when the screen is left, and keeps stale
    ones under an unchanged key; so each start reads the workspace and takes a new key."""
    revision = st.session_state.get(f"revision-{ref}", 0)
    if f"{editor}-{ref}-{revision}" not in st.session_state or f"base-{ref}" not in st.session_state:
        return start_over(ref, workbench.runs().draft(ref))
    base: SparsityPlan = st.session_state[f"base-{ref}"]
    return base


def start_over(ref: str, plan: SparsityPlan) -> SparsityPlan:
    """Make `plan` what the tables start from, on disk too."""
    workbench.runs().save_draft(ref, plan)
    st.session_state[f"base-{ref}"] = plan
    st.session_state[f"revision-{ref}"] = st.session_state.get(f"revision-{ref}", 0) + 1
    return plan


def editor_key(editor: str, ref: str) -> str:
    return f"{editor}-{ref}-{st.session_state[f'revision-{ref}']}"


def layers_table(
    ref: str, base: SparsityPlan, found: Description, report: SensitivityReport | None, tolerance: float
) -> SparsityPlan:
    cells = measured_drops(report)
    within = workbench.best_within(report, tolerance) if report else {}
    names = [t.name for t in found.weight_targets]
    key = editor_key("layers", ref)
    changes = st.session_state.get(key, {}).get("edited_rows", {})
    plan = edited_plan(base, names, changes, "cut")
    frame = pd.DataFrame(
        {
            "target": names,
            "weights": [t.n_weights for t in found.weight_targets],
            "cut": [100 * base.sparsity_of(name) for name in names],
            "within": [100 * within[name] if name in within else None for name in names],
            "alone": [drop_alone(cells, Cut(n, "weight", plan.sparsity_of(n)), found.scale) if plan.sparsity_of(n) else "" for n in names],
        }
    )  # fmt: skip
    unit = wording.drop_unit(found.scale)
    st.data_editor(
        frame,
        key=key,
        hide_index=True,
        height=min(640, 38 + 35 * len(frame)),
        disabled=["target", "weights", "within", "alone"],
        column_config={
            "target": st.column_config.TextColumn("layer"),
            "weights": st.column_config.NumberColumn(format="localized"),
            "cut": st.column_config.NumberColumn("cut, % ✎", min_value=0.0, max_value=HIGHEST, step=0.1, format="%.4g",
                                                 help="Percent of this layer's weights to remove. Double-click to edit."),
            "within": st.column_config.NumberColumn("safe up to, %", format="%.4g",
                                                    help="The largest measured sparsity whose whole interval stays within the tolerance, alone."),
            "alone": st.column_config.TextColumn(f"drop alone, {unit}",
                                                 help="What the sweep measured for exactly this cut, alone. Empty: not measured at this sparsity."),
        },
    )  # fmt: skip
    return plan


def heads_table(
    ref: str, base: SparsityPlan, plan: SparsityPlan, found: Description, report: SensitivityReport | None
) -> SparsityPlan:
    cells = measured_drops(report)
    names = [h.name for h in found.head_targets]
    gone = {c.target for c in base.cuts if c.granularity == "head"}
    key = editor_key("heads", ref)
    frame = pd.DataFrame(
        {
            "attention": [h.layer for h in found.head_targets],
            "head": [h.head for h in found.head_targets],
            "remove": [name in gone for name in names],
            "alone": [drop_alone(cells, Cut(name, "head"), found.scale) for name in names],
        }
    )
    st.data_editor(
        frame,
        key=key,
        hide_index=True,
        height=min(640, 38 + 35 * len(frame)),
        disabled=["attention", "head", "alone"],
        column_config={"alone": st.column_config.TextColumn(f"drop alone, {wording.drop_unit(found.scale)}")},
    )
    return edited_plan(plan, names, st.session_state.get(key, {}).get("edited_rows", {}), "remove")


def set_all(ref: str, found: Description, base: SparsityPlan) -> None:
    percent = st.session_state["all-percent"]
    heads = tuple(cut for cut in base.cuts if cut.granularity == "head")
    uniform = SparsityPlan.uniform(found.targets, percent / 100, workload=ref)
    start_over(ref, SparsityPlan((*uniform.cuts, *heads), ref))


def set_safe(ref: str, base: SparsityPlan, within: Mapping[str, float]) -> None:
    heads = tuple(cut for cut in base.cuts if cut.granularity == "head")
    start_over(ref, SparsityPlan((*(Cut(name, "weight", s) for name, s in within.items()), *heads), ref))


def read_upload(ref: str, found: Description) -> None:
    upload = st.session_state.get("plan-upload")
    if upload is None:
        return
    try:
        plan = SparsityPlan.from_json(upload.getvalue().decode("utf-8", "replace"))
    except SecateurError as error:
        st.session_state["upload-problem"] = str(error)
        return
    unknown = unknown_cuts(plan, found)
    if unknown:
        st.session_state["upload-problem"] = f"The plan is for another model: {ref} has no {', '.join(unknown[:3])}."
        return
    st.session_state.pop("upload-problem", None)
    start_over(ref, plan)


def tools(ref: str, found: Description, plan: SparsityPlan, within: Mapping[str, float]) -> None:
    a, b, c, d, e = st.columns([2, 1, 1.4, 1, 1], vertical_alignment="bottom")
    a.slider("Every layer, %", 0, 95, 50, 5, key="all-percent")
    b.button("Set all", on_click=set_all, args=(ref, found, plan), width="stretch")
    c.button("Set to safe", on_click=set_safe, args=(ref, plan, within), disabled=not within, width="stretch",
             help="Each layer to the largest measured sparsity whose interval stays within the tolerance, alone. Together they cost more: measure.")  # fmt: skip
    d.button("Clear", on_click=start_over, args=(ref, SparsityPlan((), ref)), width="stretch")
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
                "pruned": wording.metric_with_interval(scale, Estimate(**pruned)) if pruned else result.get("reason") or run.error or run.state,
                "drop": wording.drop_with_interval(scale, Estimate(**drop)) if drop else "",
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def measured_plans(ref: str, scale: Scale) -> None:
    done = tuple(run for run in workbench.runs().list("measure", ref) if not run.active)
    st.subheader("Measured plans")
    if not done:
        st.caption(
            "None yet. Measure the plan above to see what it really costs: cuts that are harmless alone may not be together."
        )
        return
    newest = done[0]
    if newest.result and newest.result.get("drop"):
        result = newest.result
        a, b, c = st.columns(3)
        a.metric(
            "dense",
            wording.metric_text(scale, result["dense"]["value"]),
            help=wording.metric_with_interval(scale, Estimate(**result["dense"])),
        )
        b.metric(
            "newest plan, measured",
            wording.metric_text(scale, result["pruned"]["value"]),
            help=wording.metric_with_interval(scale, Estimate(**result["pruned"])),
        )
        c.metric(
            "drop",
            f"{wording.drop_text(scale, result['drop']['value'])} {wording.drop_unit(scale)}",
            help=wording.drop_with_interval(scale, Estimate(**result["drop"])),
        )
    elif newest.error:
        st.error(f"The newest measurement failed: {newest.error}", icon=":material/error:")
    event = st.dataframe(
        measured_frame(done, scale), hide_index=True, key=f"measured-{ref}", on_select="rerun", selection_mode="single-row",
        column_config={
            "when": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "removed": st.column_config.NumberColumn("weights removed", format="%.1f %%"),
            "pruned": "metric, measured", "drop": "drop, measured",
        },
    )  # fmt: skip
    rows = event.selection.rows
    if rows:
        chosen = done[rows[0]]
        st.button("Load this plan", icon=":material/undo:", on_click=start_over,
                  args=(ref, SparsityPlan.from_document(chosen.request["plan"])))  # fmt: skip
    else:
        st.caption("Choose a row to load its plan into the table.")


def draw(ref: str, found: Description) -> None:
    report = workbench.newest_report(ref)
    tolerance = workbench.default_tolerance(found.scale, report.dense.value) if report and report.dense else 0.0
    shown = st.session_state.get(f"tolerance-{ref}")
    if shown is not None:
        tolerance = float(shown) / (100.0 if found.scale.unit == "fraction" else 1.0)
    base = base_plan(ref, "layers")
    foreign = unknown_cuts(base, found)
    if foreign:
        base = start_over(ref, SparsityPlan(tuple(c for c in base.cuts if c.target not in foreign), ref))
        st.warning(f"The model has changed: the plan's cuts of {', '.join(foreign[:3])} were left out.")
    if report is None:
        st.info("No map yet: the plan can be made all the same, but blind. A sweep on the Map screen shows what each cut costs.",
                icon=":material/info:")  # fmt: skip
    top = st.container()
    table, side = st.columns([3, 2], gap="large") if found.head_targets else (st.container(), None)
    with table:
        plan = layers_table(ref, base, found, report, tolerance)
    if side is not None:
        with side:
            plan = heads_table(ref, base, plan, found, report)
    if plan != workbench.runs().draft(ref):
        workbench.runs().save_draft(ref, plan)
    with top:
        tools(ref, found, plan, workbench.best_within(report, tolerance) if report else {})
        removed, total = totals(plan, found)
        a, b, c, d = st.columns([1, 1, 1, 1], vertical_alignment="bottom")
        a.metric(
            "weights removed",
            wording.share_text(removed / max(1, total)),
            help=f"{removed:,} of {total:,} weights in layers that can be cut",
        )
        b.metric("weights left", f"{total - removed:,}")
        c.metric("cuts", len(plan.cuts))
        if d.button("Measure this plan", type="primary", icon=":material/straighten:", disabled=not plan.cuts, width="stretch",
                    help=f"On all {found.n_evaluation:,} evaluation examples, with the masks on."):  # fmt: skip
            start_measure(workbench.runs(), ref, plan)
            st.rerun()
    measured_plans(ref, found.scale)


ref = workbench.chosen_model()
described = workbench.description(ref)
if described is None:
    st.info("This model has not been read yet; the Model screen does it.", icon=":material/hourglass_top:")
elif not described.targets:
    st.warning("Nothing in this model can be cut; the Model screen lists the reasons.")
else:
    draw(ref, described)
