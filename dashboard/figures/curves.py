"""Curves: a target's metric against sparsity, with its interval and the dense baseline; dashed where interpolated."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

from plotly.graph_objects import Figure, Scatter

from core.plans import cut_words
from core.plans.patterns import is_pattern, parse_pattern
from core.plans.plan import Cut
from core.sensitivity import sweep_words
from core.sensitivity.report import CellResult, Estimate, SensitivityReport, interpolated
from dashboard.figures.baseline import add_dense
from dashboard.frame.theme import Palette

HEIGHT = 360
Height = Callable[[float], float]
NOTHING: Mapping[str, Sequence[CellResult]] = MappingProxyType({})
NOT_BETWEEN: Mapping[Cut, float] = MappingProxyType({})


def curves_by_target(cells: Sequence[CellResult]) -> dict[str, tuple[CellResult, ...]]:
    """Measured cells of which any fraction may go, by what they have in common (`curve_text`), sparsity ascending.

    An N:M has one sparsity, and so no curve.
    """
    found: dict[str, list[CellResult]] = {}
    for cell in cells:
        if has_curve(cell.cut) and cell.drop is not None:
            found.setdefault(cut_words.curve_text(cell.cut), []).append(cell)
    return {name: tuple(sorted(group, key=lambda cell: cell.cut.sparsity or 0.0)) for name, group in found.items()}


def has_curve(cut: Cut) -> bool:
    """Whether the target can be cut so at any sparsity."""
    is_fixed = is_pattern(cut.granularity) and not parse_pattern(cut.granularity).is_tiles
    return cut.sparsity is not None and not is_fixed


def curves_figure(
    report: SensitivityReport,
    curves: Mapping[str, Sequence[CellResult]],
    chosen: Sequence[str],
    colours: Palette,
    behind: Mapping[str, Sequence[CellResult]] = NOTHING,
    how: str = "",
) -> Figure:
    """Chosen targets in colour with their bands; all others behind them as one quiet trace.

    The band is the paired 95 % interval of the drop, hung below the dense baseline: it says how far the cut model is
    from the dense one, which is known much better than either alone. A curve with cells that a search left early has
    bars in its place, for between two measured cells nobody knows an interval: the line is dashed there and its circles
    are hollow. Cells of few examples beyond the last settled one stand as diamonds, on no line.

    Of chosen targets that are also in `behind`, the same cuts measured in another way (`how`: raw, or repaired), the
    settled cells stand as a dotted line of the same colour, with bars.
    """
    assert report.dense is not None
    scale, dense = report.scale, report.dense.value
    sign = -1.0 if scale.higher_is_better else 1.0

    def height(drop: float) -> float:
        value = dense + sign * drop  # an interval may reach beyond what the metric can be
        value = value if scale.low is None else max(value, scale.low)
        return scale.factor * (value if scale.high is None else min(value, scale.high))

    figure = Figure()
    quiet_x: list[float | None] = []
    quiet_y: list[float | None] = []
    for name, cells in curves.items():
        if name not in chosen:
            measured = [c for c in cells if c.stage != "early"]
            quiet_x += [0.0, *map(_percent, measured), None]
            quiet_y += [height(0.0), *(height(c.drop.value) for c in measured if c.drop), None]
    figure.add_trace(
        Scatter(
            x=quiet_x, y=quiet_y, mode="lines", line={"color": colours.muted, "width": 1}, name="others",
            hoverinfo="skip",
        )
    )  # fmt: skip
    between = interpolated(report.cells)
    for i, name in enumerate(name for name in chosen if name in curves):
        colour = colours.lines[i % len(colours.lines)]
        if any(cell.stage == "early" for cell in curves[name]):
            _add_searched(figure, name, curves[name], height, report, colour, between)
        else:
            _add_curve(figure, name, curves[name], height, report, colour)
        settled = [cell for cell in behind.get(name, ()) if cell.stage != "early" and cell.drop is not None]
        if settled:
            _add_behind(figure, f"{name}, {how}", settled, height, report, colour)
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 10, "r": 10, "t": 20, "b": 70},
        uirevision=report.run,
        hovermode="closest",
        legend={"orientation": "h", "yanchor": "top", "y": -0.3, "x": 0},
        xaxis={"title": {"text": "sparsity, %"}, "range": [0, 100], "zeroline": False},
    )
    add_dense(figure, scale, dense, colours)
    return figure


def _add_curve(
    figure: Figure, name: str, cells: Sequence[CellResult], height: Height, report: SensitivityReport, colour: str
) -> None:
    drops = [cell.drop for cell in cells if cell.drop is not None]
    x = [0.0, *map(_percent, cells)]
    edge_a = [height(0.0), *(height(drop.low) for drop in drops)]
    edge_b = [height(0.0), *(height(drop.high) for drop in drops)]
    figure.add_trace(
        Scatter(
            x=[*x, *reversed(x)], y=[*edge_a, *reversed(edge_b)], fill="toself", fillcolor=_transparent(colour),
            line={"width": 0}, mode="lines", hoverinfo="skip", showlegend=False, name=f"{name} interval",
        )
    )  # fmt: skip
    y = [height(0.0), *(height(drop.value) for drop in drops)]
    texts = ["dense", *(_text(cell, report) for cell in cells)]
    figure.add_trace(
        Scatter(
            x=x, y=y, mode="lines+markers", name=name, text=texts, line={"color": colour, "width": 2},
            marker={"size": 6}, hovertemplate=_template(name),
        )
    )  # fmt: skip


def _add_behind(
    figure: Figure, name: str, cells: Sequence[CellResult], height: Height, report: SensitivityReport, colour: str
) -> None:
    drops = [cell.drop for cell in cells if cell.drop is not None]
    figure.add_trace(
        Scatter(
            x=[*map(_percent, cells)], y=[height(drop.value) for drop in drops], mode="lines+markers", name=name,
            text=[_text(cell, report) for cell in cells], line={"color": colour, "width": 1.5, "dash": "dot"},
            marker={"size": 5, "symbol": "square-open"}, hovertemplate=_template(name),
            error_y=_bars(drops, height, colour),
        )
    )  # fmt: skip


def _add_searched(
    figure: Figure,
    name: str,
    cells: Sequence[CellResult],
    height: Height,
    report: SensitivityReport,
    colour: str,
    between: Mapping[Cut, float],
) -> None:
    early = [cell for cell in cells if cell.stage == "early"]
    measured = [cell for cell in cells if cell.stage != "early"]
    points = [(0.0, height(0.0)), *((_percent(cell), height(cell.drop.value)) for cell in measured if cell.drop)]
    gaps = {(a, b) for a, b in pairwise(points) if any(a[0] < _percent(cell) < b[0] for cell in early)}
    for dash, pairs in (("solid", [p for p in pairwise(points) if p not in gaps]), ("dash", sorted(gaps))):
        x, y = ([at for a, b in pairs for at in (a[axis], b[axis], None)] for axis in (0, 1))
        figure.add_trace(
            Scatter(
                x=x, y=y, mode="lines", line={"color": colour, "width": 2, "dash": dash}, hoverinfo="skip",
                showlegend=False, legendgroup=name, name=f"{name} {'interpolated' if dash == 'dash' else 'measured'}",
            )
        )  # fmt: skip
    guessed = [cell for cell in early if cell.cut in between]
    few = [cell for cell in early if cell.cut not in between]
    _add_points(figure, name, guessed, height, report, colour, "circle-open", between)
    _add_points(figure, name, few, height, report, colour, "diamond-open")
    _add_points(figure, name, measured, height, report, colour, "circle")


def _add_points(
    figure: Figure,
    name: str,
    cells: Sequence[CellResult],
    height: Height,
    report: SensitivityReport,
    colour: str,
    symbol: str,
    between: Mapping[Cut, float] = NOT_BETWEEN,
) -> None:
    drops = [cell.drop for cell in cells if cell.drop is not None]
    y = [height(between.get(cell.cut, drop.value)) for cell, drop in zip(cells, drops, strict=True)]
    figure.add_trace(
        Scatter(
            x=[*map(_percent, cells)], y=y, mode="markers", name=name, legendgroup=name, showlegend=symbol == "circle",
            text=[_text(cell, report, between.get(cell.cut)) for cell in cells], hovertemplate=_template(name),
            marker={"size": 6 if symbol == "circle" else 8, "symbol": symbol, "color": colour},
            error_y=None if between else _bars(drops, height, colour),
        )
    )  # fmt: skip


def _bars(drops: Sequence[Estimate], height: Height, colour: str) -> dict[str, object]:
    up = [max(height(drop.low), height(drop.high)) - height(drop.value) for drop in drops]
    down = [height(drop.value) - min(height(drop.low), height(drop.high)) for drop in drops]
    return {"array": up, "arrayminus": down, "color": _transparent(colour, 0.6), "thickness": 1.2, "width": 3}


def _text(cell: CellResult, report: SensitivityReport, between: float | None = None) -> str:
    return "<br>".join(sweep_words.evidence_lines(report, cell, between))


def _template(name: str) -> str:
    return f"<b>{name}</b><br>%{{x:.4g}} % removed<br>%{{text}}<extra></extra>"


def _percent(cell: CellResult) -> float:
    return 100 * (cell.cut.sparsity or 0.0)


def _transparent(colour: str, opacity: float = 0.18) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
