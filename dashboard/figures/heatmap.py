"""The maps: cells coloured by the measured drop. Hatched where it is interpolated, grey where there is an estimate."""

import math
from collections.abc import Container, Mapping
from types import MappingProxyType

from plotly.graph_objects import Figure, Heatmap

from core import numbers
from core.jobs.known.beside import Sides
from core.plans.plan import Cut
from core.sensitivity.report import CellResult, SensitivityReport
from dashboard.figures.grid import Grid, Known
from dashboard.figures.map_marks import (
    HEADING_PIXELS,
    add_beside,
    add_chosen,
    add_estimates,
    add_hatch,
    add_marks,
    add_planned,
    add_words,
    lay_out,
)
from dashboard.frame.theme import Palette

ROW_PIXELS, TOP_PIXELS = 22, 62
KEY_PIXELS = 440
MIN_PIXELS = 132  # of a map with few rows: the key to the colours must fit beside it
PALE = 0.45  # a drop whose interval holds 0, or that is interpolated, must not shout
NO_SIDES: Mapping[Cut, Sides] = MappingProxyType({})
OCTAVES = (-2.0, 4.0)  # colours reach from a quarter of the tolerance to sixteen times the tolerance


def heatmap(
    grid: Grid,
    report: SensitivityReport,
    tolerance: float,
    colours: Palette,
    chosen: CellResult | None = None,
    title: str = "",
    planned: Container[Cut] = (),
    sides: Mapping[Cut, Sides] = NO_SIDES,
    has_key: bool = True,
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
        sides: by cut, what is known of it raw and repaired; what a repair makes worse has a mark in the lower corner.
        has_key: whether the key to the colours stands beside it; of two maps side by side one has it.
    """
    scale = report.scale
    known = Known.of(report, grid)
    top = TOP_PIXELS + (HEADING_PIXELS if grid.headings else 0)
    low, high = OCTAVES
    ticks = list(range(int(low), int(high) + 1))
    tick_texts = [numbers.drop_text(scale, tolerance * 2.0**tick) for tick in ticks]
    hover = [[known.hover(grid.cells.get((r, c))) for c in range(len(grid.columns))] for r in range(len(grid.rows))]
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
            Heatmap(z=strong, colorbar=key, showscale=has_key, **common),
            Heatmap(z=pale, opacity=PALE, showscale=False, **common),
        ]
    )
    add_estimates(figure, grid, colours, known, hover)
    add_hatch(figure, grid, colours, known)
    add_marks(figure, grid, colours, known)
    add_chosen(figure, grid, colours, chosen)
    add_planned(figure, grid, colours, planned)
    add_beside(figure, grid, colours, sides)
    add_words(figure, grid, colours)
    lay_out(figure, grid, title, height, top)
    return figure


def _shades(grid: Grid, tolerance: float, known: Known, is_pale: bool) -> list[list[float | None]]:
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
