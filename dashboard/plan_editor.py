"""The plan as tables: a ratio for every layer and group, a tick for every head. What is edited is on disk at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from core import wording
from core.plans.patterns import looked_up_as
from core.plans.plan import WHOLE, Cut, SparsityPlan
from core.sensitivity.report import CellResult, interpolated
from core.workload.description import Description
from core.workload.scale import Scale
from core.workload.target import Target
from dashboard import workbench


@dataclass(frozen=True)
class Row:
    """A row of a table: what can be cut there."""

    target: Target
    align: int = 1

    @property
    def name(self) -> str:
        """For messages."""
        is_group = self.target.granularity == "channel"
        return f"channels of {self.target.name}" if is_group else self.target.name

    def cut(self, sparsity: float | None = None) -> Cut:
        """The line of a plan that this row stands for."""
        return Cut(self.target.name, self.target.granularity, sparsity, align=self.align)


def fractional_rows(ref: str, plan: SparsityPlan, found: Description, kind: str) -> list[Row]:
    """Layers (`"weight"`) or coupled groups (`"channel"`): of each, any fraction can go."""
    targets = [target for target in found.targets if target.granularity == kind]
    if kind != "channel":
        return [Row(target) for target in targets]
    aligned = {cut.target: cut.align for cut in plan.cuts if cut.granularity == "channel"}
    return [Row(target, aligned.get(target.name, align_of(ref, plan))) for target in targets]


def whole_rows(found: Description) -> list[Row]:
    """Heads, key/value groups and blocks: they go as one, or stay."""
    return [Row(target) for kind in WHOLE for target in found.targets if target.granularity == kind]


def sparsity_in(plan: SparsityPlan, row: Row) -> float:
    """Fraction that the plan removes of a row's target; 0 where it leaves it alone."""
    key = (row.target.granularity, row.target.name)
    return next((cut.sparsity or 0.0 for cut in plan.cuts if (cut.granularity, cut.target) == key), 0.0)


def edited_plan(
    plan: SparsityPlan, rows: Sequence[Row], changes: Mapping[int, Mapping[str, Any]], column: str
) -> SparsityPlan:
    """The plan after edits of a table.

    Args:
        plan: before.
        rows: of the table.
        changes: absolute values by row and column, as Streamlit's editor keeps them.
        column: `"cut"` (percent) or `"remove"` (a tick for what goes whole).
    """
    for position, change in changes.items():
        if column not in change:
            continue
        row, value = rows[int(position)], change[column]
        if column == "cut":
            sparsity = _fraction(value)
            if 0 <= sparsity < 1:  # else `refused` tells of it
                plan = plan.with_cut(row.cut(sparsity))
        elif value:
            plan = plan.with_cut(row.cut())
        else:
            key = (row.target.granularity, row.target.name)
            others = tuple(cut for cut in plan.cuts if (cut.granularity, cut.target) != key)
            plan = SparsityPlan(others, plan.workload)
    return plan


def refused(rows: Sequence[Row], changes: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """What was typed into "cut" and is no percentage that can be removed.

    The editor's own limits would change 150 to the highest allowed without a word, and a slip of the finger would wipe
    out a layer.
    """
    return [
        f"{rows[int(row)].name}: {change['cut']:g} % cannot be removed; a cut is at least 0 and less than 100 %"
        for row, change in changes.items()
        if not 0 <= _fraction(change.get("cut")) < 1
    ]


def _fraction(percent: float | None) -> float:
    """A sparsity from what was typed, without the last digits of a division by 100; an emptied field is no cut."""
    return round((percent or 0) / 100, 6)


def unknown_cuts(plan: SparsityPlan, found: Description) -> list[Cut]:
    known = {(t.granularity, t.name) for t in found.targets}
    return [cut for cut in plan.cuts if (looked_up_as(cut.granularity), cut.target) not in known]


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
    rows = fractional_rows(ref, base, found, st.session_state.get(f"kind-{ref}", "weight"))
    plan = edited_plan(base, rows, _edits("layers", ref), "cut")
    return edited_plan(plan, whole_rows(found), _edits("heads", ref), "remove")


def current(ref: str, found: Description) -> SparsityPlan:
    """The plan as it is at this moment, for callbacks.

    Never the plan that a widget was drawn with: an edit of a table may have come since, in the same message even, and
    Streamlit calls back for a slider that went away, too.
    """
    return _edited(st.session_state[f"base-{ref}"], ref, found)


def align_of(ref: str, plan: SparsityPlan) -> int:
    """The alignment of groups that the plan does not name yet: as chosen, else that of those it names."""
    chosen = st.session_state.get(f"align-{ref}")
    return chosen or max((cut.align for cut in plan.cuts), default=1)


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
    ref: str,
    base: SparsityPlan,
    found: Description,
    cells: Mapping[Cut, CellResult],
    within: Mapping[tuple[str, str], float],
    kind: str,
) -> SparsityPlan:
    """Layers or coupled groups; returns the plan with what was edited.

    Args:
        ref: of the model.
        base: the plan that the table started from.
        found: what can be cut.
        cells: what is known of single cuts.
        within: the most that a target can lose within the tolerance, by granularity and name.
        kind: `"weight"` or `"channel"`.
    """
    rows = fractional_rows(ref, base, found, kind)
    st.session_state[f"kind-{ref}"] = kind  # what pending edits are of
    key = editor_key("layers", ref)
    plan = edited_plan(base, rows, _edits("layers", ref), "cut")
    between = interpolated(cells.values())
    limits = [within.get((row.target.granularity, row.target.name)) for row in rows]
    frame = pd.DataFrame(
        {
            "target": [row.target.name for row in rows],
            "what": [_what(row) for row in rows],
            "weights": [row.target.n_weights for row in rows],
            "cut": [100 * sparsity_in(base, row) for row in rows],
            "within": [None if limit is None else 100 * limit for limit in limits],
            "alone": [drop_alone(cells, between, row.cut(sparsity_in(plan, row)), found.scale) for row in rows],
        }
    )
    # the editor keeps its edits only while the columns keep their types, and a column of None would be an object
    frame = frame.astype({"cut": "Float64", "within": "Float64", "alone": "string"})
    shown = ["target", "what", "weights", "cut", "within", "alone"]
    if kind == "weight":
        shown.remove("what")
    st.data_editor(
        frame[shown],
        key=key,
        hide_index=True,
        placeholder="",
        height=min(640, 38 + 35 * len(frame)),
        disabled=["target", "what", "weights", "within", "alone"],
        column_config={
            "target": st.column_config.TextColumn("layer" if kind == "weight" else "group"),
            "what": st.column_config.TextColumn("of", help="They go whole, in all layers that they run through."),
            "weights": st.column_config.NumberColumn(None if kind == "weight" else "numbers", format="localized"),
            "cut": st.column_config.NumberColumn(
                "cut, %",
                step=0.01,
                format="%.4g",
                help="Percent of the weights, or of the channels, to remove. Double-click to edit.",
            ),
            "within": st.column_config.NumberColumn(
                "within tolerance up to, %",
                format="%.4g",
                help="The largest measured sparsity whose whole interval stays within the tolerance, "
                "when this alone is cut.",
            ),
            "alone": _alone_column(found.scale),
        },
    )
    for problem in refused(rows, _edits("layers", ref)):
        st.error(problem, icon=":material/error:")
    return plan


def _what(row: Row) -> str:
    if row.target.n_units is None:
        return "weights"
    aligned = f", ×{row.align} stay" if row.align > 1 else ""
    return f"{row.target.n_units:,} {wording.unit_word(row.target)}s{aligned}"


def _alone_column(scale: Scale) -> Any:
    return st.column_config.TextColumn(
        f"drop alone, {wording.drop_unit(scale)}",
        help="What a sweep measured for exactly this cut, alone, with its 95 % interval. "
        "≈: between two measured sparsities. Empty: not measured.",
    )


def heads_table(
    ref: str, base: SparsityPlan, plan: SparsityPlan, found: Description, cells: Mapping[Cut, CellResult]
) -> SparsityPlan:
    """Heads, key/value groups and blocks; returns `plan` with what was ticked."""
    rows = whole_rows(found)
    gone = set(base.cuts)
    key = editor_key("heads", ref)
    frame = pd.DataFrame(
        {
            "where": [row.target.layer or row.target.name for row in rows],
            "what": [_whole_what(row.target) for row in rows],
            "remove": [row.cut() in gone for row in rows],
            "alone": [drop_alone(cells, {}, row.cut(), found.scale) for row in rows],
        }
    ).astype({"alone": "string"})
    st.data_editor(
        frame,
        key=key,
        hide_index=True,
        placeholder="",
        height=min(640, 38 + 35 * len(frame)),
        disabled=["where", "what", "alone"],
        column_config={"alone": _alone_column(found.scale)},
    )
    return edited_plan(plan, rows, _edits("heads", ref), "remove")


def _whole_what(target: Target) -> str:
    if target.granularity == "block":
        return "block"
    return f"{'head' if target.granularity == 'head' else 'key/value'} {target.head}"
