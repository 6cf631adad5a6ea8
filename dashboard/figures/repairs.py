"""What a repair gives back: the raw drop minus the repaired one, cell by cell, colours even around 0."""

from collections.abc import Mapping

from plotly.graph_objects import Figure, Heatmap

from core import numbers
from core.jobs.known.beside import Sides, sides_lines
from core.plans import cut_words
from core.plans.plan import Cut
from core.sensitivity.maps.layout import Grid
from core.sensitivity.maps.marks import MARKS
from core.sensitivity.report import CellResult
from core.workload.scale import Scale
from dashboard.figures.map_marks import (
    HEADING_PIXELS,
    KEY_PIXELS,
    MIN_PIXELS,
    PALE,
    ROW_PIXELS,
    TOP_PIXELS,
    add_chosen,
    add_words,
    draw_marks,
    lay_out,
)
from dashboard.frame.theme import Palette


def gives_back_figure(
    grid: Grid,
    scale: Scale,
    sides: Mapping[Cut, Sides],
    repair: str,
    colours: Palette,
    chosen: CellResult | None = None,
    title: str = "",
) -> Figure:
    """A map of differences.

    Where the two intervals overlap the colour is pale and marked; what cannot be compared is grey, and says why.

    Args:
        grid: what to draw.
        scale: of the metric.
        sides: by cut, what is known of it raw and repaired.
        repair: its name.
        colours: of the theme.
        chosen: framed.
        title: above the map.
    """
    known = {place: sides[cell.cut] for place, cell in grid.cells.items() if cell.cut in sides}
    pairs = {place: pair for place, one in known.items() if (pair := one.pair) is not None}
    values = {place: scale.factor * (pair.raw.value - pair.repaired.value) for place, pair in pairs.items()}
    most = max(map(abs, values.values()), default=0.0) or 1.0
    size = range(len(grid.rows)), range(len(grid.columns))
    hover = [["" for _ in size[1]] for _ in size[0]]
    for (row, column), one in known.items():
        cut = grid.cells[row, column].cut
        lines = [f"<b>{cut.target}</b>: {cut_words.what_goes_text(cut)}", *sides_lines(scale, one, repair)]
        hover[row][column] = "<br>".join(lines)
    shades = colours.less_to_more[::-1]  # what gives back is no cost
    height = max(MIN_PIXELS, ROW_PIXELS * len(grid.rows))
    top = TOP_PIXELS + (HEADING_PIXELS if grid.headings else 0)
    common = {
        "text": hover, "hovertemplate": "%{text}<extra></extra>", "zmin": -most, "zmax": most, "xgap": 2, "ygap": 2,
        "colorscale": [(i / (len(shades) - 1), shade) for i, shade in enumerate(shades)], "hoverongaps": False,
    }  # fmt: skip
    key = {
        "title": {"text": f"given back, {numbers.drop_unit(scale)}", "side": "right"}, "thickness": 12,
        "outlinewidth": 0, "lenmode": "pixels", "len": min(KEY_PIXELS, height), "y": 1, "yanchor": "top",
    }  # fmt: skip
    sure = {place: pair.is_better or pair.is_worse for place, pair in pairs.items()}
    strong, pale = (
        [[values.get((r, c)) if sure.get((r, c)) == wanted else None for c in size[1]] for r in size[0]]
        for wanted in (True, False)
    )
    blank = [[None if (r, c) not in known or (r, c) in pairs else 0.0 for c in size[1]] for r in size[0]]
    grey = [(0, colours.shades.greys[0]), (1, colours.shades.greys[0])]
    figure = Figure(
        [
            Heatmap(z=strong, colorbar=key, **common),
            Heatmap(z=pale, opacity=PALE, showscale=False, **common),
            Heatmap(z=blank, showscale=False, name="why not", **{**common, "colorscale": grey}),
        ]
    )
    marks = [(*place, MARKS["worse"]) for place, pair in pairs.items() if pair.is_worse]
    marks += [(*place, MARKS["other n"]) for place, one in known.items() if one.differs_in_n]
    failed = [place for place, one in known.items() if one.repaired is not None and one.repaired.state == "failed"]
    marks += [(*place, MARKS["failed"]) for place in failed]
    marks += [(*place, MARKS["undecided"]) for place, is_sure in sure.items() if not is_sure]
    draw_marks(figure, marks, colours)
    add_chosen(figure, grid, colours, chosen)
    add_words(figure, grid, colours)
    lay_out(figure, grid, title, height, top)
    return figure
