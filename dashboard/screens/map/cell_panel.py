"""What stands beside the maps: the cell that was clicked, whom it is coupled with, and curves."""

from collections.abc import Sequence

import streamlit as st

from core import numbers
from core.plans import cut_words
from core.plans.costs.totals import units_removed
from core.plans.plan import Cut
from core.sensitivity import sweep_words
from core.sensitivity.report import CellResult, SensitivityReport, estimate_ranks, interpolated, largest_within
from core.workload import target_words
from core.workload.description import Description
from core.workload.target import Target
from dashboard.figures.curves import curves_by_target, curves_figure
from dashboard.frame import workbench
from dashboard.frame.plotly_live import plotly_live
from dashboard.screens.map import slices_panel
from dashboard.screens.model import groups_table

MANY_MEMBERS = 6


def draw(cell: CellResult, report: SensitivityReport, found: Description) -> None:
    """All that is known of a cell, and the button that puts it into the plan."""
    cut = cell.cut
    group = next((t for t in found.channel_targets if cut.granularity == "channel" and t.name == cut.target), None)
    channels = f"{target_words.n_units_text(group, units_removed(cut, group)[0])}, " if group else ""
    weights = f"{cell.n_removed:,} of {cell.n_weights:,} {'numbers' if group else 'weights'}"
    what = cut_words.what_goes_text(cut, target_words.unit_word(group)) if group else cut_words.what_goes_text(cut)
    st.markdown(f"**{cut.target}**, {what}{cut_words.criterion_text(cut)}: {channels}{weights}")
    if cell.drop is not None:
        st.markdown("  \n".join(sweep_words.evidence_lines(report, cell, interpolated(report.cells).get(cut))))
        if cell.drop.value < 0:
            st.caption(
                "A negative drop: these examples came out better after the cut. "
                "While the interval holds 0, it may be noise."
            )
    if cell.reason:
        st.caption(f"{cell.state}: {cell.reason}")
    if cell.state == "waiting":
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
        args=(report.workload, cut),
    )
    if group is not None:
        _draw_group(group, cut)
    slices_panel.draw(report, cell)


def _draw_group(group: Target, cut: Cut) -> None:
    """What goes together with each channel."""
    aligned = f", kept in multiples of {cut.align}" if cut.align > 1 else ""
    parts = f", equally many from each of {group.n_parts} parts" if group.n_parts > 1 else ""
    n = len(group.members)
    with st.expander(
        f"{group.n_units:,} {target_words.unit_word(group)}s coupled in {n} layers{parts}{aligned}",
        expanded=n <= MANY_MEMBERS,
    ):
        st.dataframe(groups_table.members_frame(group), hide_index=True)


def cut_here(ref: str, cut: Cut) -> None:
    """Put a cut into the plan."""
    workbench.runs().save_draft(ref, workbench.runs().draft(ref).with_cut(cut))
    st.toast(f"{cut.target} is in the plan now.", icon=":material/check:")


def draw_curves(report: SensitivityReport, cells: tuple[CellResult, ...], tolerance: float) -> None:
    """Curves of chosen targets, and how far each stays within the tolerance."""
    curves = curves_by_target(cells)
    if not curves:
        return
    kept = [name for name in st.session_state.get("curve_layers", []) if name in curves]
    if not kept:  # the layer that suffers most says more than the first
        kept = [max(curves, key=lambda name: max(cell.drop.value for cell in curves[name] if cell.drop))]
    st.session_state["curve_layers"] = kept
    chosen = st.multiselect(
        "Curves", list(curves), key="curve_layers", help="A click on the map chooses one; add more here."
    )
    plotly_live(
        curves_figure(report, curves, chosen, workbench.colours()),
        "curves",
        "Metric against sparsity of the chosen layers",
    )
    st.caption(_curves_caption(report, [cell for name in chosen for cell in curves[name]]))
    limit = numbers.limit_text(report.scale, tolerance)
    for name in chosen:
        cut = curves[name][0].cut
        own = [cell for cell in report.cells if cell.cut.curve == cut.curve]
        most = largest_within(own, tolerance, cut.granularity).get(cut.target)
        if most is not None:
            st.markdown(f"`{name}` stays within {limit} up to **{numbers.sparsity_text(most)}**, interval and all")
        else:
            st.markdown(f"`{name}` is not known to stay within {limit} at any measured sparsity")


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
