"""The plan as tables: a ratio for every layer, a tick for every head. What is edited is on disk at once."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core import wording
from core.plans.patterns import looked_up_as
from core.plans.plan import Cut, SparsityPlan, n_removed
from core.sensitivity.report import CellResult, interpolated
from core.workload.description import Description
from core.workload.scale import Scale
from dashboard import workbench


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
            sparsity = _fraction(value)
            if 0 <= sparsity < 1:  # else `refused` tells of it
                plan = plan.with_cut(Cut(name, "weight", sparsity))
        elif value:
            plan = plan.with_cut(Cut(name, "head"))
        else:
            plan = SparsityPlan(
                tuple(c for c in plan.cuts if (c.granularity, c.target) != ("head", name)), plan.workload
            )
    return plan


def refused(names: list[str], changes: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """What was typed into "cut" and is no percentage that can be removed.

    The editor's own limits would change 150 to the highest allowed without a word, and a slip of the finger would wipe
    out a layer.
    """
    return [
        f"{names[int(row)]}: {change['cut']:g} % cannot be removed; a cut is at least 0 and less than 100 %"
        for row, change in changes.items()
        if not 0 <= _fraction(change.get("cut")) < 1
    ]


def _fraction(percent: float | None) -> float:
    """A sparsity from what was typed, without the last digits of a division by 100; an emptied field is no cut."""
    return round((percent or 0) / 100, 6)


def totals(plan: SparsityPlan, found: Description) -> tuple[int, int, bool]:
    """Weights that the plan removes, all that could be removed, and whether the first is exact.

    It is not where a head goes whose projection is cut as well: how many of its columns the criterion has removed
    already is only known to the worker, so the average is taken.
    """
    removed = sum(n_removed(plan.sparsity_of(t.name), t.n_weights) for t in found.weight_targets)
    gone = {c.target for c in plan.cuts if c.granularity == "head"}
    by_parameter = {t.parameter: plan.sparsity_of(t.name) for t in found.weight_targets}
    exact = True
    for head in found.head_targets:
        if head.name in gone:
            also_cut = by_parameter.get(head.parameter, 0.0)
            removed += round(head.n_weights * (1 - also_cut))
            exact = exact and not also_cut
    return removed, sum(t.n_weights for t in found.weight_targets), exact


def unknown_cuts(plan: SparsityPlan, found: Description) -> list[str]:
    known = {(t.granularity, t.name) for t in found.targets}
    return [cut.target for cut in plan.cuts if (looked_up_as(cut.granularity), cut.target) not in known]


def drop_alone(cells: Mapping[Cut, CellResult], between: Mapping[Cut, float], cut: Cut, scale: Scale) -> str:
    """What the sweep measured for exactly this cut; empty where it measured another sparsity.

    With n where a search did not take all examples; `≈` and no interval where the drop is interpolated.
    """
    cell = cells.get(cut)
    if cell is None or cell.drop is None:
        return ""
    if cell.state == "no effect":
        return cell.state
    if cut in between:
        return f"≈ {wording.drop_text(scale, between[cut])}, interpolated"
    n = "" if cell.stage == "full" else f", n = {cell.drop.n:,}"
    return f"{wording.drop_text(scale, cell.drop.value)} {wording.drop_interval(scale, cell.drop)}{n}"


def base_plan(ref: str, found: Description) -> SparsityPlan:
    """The plan that the tables started from.

    Streamlit drops an editor's edits when the screen is left, and keeps stale ones under an unchanged key; so each
    start reads the workspace and takes a new key. So does a plan that changed on disk since this browser saw it,
    because another browser was at work; what this one changed in the same moment is put on top.
    """
    on_disk = workbench.runs().draft(ref)
    seen: SparsityPlan | None = st.session_state.get(f"seen-{ref}")
    st.session_state[f"seen-{ref}"] = on_disk  # so that what was only read is not written back
    revision = st.session_state.get(f"revision-{ref}", 0)
    if seen is None or f"layers-{ref}-{revision}" not in st.session_state:
        start_over(ref, on_disk)
    elif on_disk != seen:
        mine = _edited(st.session_state[f"base-{ref}"], ref, found)
        start_over(ref, on_top(on_disk, seen, mine))
    base: SparsityPlan = st.session_state[f"base-{ref}"]
    return base


def on_top(theirs: SparsityPlan, seen: SparsityPlan, mine: SparsityPlan) -> SparsityPlan:
    """`theirs` with the lines that differ between `seen` and `mine`, as they are in `mine`."""
    before, after = ({(c.granularity, c.target): c for c in plan.cuts} for plan in (seen, mine))
    lines = {(c.granularity, c.target): c for c in theirs.cuts}
    for key in before.keys() | after.keys():
        if before.get(key) != after.get(key):
            lines.pop(key, None)
            if key in after:
                lines[key] = after[key]
    return SparsityPlan(tuple(lines.values()), theirs.workload)


def _edits(editor: str, ref: str) -> Mapping[int, Mapping[str, Any]]:
    edits: Mapping[int, Mapping[str, Any]] = st.session_state.get(editor_key(editor, ref), {}).get("edited_rows", {})
    return edits


def _edited(base: SparsityPlan, ref: str, found: Description) -> SparsityPlan:
    plan = edited_plan(base, [t.name for t in found.weight_targets], _edits("layers", ref), "cut")
    return edited_plan(plan, [h.name for h in found.head_targets], _edits("heads", ref), "remove")


def start_over(ref: str, plan: SparsityPlan) -> None:
    """Make `plan` what the tables start from, on disk too."""
    save(ref, plan)
    st.session_state[f"base-{ref}"] = plan
    st.session_state[f"revision-{ref}"] = st.session_state.get(f"revision-{ref}", 0) + 1


def save(ref: str, plan: SparsityPlan) -> None:
    """Put the plan on disk, if this browser changed it."""
    if plan != st.session_state.get(f"seen-{ref}"):
        workbench.runs().save_draft(ref, plan)
        st.session_state[f"seen-{ref}"] = plan


def editor_key(editor: str, ref: str) -> str:
    return f"{editor}-{ref}-{st.session_state[f'revision-{ref}']}"


def layers_table(
    ref: str, base: SparsityPlan, found: Description, cells: Mapping[Cut, CellResult], within: Mapping[str, float]
) -> SparsityPlan:
    names = [t.name for t in found.weight_targets]
    key = editor_key("layers", ref)
    plan = edited_plan(base, names, _edits("layers", ref), "cut")
    between = interpolated(cells.values())
    wanted = [Cut(name, "weight", plan.sparsity_of(name)) for name in names]
    frame = pd.DataFrame(
        {
            "target": names,
            "weights": [t.n_weights for t in found.weight_targets],
            "cut": [100 * base.sparsity_of(name) for name in names],
            "within": [100 * within[name] if name in within else None for name in names],
            "alone": [drop_alone(cells, between, cut, found.scale) for cut in wanted],
        }
    )
    # the editor keeps its edits only while the columns keep their types, and a column of None would be an object
    frame = frame.astype({"cut": "Float64", "within": "Float64", "alone": "string"})
    st.data_editor(
        frame,
        key=key,
        hide_index=True,
        placeholder="",
        height=min(640, 38 + 35 * len(frame)),
        disabled=["target", "weights", "within", "alone"],
        column_config={
            "target": st.column_config.TextColumn("layer"),
            "weights": st.column_config.NumberColumn(format="localized"),
            "cut": st.column_config.NumberColumn(
                "cut, %",
                step=0.01,
                format="%.4g",
                help="Percent of this layer's weights to remove. Double-click to edit.",
            ),
            "within": st.column_config.NumberColumn(
                "within tolerance up to, %",
                format="%.4g",
                help="The largest measured sparsity whose whole interval stays within the tolerance, "
                "when this layer alone is cut.",
            ),
            "alone": _alone_column(found.scale),
        },
    )
    for problem in refused(names, _edits("layers", ref)):
        st.error(problem, icon=":material/error:")
    return plan


def _alone_column(scale: Scale) -> Any:
    return st.column_config.TextColumn(
        f"drop alone, {wording.drop_unit(scale)}",
        help="What a sweep measured for exactly this cut, alone, with its 95 % interval. "
        "≈: between two measured sparsities. Empty: not measured.",
    )


def heads_table(
    ref: str, base: SparsityPlan, plan: SparsityPlan, found: Description, cells: Mapping[Cut, CellResult]
) -> SparsityPlan:
    names = [h.name for h in found.head_targets]
    gone = {c.target for c in base.cuts if c.granularity == "head"}
    key = editor_key("heads", ref)
    frame = pd.DataFrame(
        {
            "attention": [h.layer for h in found.head_targets],
            "head": [h.head for h in found.head_targets],
            "remove": [name in gone for name in names],
            "alone": [drop_alone(cells, {}, Cut(name, "head"), found.scale) for name in names],
        }
    ).astype({"alone": "string"})
    st.data_editor(
        frame,
        key=key,
        hide_index=True,
        placeholder="",
        height=min(640, 38 + 35 * len(frame)),
        disabled=["attention", "head", "alone"],
        column_config={"alone": _alone_column(found.scale)},
    )
    return edited_plan(plan, names, _edits("heads", ref), "remove")
