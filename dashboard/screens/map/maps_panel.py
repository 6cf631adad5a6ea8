"""The maps of a run: weights, channels and patterns side by side; heads; blocks. A click chooses a cell."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from core import numbers
from core.plans import cut_words
from core.plans.criteria import FACTS
from core.plans.patterns import is_pattern
from core.plans.plan import HEADS, WHOLE, Cut
from core.sensitivity import sweep_words
from core.sensitivity.criteria_comparison import criteria_of
from core.sensitivity.report import CellResult, SensitivityReport
from core.workload.description import Description
from dashboard.figures.curves import curves_by_target, has_curve
from dashboard.figures.grid import Grid, block_grid, head_grid, sparsity_grid
from dashboard.figures.heatmap import heatmap
from dashboard.frame import workbench
from dashboard.frame.plotly_live import plotly_live
from dashboard.frame.theme import LEGEND
from dashboard.screens.map import heads_panel

MANY_ROWS, SCROLL_PIXELS = 36, 860


def matching(cells: tuple[CellResult, ...], pattern: str) -> tuple[CellResult, ...]:
    """Cells whose target matches; all of them while the pattern is not a regular expression."""
    try:
        return tuple(cell for cell in cells if re.search(pattern, cell.cut.target))
    except re.error:
        return cells


def chosen_cell(cells: tuple[CellResult, ...]) -> CellResult | None:
    """The cell that was clicked last, if this run has it."""
    cut: Cut | None = st.session_state.get("chosen_cut")
    return next((cell for cell in cells if cell.cut == cut), None)


def draw(report: SensitivityReport, found: Description, tolerance: float, pattern: str) -> None:
    """Draw them, and take in the click."""
    cells = matching(report.cells, pattern)
    if not cells:
        st.info("No layer matches the filter.")
    shown = _choose_what(report)
    by = _choose_criterion(report)
    cells = tuple(cell for cell in cells if cell.cut.granularity in shown and cell.cut.criterion in (None, by))
    chosen, colours = chosen_cell(cells), workbench.colours()
    planned = set(workbench.runs().draft(report.workload).cuts)
    layers, heads, blocks = sparsity_grid(cells, goes_with=_groups_of(found)), head_grid(cells), block_grid(cells)
    hits: list[CellResult | None] = []
    if layers.rows:
        figure = heatmap(layers, report, tolerance, colours, chosen, _title(layers), planned)
        # a long map scrolls by itself, so that the chosen cell and the curves stay in view
        with st.container(height=SCROLL_PIXELS if len(layers.rows) > MANY_ROWS else "content", border=False):
            hits.append(_clicked(layers, plotly_live(figure, "map-weights", "Drop of every layer at every sparsity")))
    if heads.rows:
        title = "attention layer × head, that head removed"
        figure = heatmap(heads, report, tolerance, colours, chosen, title, planned)
        hit = _clicked(heads, plotly_live(figure, "map-heads", "Drop when one attention head is removed"))
        if hit is not None and heads_panel.is_choosing():
            heads_panel.toggle(report.workload, hit.cut)
            st.rerun()
        hits.append(hit)
    if blocks.rows:
        figure = heatmap(blocks, report, tolerance, colours, chosen, "blocks, each skipped in turn", planned)
        hits.append(_clicked(blocks, plotly_live(figure, "map-blocks", "Drop when one block is skipped")))
    limit = numbers.limit_text(report.scale, tolerance)
    st.caption(f"Warm colours: a drop above the tolerance of {limit}  |  {LEGEND}")
    _draw_estimates_caption(report)
    clicked = next((cell for cell in hits if cell is not None), None)
    if clicked is not None and clicked.cut != st.session_state.get("chosen_cut"):
        st.session_state["chosen_cut"] = clicked.cut
        st.session_state["curve_layers"] = _curves_of(clicked.cut, report.cells)
        st.rerun()


def _choose_what(report: SensitivityReport) -> Sequence[str]:
    """Granularities to show; all of them until somebody chooses."""
    found = dict.fromkeys(cell.cut.granularity for cell in report.cells)
    patterns = [name for name in found if is_pattern(name)]
    there = [name for name in ("weight", "channel", *patterns, *WHOLE) if name in found]  # as on the maps
    if len(there) < 2:
        return there
    chosen: list[str] = st.pills(
        "Show", there, selection_mode="multi", default=there, format_func=cut_words.granularity_text,
        key=f"shown-{'-'.join(there)}", label_visibility="collapsed", persist_state="session",
    )  # fmt: skip
    return chosen or there


def _choose_criterion(report: SensitivityReport) -> str | None:
    """By which criterion the maps are drawn, where a sweep has several; heads and blocks go by none."""
    there = criteria_of(report.cells)
    if len(there) < 2:
        return there[0] if there else None
    chosen: str | None = st.segmented_control(
        "Criterion", there, default=there[0], required=True, key=f"criterion-{'-'.join(there)}",
        help="\n\n".join(f"**{name}**: {FACTS[name].meaning}" for name in there), persist_state="session",
    )  # fmt: skip
    return chosen or there[0]


def _title(grid: Grid) -> str:
    granularities = {cell.cut.granularity for cell in grid.cells.values()}
    return "coupled group × sparsity" if granularities == {"channel"} else "layer × sparsity"


def _groups_of(found: Description) -> dict[str, str]:
    """The coupled group that each layer's channels belong to, by layer."""
    return {
        member.layer: target.name
        for target in found.channel_targets
        for member in target.members
        if member.role == "outputs" and member.layer != target.name
    }


def _clicked(grid: Grid, hit: Mapping[str, Any] | None) -> CellResult | None:
    return grid.cells.get((hit["row"], hit["column"])) if hit and hit["column"] is not None else None


def _curves_of(cut: Cut, cells: Sequence[CellResult]) -> list[str]:
    """Of a head the curves of its attention, of a block its own; of channels also the weights of that layer."""
    curves = curves_by_target(cells)
    if not has_curve(cut):
        fixed = cut.sparsity is not None
        around = f"{cut.target.rpartition(':')[0]}." if cut.granularity in HEADS else f"{cut.target}."
        return [cut.target] if fixed else [name for name in curves if name.startswith(around)]
    names = [cut_words.curve_text(cut), *([cut.target] if cut.granularity == "channel" else [])]
    return [name for name in names if name in curves] or names[:1]


def _draw_estimates_caption(report: SensitivityReport) -> None:
    """How good the estimates turned out to be; while cells wait without any, why there are none."""
    ranked = sweep_words.estimates_text(report)
    if ranked:
        st.caption(ranked)
    elif report.no_preview and any(cell.state == "waiting" for cell in report.cells):
        st.caption(f"No estimates: {report.no_preview}")
