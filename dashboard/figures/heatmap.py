"""The maps: layer × sparsity, layer × head, and blocks, coloured by the measured drop.

Hatched where it is interpolated, grey where there is only an estimate.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from plotly.graph_objects import Figure, Heatmap, Scatter

from core import wording
from core.plans.plan import Cut
from core.sensitivity.report import CellResult, SensitivityReport, estimate_ranks, interpolated
from core.workload.target import Granularity
from dashboard.theme import MARKS, Palette

ROW_PIXELS, TOP_PIXELS = 22, 62
KEY_PIXELS = 440
MIN_PIXELS = 132  # of a map with few rows: the key to the colours must fit beside it
PALE = 0.45  # a drop whose interval holds 0, or that is interpolated, must not shout
HATCH = 0.36  # half the length of a hatch, in cells
OCTAVES = (-2.0, 4.0)  # colours reach from a quarter of the tolerance to sixteen times the tolerance
MANY_CELLS = 600  # above it the marks of undecided and estimated cells would be slower than they are useful


@dataclass(frozen=True)
class _Known:
    """What the squares of one map need to know beside their own cell.

    Attributes:
        report: of the run.
        ranks: of the estimates, also of cells that a filter hides.
        between: interpolated drops.
    """

    report: SensitivityReport
    ranks: Mapping[Cut, int]
    between: Mapping[Cut, float]


@dataclass(frozen=True)
class Grid:
    """Cells in rows and columns, as they are drawn.

    Attributes:
        rows, columns: labels, in order.
        cells: by (row, column).
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[int, int], CellResult]


def sparsity_grid(cells: Sequence[CellResult]) -> Grid:
    """Weight cells: a row per target in network order, a column per sparsity."""
    weights = [cell for cell in cells if cell.cut.granularity == "weight"]
    rows = tuple(dict.fromkeys(cell.cut.target for cell in weights))
    sparsities = sorted({cell.cut.sparsity or 0.0 for cell in weights})
    row_of, column_of = {name: i for i, name in enumerate(rows)}, {s: i for i, s in enumerate(sparsities)}
    placed = {(row_of[cell.cut.target], column_of[cell.cut.sparsity or 0.0]): cell for cell in weights}
    return Grid(rows, tuple(wording.sparsity_text(s) for s in sparsities), placed)


def head_grid(cells: Sequence[CellResult]) -> Grid:
    """Head cells: a row per attention layer in network order, a column per head, counted from 0."""
    heads = [cell for cell in cells if cell.cut.granularity == "head"]
    split = [(cell.cut.target.rpartition(":"), cell) for cell in heads]
    rows = tuple(dict.fromkeys(layer for (layer, _, _), _ in split))
    n_columns = max((int(head) + 1 for (_, _, head), _ in split), default=0)
    row_of = {name: i for i, name in enumerate(rows)}
    placed = {(row_of[layer], int(head)): cell for (layer, _, head), cell in split}
    return Grid(rows, tuple(str(i) for i in range(n_columns)), placed)


def block_grid(cells: Sequence[CellResult]) -> Grid:
    """Block cells: a row per block in network order, one column."""
    blocks = [cell for cell in cells if cell.cut.granularity == "block"]
    rows = tuple(cell.cut.target for cell in blocks)
    return Grid(rows, ("skipped",), {(i, 0): cell for i, cell in enumerate(blocks)})


def heatmap(
    grid: Grid,
    report: SensitivityReport,
    tolerance: float,
    colours: Palette,
    chosen: CellResult | None = None,
    title: str = "",
) -> Figure:
    """A map.

    Args:
        grid: what to draw.
        report: that its cells are from.
        tolerance: in the metric's unit, above 0; colours turn warm where the drop exceeds it.
        colours: of the theme.
        chosen: framed.
        title: above the map; also keeps zoom apart between maps.
    """
    scale = report.scale
    granularity: Granularity = next((cell.cut.granularity for cell in grid.cells.values()), "weight")
    known = _Known(report, estimate_ranks(report.cells, granularity), interpolated(report.cells))
    low, high = OCTAVES
    ticks = list(range(int(low), int(high) + 1))
    tick_texts = [wording.drop_text(scale, tolerance * 2.0**tick) for tick in ticks]
    hover = [[_hover(grid.cells.get((r, c)), known) for c in range(len(grid.columns))] for r in range(len(grid.rows))]
    height = max(MIN_PIXELS, ROW_PIXELS * len(grid.rows))
    common = {
        "text": hover, "hovertemplate": "%{text}<extra></extra>", "zmin": low, "zmax": high, "xgap": 2, "ygap": 2,
        "colorscale": [(i / (len(colours.calm_to_costly) - 1), c) for i, c in enumerate(colours.calm_to_costly)],
        "hoverongaps": False,
    }  # fmt: skip
    key = {
        "tickvals": ticks, "ticktext": ["≤ " + tick_texts[0], *tick_texts[1:-1], "≥ " + tick_texts[-1]],
        "title": {"text": f"drop, {wording.drop_unit(scale)}", "side": "right"}, "thickness": 12, "outlinewidth": 0,
        "lenmode": "pixels", "len": min(KEY_PIXELS, height), "y": 1, "yanchor": "top",
    }  # fmt: skip
    strong, pale = (_shades(grid, tolerance, known, is_pale) for is_pale in (False, True))
    figure = Figure(
        [
            Heatmap(z=strong, colorbar=key, **common),
            Heatmap(z=pale, opacity=PALE, showscale=False, **common),
        ]
    )
    _add_estimates(figure, grid, colours, known.ranks, hover)
    _add_hatch(figure, grid, colours, known)
    _add_marks(figure, grid, colours, known)
    if chosen is not None:
        for (row, column), cell in grid.cells.items():
            if cell.cut == chosen.cut:
                figure.add_shape(
                    type="rect", x0=column - 0.5, x1=column + 0.5, y0=row - 0.5, y1=row + 0.5,
                    line={"color": colours.chosen, "width": 2},
                )  # fmt: skip
    figure.update_layout(
        height=TOP_PIXELS + 12 + height,
        margin={"l": 10, "r": 10, "t": TOP_PIXELS, "b": 12},
        title={"text": title, "font": {"size": 14}, "x": 0, "y": 1, "yanchor": "top", "pad": {"t": 6}},
        uirevision=title,
        xaxis={
            "tickvals": list(range(len(grid.columns))), "ticktext": list(grid.columns), "side": "top",
            "range": [-0.5, len(grid.columns) - 0.5], "showgrid": False, "zeroline": False,
        },
        yaxis={
            "tickvals": list(range(len(grid.rows))), "ticktext": list(grid.rows), "range": [len(grid.rows) - 0.5, -0.5],
            "showgrid": False, "zeroline": False, "automargin": True,
        },
    )  # fmt: skip
    return figure


def _shades(grid: Grid, tolerance: float, known: _Known, is_pale: bool) -> list[list[float | None]]:
    """Colours of the cells that are known little, or of the others.

    No effect is uncoloured: the calm colour would call a layer robust that may not be used at all.
    """

    def shade(cell: CellResult | None) -> float | None:
        if cell is None or cell.drop is None or cell.state == "no effect":
            return None
        if (cell.stage == "early" or cell.drop.low <= 0 <= cell.drop.high) != is_pale:
            return None
        return _shade(known.between.get(cell.cut, cell.drop.value), tolerance)

    return [[shade(grid.cells.get((r, c))) for c in range(len(grid.columns))] for r in range(len(grid.rows))]


def _shade(drop: float, tolerance: float) -> float:
    """A drop in octaves of the tolerance, clipped to the colours."""
    low, high = OCTAVES
    return low if drop <= 0 else min(high, max(low, math.log2(drop / tolerance)))


def _is_estimate(cell: CellResult | None, ranks: Mapping[Cut, int]) -> TypeGuard[CellResult]:
    """Whether all that is known of a cell is its place among the estimates."""
    return cell is not None and cell.state == "waiting" and cell.cut in ranks


def _add_estimates(
    figure: Figure, grid: Grid, colours: Palette, ranks: Mapping[Cut, int], hover: Sequence[Sequence[str]]
) -> None:
    """Grey squares for the cells that wait, by rank: an estimate has no unit, so the drop's colours would lie."""

    def grey(cell: CellResult | None) -> float | None:
        return 1 - (ranks[cell.cut] - 1) / max(1, len(ranks) - 1) if _is_estimate(cell, ranks) else None

    if any(_is_estimate(cell, ranks) for cell in grid.cells.values()):
        z = [[grey(grid.cells.get((r, c))) for c in range(len(grid.columns))] for r in range(len(grid.rows))]
        figure.add_trace(
            Heatmap(
                z=z, zmin=0, zmax=1, colorscale=[[0, colours.estimates[0]], [1, colours.estimates[1]]], showscale=False,
                name="estimates", text=hover, hovertemplate="%{text}<extra></extra>", hoverongaps=False, xgap=2, ygap=2,
            )
        )  # fmt: skip


def _hover(cell: CellResult | None, known: _Known) -> str:
    if cell is None:
        return ""
    cut = cell.cut
    what = "removed" if cut.sparsity is None else f"{wording.sparsity_text(cut.sparsity)} removed"
    lines = [f"<b>{cut.target}</b>: {what} ({cell.n_removed:,} of {cell.n_weights:,} weights)"]
    if cell.state == "no effect" or cell.state == "failed":
        lines.append(f"{cell.state}: {cell.reason}")
    elif cell.drop is not None:
        lines += wording.evidence_lines(known.report, cell, known.between.get(cut))
    elif _is_estimate(cell, known.ranks):
        lines.append(wording.estimate_text(known.ranks[cut], len(known.ranks), known.report.n_calibration))
    else:
        lines.append("not measured yet")
    return "<br>".join(lines)


def _mark(cell: CellResult, many: bool, known: _Known) -> str:
    if cell.state in ("no effect", "failed"):
        return MARKS[cell.state]
    if many:
        return ""
    if _is_estimate(cell, known.ranks):
        return MARKS["estimate"]
    if cell.drop is None or cell.cut in known.between:
        return ""
    if cell.stage == "early":
        return MARKS["few"]
    return MARKS["undecided"] if cell.drop.low <= 0 <= cell.drop.high else ""


def _add_hatch(figure: Figure, grid: Grid, colours: Palette, known: _Known) -> None:
    """A stroke through every interpolated cell: one shape for all of them, however many there are."""
    hatched = [
        (row, column) for (row, column), cell in grid.cells.items()
        if cell.cut in known.between and cell.state == "measured"
    ]  # fmt: skip
    if hatched:
        strokes = (f"M{column - HATCH},{row + HATCH}L{column + HATCH},{row - HATCH}" for row, column in hatched)
        figure.add_shape(type="path", path="".join(strokes), line={"color": colours.mark, "width": 1}, name="hatch")


def _add_marks(figure: Figure, grid: Grid, colours: Palette, known: _Known) -> None:
    many = len(grid.cells) > MANY_CELLS
    marks = [(row, column, _mark(cell, many, known)) for (row, column), cell in grid.cells.items()]
    marks = [mark for mark in marks if mark[2]]
    if marks:
        rows, columns, texts = zip(*marks, strict=True)
        figure.add_trace(
            Scatter(
                x=columns, y=rows, text=texts, mode="text", textfont={"color": colours.mark, "size": 14},
                hoverinfo="skip", showlegend=False,
            )
        )  # fmt: skip
