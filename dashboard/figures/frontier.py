"""Quality against milliseconds or bytes of plans for several budgets, with the dense model and who is dominated."""

from typing import Any

from plotly.graph_objects import Figure, Scatter

from core import numbers
from core.profiling.frontier import frontier_words as words
from core.profiling.frontier.report import DENSE, Axis, FrontierReport
from core.sensitivity.report import Estimate
from dashboard.figures.legend import above
from dashboard.frame.theme import Palette

HEIGHT = 420
FRONT = "front"
SYMBOLS = {"solver": "circle", "uniform": "square", "lamp": "diamond", "erk": "triangle-up", DENSE: "star"}


def shown(report: FrontierReport, axis: Axis) -> dict[str, list[int]]:
    """Positions of the points that stand on the chart, by maker, in the order of its traces; -1 is the dense model."""
    found: dict[str, list[int]] = {}
    if report.dense_place(axis) is not None:
        found[DENSE] = [-1]
    for i, point in enumerate(report.points):
        if report.quality(point) is not None and report.place(point, axis) is not None:
            found.setdefault(point.maker, []).append(i)
    return found


def clicked(report: FrontierReport, axis: Axis, curve: int, row: int) -> int | None:
    """Which point a click was on; `None` where it was on no plan."""
    traces = list(shown(report, axis).values())
    hit = traces[curve][row] if curve < len(traces) and row < len(traces[curve]) else -1
    return hit if hit >= 0 else None


def frontier_figure(report: FrontierReport, axis: Axis, colours: Palette) -> Figure:
    """Drop by what a plan takes on the engine; the better, the further up and left. 95 % intervals on both axes.

    A trace for each maker, in the order of `shown`, then the line through those that nobody dominates, and the legend,
    which has each maker's own colour, though its first point may be grey. Dominated points are grey, hollow where their
    intervals and those of the better one overlap.

    Args:
        report: with what was measured so far.
        axis: milliseconds, bytes or compressed bytes.
        colours: of the theme.
    """
    standings = report.standings(axis)
    traces, front, legend = [], [], []
    for number, (maker, positions) in enumerate(shown(report, axis).items()):
        own = colours.chosen if maker == DENSE else colours.lines[(number - 1) % len(colours.lines)]
        costs = [_cost(report, i, axis) for i in positions]
        drops = [_drop(report, i) for i in positions]
        front += [
            (cost.value, drop.value)
            for i, cost, drop in zip(positions, costs, drops, strict=True)
            if i not in standings
        ]
        symbol = SYMBOLS.get(maker, "circle")
        hollow = [i in standings and not standings[i].told_apart for i in positions]
        faint = [i in standings and standings[i].told_apart for i in positions]
        factor = report.scale.factor
        traces.append(
            Scatter(
                x=[cost.value for cost in costs], y=[factor * drop.value for drop in drops],
                error_x=_bars(costs, 1.0, colours.muted), error_y=_bars(drops, factor, colours.muted),
                mode="markers", name=words.MAKER_NAMES[maker], showlegend=False, legendgroup=maker,
                text=[_text(report, i, axis) for i in positions], hovertemplate="%{text}<extra></extra>",
                marker={
                    "symbol": [f"{symbol}-open" if one else symbol for one in hollow], "size": 10,
                    "color": [colours.mark if i in standings else own for i in positions],
                    "opacity": [0.55 if one else 1.0 for one in faint],
                },
            )
        )  # fmt: skip
        legend.append(
            Scatter(
                x=[None], y=[None], mode="markers", name=words.MAKER_NAMES[maker], legendgroup=maker,
                marker={"symbol": symbol, "size": 10, "color": own},
            )
        )  # fmt: skip
    front.sort()
    traces.append(
        Scatter(
            x=[cost for cost, _ in front], y=[report.scale.factor * drop for _, drop in front],
            mode="lines", name=FRONT,
            line={"color": colours.dense, "width": 1.2, "shape": "hv", "dash": "dot"}, hoverinfo="skip",
        )
    )  # fmt: skip
    figure = Figure([*traces, *legend])
    unit = words.AXIS_NAMES[axis]
    figure.update_layout(
        height=HEIGHT,
        showlegend=True,
        margin={"l": 10, "r": 10, "t": 40, "b": 50},
        uirevision=f"frontier {axis}",
        legend=above(),
        xaxis={"title": {"text": f"{unit} on {report.engine}, batch {report.batch:,}"}, "rangemode": "tozero"},
        yaxis={
            "title": {"text": f"drop, {numbers.drop_unit(report.scale)}"}, "autorange": "reversed", "zeroline": True,
            "zerolinecolor": colours.dense, "automargin": True,
        },
    )  # fmt: skip
    return figure


def _cost(report: FrontierReport, i: int, axis: Axis) -> Estimate:
    found = report.dense_place(axis) if i < 0 else report.place(report.points[i], axis)
    assert found is not None, "only what was measured is shown"
    return found


def _drop(report: FrontierReport, i: int) -> Estimate:
    found = Estimate(0.0, 0.0, 0.0, report.n) if i < 0 else report.quality(report.points[i])
    assert found is not None, "only what was measured is shown"
    return found


def _bars(found: list[Estimate], factor: float, colour: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [factor * (one.high - one.value) for one in found],
        "arrayminus": [factor * (one.value - one.low) for one in found],
        "color": colour,
        "thickness": 1.2,
        "width": 3,
    }


def _text(report: FrontierReport, i: int, axis: Axis) -> str:
    standing = words.standing_text(report, report.standings(axis).get(i))
    if i < 0:
        seconds = report.dense_seconds
        time = f"{numbers.milliseconds_text(seconds)} ms" if seconds else "not timed"
        return f"<b>the dense model</b><br>{time}, {numbers.bytes_text(report.bytes)}<br>{standing}"
    point = report.points[i]
    drop, trained = _drop(report, i), ", fine-tuned" if report.recover else ""
    return (
        f"<b>{words.MAKER_NAMES[point.maker]}, budget {numbers.share_text(point.budget)}</b>: plan {point.plan}<br>"
        f"drop {numbers.drop_with_interval(report.scale, drop)}{trained}<br>"
        f"{words.milliseconds_text(report, point)} ms; {words.ratio_text(point)}<br>"
        f"{numbers.bytes_text(point.bytes)}, compressed {numbers.bytes_text(point.compressed)}<br>{standing}"
    )
