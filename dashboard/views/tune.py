"""Tune: a ratio for every layer, the heads to remove, the totals, and what the whole plan really costs."""

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import wording
from core.errors import SecateurError
from core.jobs.launch import start_measure
from core.plans.patterns import is_pattern
from core.plans.plan import FRACTIONAL, Cut, SparsityPlan
from core.plans.totals import plan_totals, units_removed
from core.sensitivity.report import CellResult, interpolated, largest_within
from core.workload.description import Description
from dashboard import measured_plans, plan_editor, workbench
from dashboard.plan_editor import Row
from dashboard.sweep_form import ALIGNMENTS

Within = Mapping[tuple[str, str], float]  # the most within the tolerance, by granularity and name


KIND = "table-of"


def set_all(ref: str, found: Description, kind: str) -> None:
    sparsity, plan = st.session_state["all-percent"] / 100, plan_editor.current(ref, found)
    others = tuple(cut for cut in plan.cuts if cut.granularity != kind)
    rows = plan_editor.fractional_rows(ref, plan, found, kind)
    plan_editor.start_over(ref, SparsityPlan((*others, *(row.cut(sparsity) for row in rows)), ref))


def set_limits(ref: str, found: Description, within: Within, kind: str) -> None:
    """Each target with a known limit to that limit; what is not known stays as it was."""
    plan = plan_editor.current(ref, found)
    for row in plan_editor.fractional_rows(ref, plan, found, kind):
        limit = within.get((kind, row.target.name))
        if limit is not None:
            plan = plan.with_cut(row.cut(limit))
    plan_editor.start_over(ref, plan)


def set_align(ref: str, found: Description) -> None:
    """All channel cuts of the plan with the alignment that was chosen."""
    align, plan = st.session_state[f"align-{ref}"] or 1, plan_editor.current(ref, found)
    cuts = tuple(replace(cut, align=align) if cut.granularity == "channel" else cut for cut in plan.cuts)
    plan_editor.start_over(ref, SparsityPlan(cuts, ref))


def set_one(ref: str, found: Description, row: Row, key: str, before: float) -> None:
    percent = st.session_state.get(key, before)
    if percent != before:  # called, too, for a slider that went away because the table was edited
        plan = plan_editor.current(ref, found)
        plan_editor.start_over(ref, plan.with_cut(row.cut(round(percent / 100, 6))))


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
        names = ", ".join(cut.target for cut in unknown[:3])
        st.session_state["upload-problem"] = f"The plan is for another model: {ref} has no {names}."
        return
    st.session_state.pop("upload-problem", None)
    plan_editor.start_over(ref, plan)


def choose_kind(ref: str, found: Description, plan: SparsityPlan) -> str:
    """What the table and its tools are about: weights, or channels and neurons."""
    kinds = [kind for kind in FRACTIONAL if any(target.granularity == kind for target in found.targets)]
    if len(kinds) < 2:
        return kinds[0] if kinds else FRACTIONAL[0]
    counts = {kind: sum(cut.granularity == kind for cut in plan.cuts) for kind in kinds}
    left, right = st.columns(2, vertical_alignment="bottom")
    kind: str = left.segmented_control(
        "Table of", kinds, default=kinds[0], required=True, key=KIND, label_visibility="collapsed",
        format_func=lambda kind: f"{wording.granularity_text(kind)}{f' ({counts[kind]})' if counts[kind] else ''}",
        persist_state="session", on_change=read_again, args=(ref, found),
    )  # fmt: skip
    if kind == "channel":
        align = plan_editor.align_of(ref, plan)
        right.segmented_control(
            "Channels that stay, a multiple of", sorted({*ALIGNMENTS, align}), default=align, required=True,
            key=f"align-{ref}", format_func=lambda n: "any number" if n == 1 else f"×{n}",
            on_change=set_align, args=(ref, found), persist_state="session",
        )  # fmt: skip
    return kind


def read_again(ref: str, found: Description) -> None:
    """Another table starts from the plan with every edit of this one."""
    plan_editor.start_over(ref, plan_editor.current(ref, found))


def tools(ref: str, found: Description, plan: SparsityPlan, within: Within, kind: str) -> None:
    a, b, c, d, e = st.columns([2, 1, 1.4, 1, 1], vertical_alignment="bottom")
    a.slider(
        "Every layer, %" if kind == "weight" else "Every group, %", 0, 95, 50, 5, key="all-percent",
    )  # fmt: skip
    b.button("Set all", on_click=set_all, args=(ref, found, kind), width="stretch")
    c.button(
        "Set each to its limit",
        on_click=set_limits,
        args=(ref, found, within, kind),
        disabled=not any(of == kind for of, _ in within),
        width="stretch",
        help="Each to the largest measured sparsity at which its own drop stays within the tolerance. "
        "Together they cost more, often much more: measure.",
    )
    d.button("Clear", on_click=plan_editor.start_over, args=(ref, SparsityPlan((), ref)), width="stretch")
    with e.popover("File", width="stretch"):
        st.download_button("Download plan.json", plan.to_json(), "plan.json", "application/json", on_click="ignore")
        st.file_uploader("Load a plan", type="json", key="plan-upload", on_change=read_upload, args=(ref, found))
    if "upload-problem" in st.session_state:
        st.error(st.session_state.pop("upload-problem"), icon=":material/error:")


def one_target(ref: str, found: Description, plan: SparsityPlan, cells: Mapping[Cut, CellResult], kind: str) -> None:
    """A slider for one row of the table, and what is known of where it stands."""
    rows = plan_editor.fractional_rows(ref, plan, found, kind)
    if not rows:
        return
    left, middle, right = st.columns([2, 3, 3], vertical_alignment="center")
    position = left.selectbox(
        "One of them",
        range(len(rows)),
        format_func=lambda i: rows[i].target.name,
        key=f"one-{ref}-{kind}",
        persist_state="session",
    )
    row = rows[min(position or 0, len(rows) - 1)]
    percent = 100 * plan_editor.sparsity_in(plan, row)
    key = f"one-percent-{ref}-{row.name}-{percent:g}-{st.session_state[f'revision-{ref}']}"
    shown = min(99.0, percent)
    middle.slider(
        "cut, %", 0.0, 99.0, shown, 1.0, format="%g", key=key, on_change=set_one,
        args=(ref, found, row, key, shown),
    )  # fmt: skip
    cut = row.cut(percent / 100)
    alone = plan_editor.drop_alone(cells, interpolated(cells.values()), cut, found.scale)
    n, why_not = (0, None) if row.target.granularity == "weight" else units_removed(cut, row.target)
    goes = f"{wording.n_units_text(row.target, n)} go. " if row.target.granularity == "channel" else ""
    if why_not:
        right.error(why_not, icon=":material/error:")
    elif percent:
        unit = wording.drop_unit(found.scale)
        right.caption(goes + (f"Alone: {alone} ({unit})" if alone else "Alone: ? (not measured at this sparsity)"))
    else:
        right.caption("Not cut.")


def set_patterns(ref: str, found: Description, shown: tuple[Cut, ...], key: str) -> None:
    plan, kept = plan_editor.current(ref, found), st.session_state.get(key, shown)
    plan_editor.start_over(ref, SparsityPlan(tuple(c for c in plan.cuts if c not in shown or c in kept), ref))


def patterns(ref: str, found: Description, plan: SparsityPlan) -> None:
    """Cuts in patterns, which the map puts into the plan; here they can be taken out."""
    cuts = [cut for cut in plan.cuts if is_pattern(cut.granularity)]
    if cuts:
        key = f"patterns-{ref}-{hash(tuple(cuts))}"
        st.multiselect(
            "Weights cut in patterns", cuts, cuts, key=key, format_func=wording.cut_text,
            on_change=set_patterns, args=(ref, found, tuple(cuts), key),
        )  # fmt: skip


def draw_totals(place: DeltaGenerator, found: Description, plan: SparsityPlan) -> DeltaGenerator:
    """What the plan removes, each weight once; returns the place beside it."""
    totals = plan_totals(plan, found)
    about = "" if totals.exact else "≈ "
    takes_out = any(cut.granularity not in ("weight",) and not is_pattern(cut.granularity) for cut in plan.cuts)
    columns = place.columns(5 if takes_out else 4, vertical_alignment="bottom")
    columns[0].metric(
        "weights removed",
        about + wording.share_text(totals.n_removed / max(1, totals.n_weights)),
        help=f"{about}{totals.n_removed:,} of {totals.n_weights:,} weights in layers that can be cut, "
        "each counted once where cuts meet. ≈: which of them meet is known when the plan is measured. "
        "Skipped blocks are no zeros; they count under “gone when shrunk”.",
    )
    columns[1].metric("weights left", f"{about}{totals.n_weights - totals.n_removed:,}")
    if takes_out:
        bound = "≥ " if totals.gone_at_least else "" if totals.gone_exact else "≈ "
        columns[2].metric(
            "gone when shrunk",
            bound + wording.share_text(totals.n_gone / max(1, found.n_parameters)),
            help=f"{bound}{totals.n_gone:,} of {found.n_parameters:,} parameters: what channels, heads and blocks take "
            "with them. Single weights only become zero. ≥: heads take rows of other projections as well.",
        )
    columns[-2].metric("cuts", len(plan.cuts))
    for reason in totals.impossible:
        place.error(f"Cannot be cut: {reason}", icon=":material/error:")
    return columns[-1]


def where_from(ref: str, found: Description, cells: Mapping[Cut, CellResult], within: Within) -> None:
    """What the columns of the tables rest on."""
    numbers = [cell.drop.n for cell in cells.values() if cell.drop]
    if not numbers:
        return
    n = f"n = {max(numbers):,}" if min(numbers) == max(numbers) else f"n from {min(numbers):,} to {max(numbers):,}"
    tolerance = wording.limit_text(found.scale, workbench.tolerance_of(ref, found))
    text = f"Drops: sweeps of this model, {n}, with 95 % intervals. Tolerance: {tolerance}, set on the Map screen."
    if not within:
        text += " No layer is known to stay within it: measure more examples, or accept a larger drop."
    elif len(within) < len(found.weight_targets) + len(found.channel_targets):
        text += " Where no limit stands, none is known, or the cuts had no effect."
    st.caption(text)


def limits(ref: str, found: Description, plan: SparsityPlan, cells: Mapping[Cut, CellResult]) -> Within:
    """The most that each target can lose within the tolerance; of groups, with their alignment in the plan."""
    tolerance = workbench.tolerance_of(ref, found)
    aligned = {row.target.name: row.align for row in plan_editor.fractional_rows(ref, plan, found, "channel")}
    alike = [c for c in cells.values() if c.cut.granularity != "channel" or aligned.get(c.cut.target) == c.cut.align]
    return {
        (kind, name): limit
        for kind in FRACTIONAL
        for name, limit in largest_within(alike, tolerance, kind).items()
    }  # fmt: skip


def draw(ref: str, found: Description) -> None:
    cells = workbench.known_cells(ref, found)
    base = plan_editor.base_plan(ref, found)
    foreign = plan_editor.unknown_cuts(base, found)
    if foreign:
        base = SparsityPlan(tuple(cut for cut in base.cuts if cut not in foreign), ref)
        plan_editor.start_over(ref, base)
        names = ", ".join(wording.cut_text(cut) for cut in foreign[:3])
        st.warning(f"The model has changed: the plan's cuts of {names} were left out.")
    if not cells:
        st.info(
            "No map yet: the plan can be made all the same, but blind. "
            "A sweep on the Map screen shows what each cut costs.",
            icon=":material/info:",
        )
    kind = choose_kind(ref, found, base)
    within = limits(ref, found, base, cells)
    top = st.container()
    whole = plan_editor.whole_rows(found)
    table, side = st.columns([3, 2], gap="large") if whole else (st.container(), None)
    with table:
        plan = plan_editor.layers_table(ref, base, found, cells, within, kind)
    if side is not None:
        with side:
            plan = plan_editor.heads_table(ref, base, plan, found, cells)
    plan_editor.save(ref, plan)
    patterns(ref, found, plan)
    where_from(ref, found, cells, within)
    with top:
        tools(ref, found, plan, within, kind)
        one_target(ref, found, plan, cells, kind)
    place = draw_totals(top, found, plan)
    if place.button(
        "Measure this plan",
        type="primary",
        icon=":material/straighten:",
        disabled=not plan.cuts,
        width="stretch",
        help=f"On all {found.n_evaluation:,} evaluation examples, with the masks on.",
    ):
        start_measure(workbench.runs(), ref, plan)
        st.rerun()
    measured_plans.draw(ref, found, plan)


ref = workbench.chosen_model()
described = workbench.described(ref)
if described.targets:
    draw(ref, described)
else:
    st.warning("Nothing in this model can be cut; the Model screen lists the reasons.")
