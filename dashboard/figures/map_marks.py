"""What lies on the colours of a map: estimates in grey, hatches, marks, what is planned, and words."""

from collections.abc import Container, Mapping, Sequence

from plotly.graph_objects import Figure, Heatmap, Scatter

from core.jobs.known.beside import Sides
from core.plans.plan import Cut
from core.sensitivity.report import CellResult
from dashboard.figures.grid import Grid, Known
from dashboard.frame.theme import MARKS, Palette

HATCH = 0.36  # half the length of a hatch, in cells
HEADING_PIXELS = 28
EDGE = 0.48  # from the middle of a cell to its edge
MANY_CELLS = 600  # above it the marks of undecided and estimated cells would be slower than they are useful


def add_estimates(figure: Figure, grid: Grid, colours: Palette, known: Known, hover: Sequence[Sequence[str]]) -> None:
    """Grey squares for the cells that wait, by rank: an estimate has no unit, so the drop's colours would lie."""

    def grey(cell: CellResult | None) -> float | None:
        if not known.is_estimate(cell):
            return None
        rank, of = known.ranks[cell.cut]
        return 1 - (rank - 1) / max(1, of - 1)

    if any(known.is_estimate(cell) for cell in grid.cells.values()):
        z = [[grey(grid.cells.get((r, c))) for c in range(len(grid.columns))] for r in range(len(grid.rows))]
        figure.add_trace(
            Heatmap(
                z=z, zmin=0, zmax=1, colorscale=[[0, colours.estimates[0]], [1, colours.estimates[1]]], showscale=False,
                name="estimates", text=hover, hovertemplate="%{text}<extra></extra>", hoverongaps=False, xgap=2, ygap=2,
            )
        )  # fmt: skip


def _mark(cell: CellResult, many: bool, known: Known) -> str:
    if cell.state in ("no effect", "failed"):
        return MARKS[cell.state]
    if many:
        return ""
    if known.is_estimate(cell):
        return MARKS["estimate"]
    if cell.drop is None or cell.cut in known.between:
        return ""
    if cell.stage == "early":
        return MARKS["few"]
    if cell.stage == "forecast":
        return MARKS["forecast"]
    return MARKS["undecided"] if cell.drop.low <= 0 <= cell.drop.high else ""


def add_hatch(figure: Figure, grid: Grid, colours: Palette, known: Known) -> None:
    """A stroke through every interpolated cell: one shape for all of them, however many there are."""
    hatched = [
        (row, column) for (row, column), cell in grid.cells.items()
        if cell.cut in known.between and cell.state == "measured"
    ]  # fmt: skip
    if hatched:
        strokes = (f"M{column - HATCH},{row + HATCH}L{column + HATCH},{row - HATCH}" for row, column in hatched)
        figure.add_shape(type="path", path="".join(strokes), line={"color": colours.mark, "width": 1}, name="hatch")


def add_planned(figure: Figure, grid: Grid, colours: Palette, planned: Container[Cut]) -> None:
    """A corner on every cell that is in the plan."""
    places = [place for place, cell in grid.cells.items() if cell.cut in planned]
    _add_corners(figure, places, MARKS["planned"], -EDGE, "bottom left", colours, "plan")


def add_beside(figure: Figure, grid: Grid, colours: Palette, sides: Mapping[Cut, Sides]) -> None:
    """In the lower corner what may be said of a cell beside the same one with a repair, or without."""
    known = [(place, sides[cell.cut]) for place, cell in grid.cells.items() if cell.cut in sides]
    worse = [place for place, one in known if (pair := one.pair) is not None and pair.is_worse]
    _add_corners(figure, worse, MARKS["worse"], EDGE, "top left", colours, "worse")
    other_n = [place for place, one in known if one.differs_in_n]
    _add_corners(figure, other_n, MARKS["other n"], EDGE, "top left", colours, "other n")


def _add_corners(
    figure: Figure,
    places: Sequence[tuple[int, int]],
    mark: str,
    edge: float,
    position: str,
    colours: Palette,
    name: str,
) -> None:
    if places:
        figure.add_trace(
            Scatter(
                x=[column + EDGE for _, column in places], y=[row + edge for row, _ in places], mode="text",
                text=[mark] * len(places), textposition=position, hoverinfo="skip", showlegend=False,
                textfont={"color": colours.chosen, "size": 11}, name=name,
            )
        )  # fmt: skip


def add_chosen(figure: Figure, grid: Grid, colours: Palette, chosen: CellResult | None) -> None:
    """A frame around the cells of the cut that was chosen, if any was."""
    for (row, column), cell in grid.cells.items():
        if chosen is not None and cell.cut == chosen.cut:
            figure.add_shape(
                type="rect", x0=column - 0.5, x1=column + 0.5, y0=row - 0.5, y1=row + 0.5,
                line={"color": colours.chosen, "width": 2},
            )  # fmt: skip


def lay_out(figure: Figure, grid: Grid, title: str, height: int, top: int) -> None:
    """Sizes, title and axes of a map: `height` pixels of rows below `top` pixels of headings."""
    figure.update_layout(
        height=top + 12 + height,
        margin={"l": 10, "r": 10, "t": top, "b": 12},
        title={"text": title, "font": {"size": 14}, "x": 0, "y": 1, "yanchor": "top", "pad": {"t": 6}},
        uirevision=title,
        xaxis={
            "tickvals": [i for i, label in enumerate(grid.columns) if label],
            "ticktext": [label for label in grid.columns if label], "side": "top",
            "range": [-0.5, len(grid.columns) - 0.5], "showgrid": False, "zeroline": False,
        },
        yaxis={
            "tickvals": list(range(len(grid.rows))), "ticktext": list(grid.rows), "range": [len(grid.rows) - 0.5, -0.5],
            "showgrid": False, "zeroline": False, "automargin": True,
        },
    )  # fmt: skip


def add_words(figure: Figure, grid: Grid, colours: Palette) -> None:
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


def add_marks(figure: Figure, grid: Grid, colours: Palette, known: Known) -> None:
    many = len(grid.cells) > MANY_CELLS
    marks = [(row, column, _mark(cell, many, known)) for (row, column), cell in grid.cells.items()]
    draw_marks(figure, [mark for mark in marks if mark[2]], colours)


def draw_marks(figure: Figure, marks: Sequence[tuple[int, int, str]], colours: Palette) -> None:
    """Marks in the middle of cells: row, column, text."""
    if marks:
        rows, columns, texts = zip(*marks, strict=True)
        figure.add_trace(
            Scatter(
                x=columns, y=rows, text=texts, mode="text", textfont={"color": colours.mark, "size": 14},
                hoverinfo="skip", showlegend=False,
            )
        )  # fmt: skip
