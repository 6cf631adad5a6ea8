"""What stands beside the maps: the cell that was clicked, whom it is coupled with, and curves."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st

from core.jobs.known.beside import sides_lines
from core.plans import cut_words
from core.plans.costs.totals import units_removed
from core.plans.plan import Cut
from core.plans.repairs import repair_words
from core.sensitivity import sweep_words
from core.sensitivity.maps import limit_words
from core.sensitivity.report import CellResult, SensitivityReport, estimate_ranks, interpolated
from core.workload import target_words
from core.workload.description import Description
from core.workload.target import Target
from dashboard.figures.curves import curves_by_target, curves_figure
from dashboard.frame import workbench
from dashboard.frame.markup import unbroken
from dashboard.frame.plotly_live import plotly_live
from dashboard.frame.tables.table import table
from dashboard.screens.map import slices_panel
from dashboard.screens.map.repairs_panel import Ways
from dashboard.screens.model import groups_table, stairs_panel

MANY_MEMBERS = 6


def draw(
    cell: CellResult, report: SensitivityReport, found: Description, repair: str | None = None, ways: Ways | None = None
) -> None:
    """All that is known of a cell, and the button that puts it into the plan.

    Args:
        cell: of the report.
        report: that is shown.
        found: the model.
        repair: of the cells of the report.
        ways: the same cells raw and repaired, where both are known.
    """
    cut = cell.cut
    group = next((t for t in found.channel_targets if cut.granularity == "channel" and t.name == cut.target), None)
    channels = f"{target_words.n_units_text(group, units_removed(cut, group)[0])}, " if group else ""
    weights = f"{cell.n_removed:,} of {cell.n_weights:,} {'parameters' if group else 'weights'}"
    what = cut_words.what_goes_text(cut, target_words.unit_word(group)) if group else cut_words.what_goes_text(cut)
    st.markdown(f"**{cut.target}**, {what}{cut_words.criterion_text(cut)}: {channels}{weights}")
    if cell.drop is not None:
        st.markdown("  \n".join(sweep_words.evidence_lines(report, cell, interpolated(report.cells).get(cut))))
        if cell.drop.value < 0:
            noise = cell.drop.low <= 0 <= cell.drop.high
            doubt = "The interval holds 0: it may be noise." if noise else "The interval leaves out 0."
            st.caption(f"A negative drop: these examples came out better after the cut. {doubt}")
    if ways is not None and cut in ways.sides:
        lines = sides_lines(report.scale, ways.sides[cut], ways.repair)
        st.markdown("  \n".join([*(f"**{how}**:{what}" for how, _, what in map(_parted, lines[:-1])), lines[-1]]))
    if cell.reason and cell.state != "waiting":
        st.caption(f"{cell.state}: {cell.reason}")
    elif cell.reason:
        st.caption(f"{cell.reason[0].upper()}{cell.reason[1:]}.")
    elif cell.state == "waiting":
        ranks = estimate_ranks(report.cells, cut.granularity)
        known = sweep_words.estimate_text(ranks[cut], len(ranks), report.n_calibration) if cut in ranks else None
        st.caption(f"{known[0].upper()}{known[1:]}." if known else "Not measured yet.")
    # a callback runs before the page is drawn again: leaving the page at once cannot interrupt it
    st.button(
        "Cut here",
        icon=":material/content_cut:",
        key="cut-here",
        disabled=cell.state == "failed",
        help="Puts this cut into the plan on the Tune screen.",
        on_click=cut_here,
        args=(report.workload, cut, repair),
    )
    target = group or next((t for t in found.targets if (t.granularity, t.name) == (cut.granularity, cut.target)), None)
    if target is not None and target.granularity in ("channel", "head"):
        left = None if group is None else (group.n_units or 0) - units_removed(cut, group)[0]
        stairs_panel.draw(report.workload, found, target, "cell-stairs", left)
    if group is not None:
        _draw_group(group, cut)
    if ways is None or ways.view == ways.own:
        slices_panel.draw(report, cell)


def _parted(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _draw_group(group: Target, cut: Cut) -> None:
    """What goes together with each channel."""
    aligned = f", kept in multiples of {cut.align}" if cut.align > 1 else ""
    parts = f", equally many from each of {group.n_parts} parts" if group.n_parts > 1 else ""
    n = len(group.members)
    with st.expander(
        f"{group.n_units:,} {target_words.unit_word(group)}s coupled in {n} layers{parts}{aligned}",
        expanded=n <= MANY_MEMBERS,
    ):
        table(groups_table.members_frame(group), "Members of the group", share=0.36)


def cut_here(ref: str, cut: Cut, repair: str | None = None) -> None:
    """Put a cut into the plan; a plan that begins with it has the repair of the map."""
    plan = workbench.begun_with(workbench.runs().draft(ref), repair).with_cut(cut)
    workbench.runs().save_draft(ref, plan)
    how = "" if plan.repair == repair else f" The plan is {repair_words(plan.repair) or 'raw'}, this map is not."
    st.toast(f"{cut.target} is in the plan now.{how}", icon=":material/check:")


def draw_curves(
    report: SensitivityReport,
    cells: tuple[CellResult, ...],
    tolerance: float,
    ways: Ways | None = None,
    by: str | None = None,
) -> None:
    """Curves of chosen targets, and how far each stays within the tolerance.

    Args:
        report: that is shown.
        cells: of it, that the filter leaves.
        tolerance: in the metric's unit.
        ways: the same cells raw and repaired, where both are known.
        by: the criterion that the map is drawn by.
    """
    curves = curves_by_target(cells)
    if not curves:
        return
    st.session_state["curve_layers"] = _kept(curves, by)
    chosen = st.multiselect(
        "Curves", list(curves), key="curve_layers", help="A click on the map chooses one; add more here."
    )
    behind = curves_by_target(ways.other.cells) if ways is not None else {}
    how = ways.name(ways.other) if ways is not None else ""
    plotly_live(
        curves_figure(report, curves, chosen, workbench.colours(), behind, how),
        "curves",
        "Metric against sparsity of the chosen layers",
    )
    st.caption(unbroken(_curves_caption(report, [cell for name in chosen for cell in curves[name]])))
    if ways is not None:
        st.caption(_behind_caption(ways, [cell for name in chosen for cell in behind.get(name, ())]))
    for name in chosen:
        cut = curves[name][0].cut
        own = [c for c in report.cells if (c.cut.curve, c.cut.criterion) == (cut.curve, cut.criterion)]
        st.markdown(unbroken(limit_words.limit_line(name, own, report.scale, tolerance)))


def _kept(curves: Mapping[str, Sequence[CellResult]], by: str | None) -> list[str]:
    """The curves that were chosen; after a change of the map's criterion the same targets by the new one."""
    kept = [name for name in st.session_state.get("curve_layers", []) if name in curves]
    if st.session_state.get("curves_by") != by:
        st.session_state["curves_by"] = by
        renamed = [cut_words.curve_text(replace(curves[name][0].cut, criterion=by)) for name in kept]
        kept = list(dict.fromkeys(new if new in curves else old for new, old in zip(renamed, kept, strict=True)))
    if kept:
        return kept
    # the layer that suffers most says more than the first
    of_map = [name for name in curves if curves[name][0].cut.criterion == by] or list(curves)
    return [max(of_map, key=lambda name: max(cell.drop.value for cell in curves[name] if cell.drop))]


def _behind_caption(ways: Ways, cells: Sequence[CellResult]) -> str:
    """What the dotted lines are, and on how many examples."""
    name, own = ways.name(ways.other), ways.name(ways.shown)
    counts = sorted({cell.drop.n for cell in cells if cell.drop})
    if not counts:
        return f"No curve of these is known {'raw' if name == 'raw' else name}."
    n = f"n = {counts[0]:,}" if len(counts) == 1 else f"n from {counts[0]:,} to {counts[-1]:,}"
    unlike = any(ways.sides[cell.cut].differs_in_n for cell in cells if cell.cut in ways.sides)
    warning = " Other examples than the solid lines: not compared." if unlike else ""
    return f"Dotted: {name}, {n}, with 95 % intervals; the others: {own}.{warning}"


def _curves_caption(report: SensitivityReport, cells: Sequence[CellResult]) -> str:
    """What the bands or bars of the curves are, and how many examples stand behind them."""
    counts = sorted({cell.drop.n for cell in cells if cell.drop})
    n = f"n = {counts[0]:,}" if len(counts) == 1 else f"n from {counts[0]:,} to {counts[-1]:,}, cell by cell"
    kinds = sorted({sweep_words.interval_text(report.scale, cell) for cell in cells}, key=len)
    searched = any(cell.stage == "early" for cell in cells)
    parts = [
        f"{'Bars' if searched else 'Band'}: paired {' or, before all examples are in, '.join(kinds)}, of the drop; {n}."
    ]
    if searched:
        parts.append("Dashed, ○: interpolated. ◇: few examples, beyond what was needed.")
    return " ".join([*parts, "Grey: the others."])
