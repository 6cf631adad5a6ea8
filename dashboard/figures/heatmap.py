"""The maps: target × sparsity, layer × head, and blocks, coloured by the measured drop.

Weights, channels and patterns stand side by side: a row is a layer, and a coupled group stands in the row of the layer
that it is named after. Hatched where it is interpolated, grey where there is only an estimate.
"""

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeGuard

from plotly.graph_objects import Figure, Heatmap, Scatter

from core import numbers
from core.plans import cut_words
from core.plans.patterns import is_pattern, parse_pattern
from core.plans.plan import HEADS, Cut
from core.sensitivity import sweep_words
from core.sensitivity.report import CellResult, SensitivityReport, estimate_ranks, interpolated
from dashboard.frame.theme import MARKS, Palette

ROW_PIXELS, TOP_PIXELS = 22, 62
KEY_PIXELS = 440
MIN_PIXELS = 132  # of a map with few rows: the key to the colours must fit beside it
PALE = 0.45  # a drop whose interval holds 0, or that is interpolated, must not shout
HATCH = 0.36  # half the length of a hatch, in cells
OCTAVES = (-2.0, 4.0)  # colours reach from a quarter of the tolerance to sixteen times the tolerance
HEADING_PIXELS = 22
EDGE = 0.48  # from the middle of a cell to its edge
FIXED = "N:M"  # heading of patterns that have one sparsity
NO_NAMES: Mapping[str, str] = MappingProxyType({})
MANY_COLUMNS = 8  # beside each other, above which their percent signs move into the heading
MANY_CELLS = 600  # above it the marks of undecided and estimated cells would be slower than they are useful


@dataclass(frozen=True)
class _Known:
    """What the squares of one map need to know beside their own cell.

    Attributes:
        report: of the run.
        ranks: of the estimates, also of cells that a filter hides, and of how many.
        between: interpolated drops.
    """

    report: SensitivityReport
    ranks: Mapping[Cut, tuple[int, int]]
    between: Mapping[Cut, float]


@dataclass(frozen=True)
class Grid:
    """Cells in rows and columns, as they are drawn.

    Attributes:
        rows, columns: labels, in order; an empty column keeps two kinds of cells apart.
        cells: by (row, column).
        headings: above some columns, each with the middle of what it is above; empty where there is one kind of cells.
        notes: words in place of a row's cells, by (row, first column).
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[int, int], CellResult]
    headings: tuple[tuple[str, float], ...] = ()
    notes: Mapping[tuple[int, int], str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Part:
    """Columns of one kind of cells: a heading, and what stands in each column."""

    heading: str
    columns: Mapping[str, Mapping[str, CellResult]]  # label -> row -> cell


def sparsity_grid(
    cells: Sequence[CellResult], shown: Container[str] | None = None, goes_with: Mapping[str, str] = NO_NAMES
) -> Grid:
    """Cells of which a fraction goes: a row per layer in network order, a column per sparsity, kind beside kind.

    Args:
        cells: of any granularities.
        shown: granularities; `None` for all that have sparsities.
        goes_with: of layers whose channels go with another's, the group's name; it stands where the cells would.
    """
    fractional = [c for c in cells if c.cut.sparsity is not None and (shown is None or c.cut.granularity in shown)]
    parts = _parts(fractional)
    # weights first, so that they give the order; what is only a group, or only a pattern, comes after them
    rows = tuple(dict.fromkeys(cell.cut.target for cell in fractional))
    grid = _placed(parts, rows)
    of_channels = [column for (_, column), cell in grid.cells.items() if cell.cut.granularity == "channel"]
    if not of_channels:
        return grid
    at = min(of_channels)
    notes = {
        (row, at): f"with {goes_with[name]}"
        for row, name in enumerate(rows)
        if (row, at) not in grid.cells and name in goes_with and goes_with[name] in rows
    }
    return replace(grid, notes=notes)


def _parts(cells: Sequence[CellResult]) -> list[_Part]:
    by_kind: dict[str, list[CellResult]] = {}
    for cell in cells:
        by_kind.setdefault(_kind(cell.cut), []).append(cell)
    order = ("weight", "channel", FIXED)
    kinds = sorted(by_kind, key=lambda kind: order.index(kind) if kind in order else len(order))
    parts = []
    n_columns = len({(_kind(cell.cut), cell.cut.sparsity, cell.cut.granularity) for cell in cells})
    crowded = len(kinds) > 1 and n_columns > MANY_COLUMNS  # a single kind has no heading to say percent
    for kind in kinds:
        of_kind = sorted(by_kind[kind], key=lambda cell: -1.0 if kind == FIXED else cell.cut.sparsity or 0.0)
        columns: dict[str, dict[str, CellResult]] = {}
        for cell in of_kind:
            label = cell.cut.granularity if kind == FIXED else numbers.sparsity_text(cell.cut.sparsity or 0.0)
            columns.setdefault(label.removesuffix(" %") if crowded else label, {})[cell.cut.target] = cell
        heading = FIXED if kind == FIXED else cut_words.granularity_text(kind)
        parts.append(_Part(f"{heading}, %" if crowded and kind != FIXED else heading, columns))
    return parts


def _kind(cut: Cut) -> str:
    """All patterns that have one sparsity share their columns."""
    is_fixed = is_pattern(cut.granularity) and not parse_pattern(cut.granularity).is_tiles
    return FIXED if is_fixed else cut.granularity


def _placed(parts: Sequence[_Part], rows: tuple[str, ...]) -> Grid:
    row_of = {name: i for i, name in enumerate(rows)}
    placed: dict[tuple[int, int], CellResult] = {}
    columns: list[str] = []
    headings = []
    for part in parts:
        columns += [""] if columns else []
        headings.append((part.heading, len(columns) + (len(part.columns) - 1) / 2))
        for label, by_row in part.columns.items():
            placed.update({(row_of[name], len(columns)): cell for name, cell in by_row.items()})
            columns.append(label)
    return Grid(rows, tuple(columns), placed, tuple(headings) if len(headings) > 1 else ())


def head_grid(cells: Sequence[CellResult]) -> Grid:
    """Heads, and key/value groups beside them: a row per attention layer in network order, counted from 0."""
    parts: dict[str, dict[str, dict[str, CellResult]]] = {}
    rows: dict[str, None] = {}
    for granularity in HEADS:
        of_kind = [cell for cell in cells if cell.cut.granularity == granularity]
        split = [(cell.cut.target.rpartition(":"), cell) for cell in of_kind]
        rows |= dict.fromkeys(layer for (layer, _, _), _ in split)
        numbered = [(layer, int(name.removeprefix("kv")), cell) for (layer, _, name), cell in split]
        columns: dict[str, dict[str, CellResult]] = {
            str(i): {} for i in range(max((number + 1 for _, number, _ in numbered), default=0))
        }
        for layer, number, cell in numbered:
            columns[str(number)][layer] = cell
        if columns:
            parts[granularity] = columns
    return _placed([_Part(cut_words.granularity_text(name), columns) for name, columns in parts.items()], tuple(rows))


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
    planned: Container[Cut] = (),
) -> Figure:
    """A map.

    Args:
        grid: what to draw.
        report: that its cells are from.
        tolerance: in the metric's unit, above 0; colours turn warm where the drop exceeds it.
        colours: of the theme.
        chosen: framed.
        title: above the map; also keeps zoom apart between maps.
        planned: cuts that are in the plan; they have a mark in the corner.
    """
    scale = report.scale
    known = _Known(report, _ranks(report, grid), interpolated(report.cells))
    top = TOP_PIXELS + (HEADING_PIXELS if grid.headings else 0)
    low, high = OCTAVES
    ticks = list(range(int(low), int(high) + 1))
    tick_texts = [numbers.drop_text(scale, tolerance * 2.0**tick) for tick in ticks]
    hover = [[_hover(grid.cells.get((r, c)), known) for c in range(len(grid.columns))] for r in range(len(grid.rows))]
    height = max(MIN_PIXELS, ROW_PIXELS * len(grid.rows))
    common = {
        "text": hover, "hovertemplate": "%{text}<extra></extra>", "zmin": low, "zmax": high, "xgap": 2, "ygap": 2,
        "colorscale": [(i / (len(colours.calm_to_costly) - 1), c) for i, c in enumerate(colours.calm_to_costly)],
        "hoverongaps": False,
    }  # fmt: skip
    key = {
        "tickvals": ticks, "ticktext": ["≤ " + tick_texts[0], *tick_texts[1:-1], "≥ " + tick_texts[-1]],
        "title": {"text": f"drop, {numbers.drop_unit(scale)}", "side": "right"}, "thickness": 12, "outlinewidth": 0,
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
    _add_planned(figure, grid, colours, planned)
    _add_words(figure, grid, colours)
    figure.update_layout(
        height=top + 12 + height,
        margin={"l": 10, "r": 10, "t": top, "b": 12},
        title={"text": title, "font": {"size": 14}, "x": 0, "y": 1, "yanchor": "top", "pad": {"t": 6}},
        uirevision=title,
        xaxis={
            "tickvals": [i for i, label in enumerate(grid.columns) if label],
            "ticktext": [label for label in grid.columns if label], "side": "top", "tickangle": 0,
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


def _ranks(report: SensitivityReport, grid: Grid) -> dict[Cut, tuple[int, int]]:
    """Places of the estimates among those of their own granularity: an estimate has no unit to compare others by."""
    ranks: dict[Cut, tuple[int, int]] = {}
    for granularity in {cell.cut.granularity for cell in grid.cells.values()}:
        found = estimate_ranks(report.cells, granularity)
        ranks |= {cut: (rank, len(found)) for cut, rank in found.items()}
    return ranks


def _is_estimate(cell: CellResult | None, ranks: Mapping[Cut, tuple[int, int]]) -> TypeGuard[CellResult]:
    """Whether all that is known of a cell is its place among the estimates."""
    return cell is not None and cell.state == "waiting" and cell.cut in ranks


def _add_estimates(
    figure: Figure, grid: Grid, colours: Palette, ranks: Mapping[Cut, tuple[int, int]], hover: Sequence[Sequence[str]]
) -> None:
    """Grey squares for the cells that wait, by rank: an estimate has no unit, so the drop's colours would lie."""

    def grey(cell: CellResult | None) -> float | None:
        if not _is_estimate(cell, ranks):
            return None
        rank, of = ranks[cell.cut]
        return 1 - (rank - 1) / max(1, of - 1)

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
    of = "numbers" if cut.granularity == "channel" else "weights"  # scales and biases go with channels
    lines = [f"<b>{cut.target}</b>: {cut_words.what_goes_text(cut)} ({cell.n_removed:,} of {cell.n_weights:,} {of})"]
    if cell.state == "no effect" or cell.state == "failed":
        lines.append(f"{cell.state}: {cell.reason}")
    elif cell.drop is not None:
        lines += sweep_words.evidence_lines(known.report, cell, known.between.get(cut))
    elif _is_estimate(cell, known.ranks):
        lines.append(sweep_words.estimate_text(*known.ranks[cut], known.report.n_calibration))
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


def _add_planned(figure: Figure, grid: Grid, colours: Palette, planned: Container[Cut]) -> None:
    """A corner on every cell that is in the plan."""
    corners = [place for place, cell in grid.cells.items() if cell.cut in planned]
    if corners:
        figure.add_trace(
            Scatter(
                x=[column + EDGE for _, column in corners], y=[row - EDGE for row, _ in corners], mode="text",
                text=[MARKS["planned"]] * len(corners), textposition="bottom left", hoverinfo="skip", showlegend=False,
                textfont={"color": colours.chosen, "size": 11}, name="plan",
            )
        )  # fmt: skip


def _add_words(figure: Figure, grid: Grid, colours: Palette) -> None:
    """Headings above the columns, and notes in place of cells."""
    for text, middle in grid.headings:
        figure.add_annotation(
            x=middle, y=1, yref="paper", yanchor="bottom", yshift=HEADING_PIXELS, text=text, showarrow=False,
            font={"size": 12},
        )  # fmt: skip
    if grid.notes:
        rows, columns = zip(*grid.notes, strict=True)
        figure.add_trace(
            Scatter(
                x=[column - 0.45 for column in columns], y=rows, text=[*grid.notes.values()], mode="text",
                textposition="middle right", textfont={"color": colours.mark, "size": 11}, hoverinfo="skip",
                showlegend=False, name="notes",
            )
        )  # fmt: skip


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
