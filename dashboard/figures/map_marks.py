"""What the charts that are made of cells share: sizes, frames, words, axes. The map itself is `dashboard.maps`."""

from collections.abc import Sequence

from plotly.graph_objects import Figure, Scatter

from core.sensitivity.maps.layout import Grid
from core.sensitivity.report import CellResult
from dashboard.frame.theme import Palette

ROW_PIXELS, TOP_PIXELS, HEADING_PIXELS = 22, 62, 22
KEY_PIXELS = 440
MIN_PIXELS = 132  # of a chart with few rows: the key to the colours must fit beside it
PALE = 0.45  # what little is known of must not shout


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
            "ticktext": [label for label in grid.columns if label], "side": "top", "tickangle": 0,
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
