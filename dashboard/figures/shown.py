"""Reports as figures in a notebook: what `core.show` finds as the entry points `secateur.figures`."""

from plotly.graph_objects import Figure, Heatmap
from plotly.subplots import make_subplots

from core import numbers
from core.errors import SecateurError
from core.profiling.frontier.report import FrontierReport
from core.profiling.report import ProfileReport
from core.reports.sheets import Sheet, map_sheets, tolerance_for
from core.sensitivity.inside.report import UndoReport
from core.sensitivity.pairs import PairsReport
from core.sensitivity.report import SensitivityReport
from dashboard.figures.costs import costs_figure
from dashboard.figures.curves import curves_by_target, curves_figure
from dashboard.figures.frontier import frontier_figure
from dashboard.figures.inside import undo_figure
from dashboard.figures.pairs import pairs_figure
from dashboard.frame.theme import LIGHT

ROW_PIXELS, EDGE_PIXELS = 22, 110
NOTHING = "nothing is measured yet: wait until the run has its first numbers"


def sweep(report: SensitivityReport) -> Figure:
    """Curves of the targets that lose most, the others quiet behind them; of a map of whole heads and blocks the map.

    Raises:
        SecateurError: no cell is measured.
    """
    if report.dense is None or not any(cell.drop for cell in report.cells):
        raise SecateurError(NOTHING)
    curves = curves_by_target(report.cells)
    if not curves:
        return heatmap(report)
    most = {name: max(cell.drop.value for cell in cells if cell.drop) for name, cells in curves.items()}
    chosen = sorted(most, key=lambda name: -most[name])[: len(LIGHT.lines)]
    return curves_figure(report, curves, [name for name in curves if name in chosen], LIGHT)


def heatmap(report: SensitivityReport) -> Figure:
    """A map: a sheet of squares for each kind of cut, warm above the tolerance; blank is not measured.

    Raises:
        SecateurError: there is no cell.
    """
    tolerance = tolerance_for(report)
    sheets = map_sheets(report, tolerance)
    if not sheets:
        raise SecateurError(NOTHING)
    heights = [len(sheet.rows) for sheet in sheets]
    figure = make_subplots(
        rows=len(sheets), cols=1, subplot_titles=[sheet.title for sheet in sheets], row_heights=heights,
        vertical_spacing=0.25 / len(sheets),
    )  # fmt: skip
    for number, sheet in enumerate(sheets, 1):
        figure.add_trace(_squares(sheet), row=number, col=1)
        figure.update_yaxes(autorange="reversed", row=number, col=1)
    limit = numbers.limit_text(report.scale, tolerance)
    title = f"Drop in {numbers.drop_unit(report.scale)}; warm colours lie above {limit}"
    figure.update_layout(
        title={"text": title}, height=EDGE_PIXELS * (1 + len(sheets)) + ROW_PIXELS * sum(heights), showlegend=False
    )
    return figure


def _squares(sheet: Sheet) -> Heatmap:
    places = [
        [sheet.squares.get((row, column)) for column in range(len(sheet.columns))] for row in range(len(sheet.rows))
    ]
    scale = LIGHT.shades.cells
    n = len(scale)
    return Heatmap(
        x=list(sheet.columns), y=list(sheet.rows),
        z=[[None if one is None else one.step for one in row] for row in places],
        text=[["" if one is None else one.text for one in row] for row in places], texttemplate="%{text}",
        hovertext=[["" if one is None else one.told for one in row] for row in places],
        hovertemplate="%{hovertext}<extra></extra>", zmin=-0.5, zmax=n - 0.5, showscale=False, xgap=1, ygap=1,
        colorscale=[[at / n, colour] for i, colour in enumerate(scale) for at in (i, i + 1)],
    )  # fmt: skip


def pairs(report: PairsReport) -> Figure:
    """Interactions of cuts, two at a time."""
    return pairs_figure(report, LIGHT)


def undo(report: UndoReport) -> Figure:
    """What giving back each row of a plan gains."""
    return undo_figure(report, {}, LIGHT)


def frontier(report: FrontierReport) -> Figure:
    """Drop by milliseconds of the plans of a frontier."""
    return frontier_figure(report, "milliseconds", LIGHT)


def profile(report: ProfileReport) -> Figure:
    """Share of parameters, FLOPs and time of each layer."""
    return costs_figure(report.layers, LIGHT)
