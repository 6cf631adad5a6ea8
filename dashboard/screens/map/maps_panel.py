"""The maps of a run: weights, channels and patterns side by side; heads; blocks. A click chooses a cell."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import streamlit as st

from core import numbers
from core.plans import cut_words
from core.plans.criteria import FACTS
from core.plans.patterns import is_pattern
from core.plans.plan import HEADS, WHOLE, Cut
from core.sensitivity import sweep_words
from core.sensitivity.criteria_comparison import criteria_of
from core.sensitivity.maps.layout import Grid, block_grid, head_grid, sparsity_grid
from core.sensitivity.report import CellResult, SensitivityReport
from core.workload.description import Description
from dashboard.figures.curves import curves_by_target, has_curve
from dashboard.figures.repairs import gives_back_figure
from dashboard.frame import workbench
from dashboard.frame.fragment import redraw
from dashboard.frame.plotly_live import plotly_live
from dashboard.maps.component import map_view
from dashboard.maps.data import NO_SIDES, MapText, map_data, map_text
from dashboard.screens.map import cell_panel, heads_panel, table_panel
from dashboard.screens.map.repairs_panel import Ways
from dashboard.screens.map.sharing.map_address import kinds_key

BESIDE_PIXELS = 620  # of a map that has another beside it
Named = tuple[tuple[str, Any], ...]  # of a dictionary, to be remembered by
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
    least: float = 0.0,
) -> None:
    """Draw them, and take in what was done there.

    Args:
        report: that is shown.
        found: the model.
        tolerance: in the metric's unit.
        pattern: of names that are shown.
        repair: of the cells of the report.
        ways: the same cells raw and repaired, where both are known.
        least: tolerance that the colour bar can be dragged to, in the metric's unit.
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
    model = _Model(found, _reasons(found), _seconds(found), tolerance, least, repair)
    hits = [hit for kind in KINDS if (hit := _draw_kind(kind, sheets, model, ways)) is not None]
    if ways is None or ways.view != "back":
        limit = numbers.limit_text(report.scale, tolerance)
        st.caption(f"Warm colours: a drop above the tolerance of {limit}. Blue: better than the dense model.")
        _draw_estimates_caption(report)
    table_panel.draw(report, sheets)
    clicked, act = next(iter(hits), (None, ""))
    if clicked is None:
        return
    is_new = act == "cut" and clicked.cut not in workbench.runs().draft(report.workload).cuts
    if is_new:
        cell_panel.cut_here(report.workload, clicked.cut, repair)
    elif act == "cut":
        st.toast(f"{clicked.cut.target} is in the plan already.", icon=":material/check:")
    if is_new or clicked.cut != st.session_state.get("chosen_cut"):
        st.session_state["chosen_cut"] = clicked.cut
        st.session_state["curve_layers"] = _curves_of(clicked.cut, report.cells)
        redraw()


@dataclass(frozen=True)
class _Model:
    """What all maps of a screen have in common: the model, reasons and seconds by layer, and the tolerance."""

    found: Description
    reasons: Named
    seconds: Named
    tolerance: float
    least: float
    repair: str | None


def _draw_kind(
    kind: Kind,
    sheets: Mapping[str, tuple[SensitivityReport, tuple[CellResult, ...]]],
    model: _Model,
    ways: Ways | None,
) -> tuple[CellResult, str] | None:
    """Layers, heads or blocks: one map, or two beside each other; returns what was chosen or cut there."""
    grids = {name: (report, cells, _grid(kind, cells, model.found)) for name, (report, cells) in sheets.items()}
    grids = {name: one for name, one in grids.items() if one[2].rows}
    if not grids:
        return None
    # beside each other where there is room for both, else one below the other
    n_columns = max(len(grid.columns) for _, _, grid in grids.values())
    width: Any = "stretch" if len(grids) == 1 or n_columns > MANY_COLUMNS else BESIDE_PIXELS
    line = st.container(horizontal=True)
    hits = []
    for name, (report, cells, grid) in grids.items():
        with line.container(width=width):
            hits.append(_draw_map(kind, name, report, cells, grid, model, ways))
    hit = next((hit for hit in hits if hit is not None), None)
    if hit is not None and hit[1] == "choose" and kind.key == "map-heads" and heads_panel.is_choosing():
        report = next(iter(sheets.values()))[0]
        heads_panel.toggle(report.workload, hit[0].cut, model.repair)
        redraw()
    return hit


def _draw_map(
    kind: Kind,
    name: str,
    report: SensitivityReport,
    cells: tuple[CellResult, ...],
    grid: Grid,
    model: _Model,
    ways: Ways | None,
) -> tuple[CellResult, str] | None:
    chosen, colours = chosen_cell(report.cells), workbench.colours()
    planned = set(workbench.runs().draft(report.workload).cuts)
    title = (_title(grid) if kind.key == "map-weights" else kind.title) + (f", {name}" if name else "")
    if ways is not None and ways.view == "back":
        back = gives_back_figure(grid, report.scale, ways.sides, ways.repair, colours, chosen, title)
        hit = plotly_live(back, f"{kind.key}-back", "What the repair gives back of every cut's drop")
        return _done(grid, {**hit, "act": "choose"} if hit else None)
    sides = ways.sides if ways is not None and report is ways.repaired else NO_SIDES
    spoken = f"{kind.spoken}, {name}" if name else kind.spoken
    text = _text(report, cells, kind.key, _named(_groups_of(model.found)), model.reasons, model.seconds, title)
    data = map_data(
        text, grid, model.tolerance, colours, spoken, chosen.cut if chosen is not None else None, planned, sides
    )
    key = kind.key + ("-raw" if name == "raw" else "")
    return _done(grid, map_view(key, data, partial(_tolerate, key, report, model.least)))


@lru_cache(maxsize=16)
def _text(
    report: SensitivityReport,
    cells: tuple[CellResult, ...],
    kind: str,
    goes_with: Named,
    reasons: Named,
    seconds: Named,
    title: str,
) -> MapText:
    """What a map says; a change of tolerance, plan or choice changes none of it, and makes it no second time."""
    by_key = {one.key: one.grid for one in KINDS}
    make = by_key[kind]
    grid = sparsity_grid(cells, goes_with=dict(goes_with)) if make is None else make(cells)
    return map_text(grid, report, title, dict(reasons), dict(seconds))


def _named(values: Mapping[str, Any]) -> Named:
    return tuple(values.items())


def _reasons(found: Description) -> Named:
    """Why something of a layer cannot be cut, by its path."""
    return _named({one.name.removesuffix(".weight"): one.reason for one in found.uncuttable})


def _seconds(found: Description) -> Named:
    """What layers take, by the newest profile, at its largest batch."""
    for report in workbench.profiles_of(found):
        timed = {one.name: one.seconds for one in report.layers_at(max((x.batch for x in report.layers), default=0))}
        if any(seconds is not None for seconds in timed.values()):
            return _named({name: seconds for name, seconds in timed.items() if seconds is not None})
    return ()


def _tolerate(key: str, report: SensitivityReport, least: float) -> None:
    """The tick on a colour bar was moved: the field on the screen says so too."""
    moved = (st.session_state.get(key) or {}).get("tolerance")
    if isinstance(moved, int | float) and moved > 0:
        st.session_state[f"tolerance-{report.workload}"] = max(least, float(moved)) * report.scale.factor


def _grid(kind: Kind, cells: tuple[CellResult, ...], found: Description) -> Grid:
    return sparsity_grid(cells, goes_with=_groups_of(found)) if kind.grid is None else kind.grid(cells)


def _choose_what(report: SensitivityReport) -> Sequence[str]:
    """Granularities to show; all of them until somebody chooses."""
    there = kinds_there(report)
    if len(there) < 2:
        return there
    st.session_state.setdefault(kinds_key(there), there)  # no default beside it: an address may say it
    chosen: list[str] = st.pills(
        "Show", there, selection_mode="multi", format_func=cut_words.granularity_text,
        key=kinds_key(there), label_visibility="collapsed", persist_state="session",
    )  # fmt: skip
    return chosen or there


def kinds_there(report: SensitivityReport) -> list[str]:
    """Granularities that a map has, as on the maps."""
    found = dict.fromkeys(cell.cut.granularity for cell in report.cells)
    patterns = [name for name in found if is_pattern(name)]
    return [name for name in ("weight", "channel", *patterns, *WHOLE) if name in found]


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


def _done(grid: Grid, hit: Mapping[str, Any] | None) -> tuple[CellResult, str] | None:
    """The cell that was chosen or cut, and which."""
    cell = grid.cells.get((hit["row"], hit["column"])) if hit and hit["column"] is not None else None
    return (cell, str(hit.get("act", "choose"))) if hit and cell is not None else None


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
