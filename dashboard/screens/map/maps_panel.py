"""The maps of a run: weights, channels and patterns side by side; heads; blocks. A click chooses a cell."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from dashboard.figures.heatmap import NO_SIDES, heatmap
from dashboard.figures.repairs import gives_back_figure
from dashboard.frame import workbench
from dashboard.frame.plotly_live import plotly_live
from dashboard.frame.theme import LEGEND
from dashboard.screens.map import heads_panel
from dashboard.screens.map.repairs_panel import Ways

MANY_ROWS, SCROLL_PIXELS = 36, 860
BESIDE_PIXELS = 620  # of a map that has another beside it
MANY_COLUMNS = 24  # of a map, above which two stand one below the other


@dataclass(frozen=True)
class Kind:
    """Cells that are drawn as one map.

    Attributes:
        key: of the chart on the page.
        grid: puts cells in rows and columns; `None` for that of layers, which needs the model as well.
        title: above it.
        spoken: what it shows, for those who do not see it.
    """

    key: str
    grid: Callable[[Sequence[CellResult]], Grid] | None
    title: str
    spoken: str


KINDS = (
    Kind("map-weights", None, "", "Drop of every layer at every sparsity"),
    Kind(
        "map-heads", head_grid, "attention layer × head, that head removed", "Drop when one attention head is removed"
    ),
    Kind("map-blocks", block_grid, "blocks, each skipped in turn", "Drop when one block is skipped"),
)


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


def draw(
    report: SensitivityReport,
    found: Description,
    tolerance: float,
    pattern: str,
    repair: str | None = None,
    ways: Ways | None = None,
) -> None:
    """Draw them, and take in the click.

    Args:
        report: that is shown.
        found: the model.
        tolerance: in the metric's unit.
        pattern: of names that are shown.
        repair: of the cells of the report.
        ways: the same cells raw and repaired, where both are known.
    """
    cells = matching(report.cells, pattern)
    if not cells:
        st.info("No layer matches the filter.")
    shown = _choose_what(report)
    by = _choose_criterion(report)

    def kept(cells: Sequence[CellResult]) -> tuple[CellResult, ...]:
        return tuple(c for c in cells if c.cut.granularity in shown and c.cut.criterion in (None, by))

    sheets = {"": (report, kept(cells))}
    if ways is not None and ways.view == "beside":
        sheets = {ways.name(one): (one, kept(matching(one.cells, pattern))) for one in (ways.raw, ways.repaired)}
    hits = [_draw_kind(kind, sheets, found, tolerance, repair, ways) for kind in KINDS]
    if ways is None or ways.view != "back":
        limit = numbers.limit_text(report.scale, tolerance)
        st.caption(f"Warm colours: a drop above the tolerance of {limit}  |  {LEGEND}")
        _draw_estimates_caption(report)
    clicked = next((cell for cell in hits if cell is not None), None)
    if clicked is not None and clicked.cut != st.session_state.get("chosen_cut"):
        st.session_state["chosen_cut"] = clicked.cut
        st.session_state["curve_layers"] = _curves_of(clicked.cut, report.cells)
        st.rerun()


def _draw_kind(
    kind: Kind,
    sheets: Mapping[str, tuple[SensitivityReport, tuple[CellResult, ...]]],
    found: Description,
    tolerance: float,
    repair: str | None,
    ways: Ways | None,
) -> CellResult | None:
    """Layers, heads or blocks: one map, or two beside each other; returns the cell that was clicked."""
    grids = {name: (report, _grid(kind, cells, found)) for name, (report, cells) in sheets.items()}
    grids = {name: (report, grid) for name, (report, grid) in grids.items() if grid.rows}
    if not grids:
        return None
    # a long map scrolls by itself, so that the chosen cell and the curves stay in view
    n_rows = max(len(grid.rows) for _, grid in grids.values())
    height: Any = SCROLL_PIXELS if n_rows > MANY_ROWS else "content"
    hits: list[CellResult | None] = []
    with st.container(height=height, border=False):
        # beside each other where there is room for both, else one below the other
        n_columns = max(len(grid.columns) for _, grid in grids.values())
        width: Any = "stretch" if len(grids) == 1 or n_columns > MANY_COLUMNS else BESIDE_PIXELS
        line = st.container(horizontal=True)
        for name, (report, grid) in grids.items():
            with line.container(width=width):
                hits.append(_draw_map(kind, name, report, grid, tolerance, ways, name == list(grids)[-1]))
    hit = next((cell for cell in hits if cell is not None), None)
    if hit is not None and kind.key == "map-heads" and heads_panel.is_choosing():
        report = next(iter(sheets.values()))[0]
        heads_panel.toggle(report.workload, hit.cut, repair)
        st.rerun()
    return hit


def _draw_map(
    kind: Kind, name: str, report: SensitivityReport, grid: Grid, tolerance: float, ways: Ways | None, is_last: bool
) -> CellResult | None:
    chosen, colours = chosen_cell(report.cells), workbench.colours()
    planned = set(workbench.runs().draft(report.workload).cuts)
    title = (_title(grid) if kind.key == "map-weights" else kind.title) + (f", {name}" if name else "")
    if ways is not None and ways.view == "back":
        back = gives_back_figure(grid, report.scale, ways.sides, ways.repair, colours, chosen, title)
        return _clicked(grid, plotly_live(back, f"{kind.key}-back", "What the repair gives back of every cut's drop"))
    sides = ways.sides if ways is not None and report is ways.repaired else NO_SIDES
    figure = heatmap(grid, report, tolerance, colours, chosen, title, planned, sides, is_last)
    spoken = f"{kind.spoken}, {name}" if name else kind.spoken
    return _clicked(grid, plotly_live(figure, kind.key + ("-raw" if name == "raw" else ""), spoken))


def _grid(kind: Kind, cells: tuple[CellResult, ...], found: Description) -> Grid:
    return sparsity_grid(cells, goes_with=_groups_of(found)) if kind.grid is None else kind.grid(cells)


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
        "Criterion", there, default=there[0], required=True, key=_criterion_key(there),
        help="\n\n".join(f"**{name}**: {FACTS[name].meaning}" for name in there), persist_state="session",
    )  # fmt: skip
    return chosen or there[0]


def criterion_shown(report: SensitivityReport) -> str | None:
    """The criterion that the maps of a report are drawn by; `None` where no cell has one."""
    there = criteria_of(report.cells)
    shown: str | None = st.session_state.get(_criterion_key(there))
    return shown or next(iter(there), None)


def _criterion_key(there: Sequence[str]) -> str:
    return f"criterion-{'-'.join(there)}"


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
