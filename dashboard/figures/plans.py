"""Quality against cost: every measured plan with its interval, and apart from them the plan that is being made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plotly.graph_objects import Figure, Scatter

from core import numbers
from core.plans.front import front
from core.plans.prediction import Prediction
from core.sensitivity.report import Estimate
from core.workload.scale import Scale
from dashboard.figures.legend import above
from dashboard.frame.theme import Palette

HEIGHT = 380
MEASURED, FRONT, PRESENT = "measured", "Pareto front, measured", "plan above, predicted"


@dataclass(frozen=True)
class MeasuredPoint:
    """A plan that was measured.

    Attributes:
        name: as a person reads it.
        maker: who made it, in words.
        form: `"masked"` or `"shrunk"`.
        cost: fraction of the dense model's that is left, in [0, 1].
        drop: measured, paired, in the metric's unit.
    """

    name: str
    maker: str
    form: str
    cost: float
    drop: Estimate


@dataclass(frozen=True)
class PredictedPoint:
    """The plan that is being made, which nobody has measured."""

    cost: float
    prediction: Prediction


def plans_figure(
    measured: Sequence[MeasuredPoint], present: PredictedPoint | None, scale: Scale, label: str, colours: Palette
) -> Figure:
    """Drop by what is left of a cost; the better a plan, the further up and left.

    Measured plans are dots with their 95 % interval; those to which no other is preferable are joined. The predicted
    one is an open diamond with a dotted interval: it is on no front, for it was not measured.

    Args:
        measured: in any order.
        present: `None` where nothing is predicted.
        scale: of the metric.
        label: of the cost, e.g. `"non-zeros"`.
        colours: of the theme.
    """
    best = front([(point.cost, point.drop.value) for point in measured])
    traces = [
        Scatter(
            x=[100 * measured[i].cost for i in best], y=[scale.factor * measured[i].drop.value for i in best],
            mode="lines", name=FRONT, line={"color": colours.lines[0], "width": 1.5, "shape": "hv"}, hoverinfo="skip",
        ),
        Scatter(
            x=[100 * point.cost for point in measured], y=[scale.factor * point.drop.value for point in measured],
            error_y=_bars(scale, [(p.drop.value, p.drop.low, p.drop.high) for p in measured], colours.dense),
            mode="markers", name=MEASURED, text=[_text(scale, point, label) for point in measured],
            hovertemplate="%{text}<extra></extra>",
            marker={
                "color": [colours.lines[0] if i in best else colours.dense for i in range(len(measured))], "size": 9,
            },
        ),
    ]  # fmt: skip
    if present is not None:
        found = present.prediction
        traces.append(
            Scatter(
                x=[100 * present.cost], y=[scale.factor * found.drop], mode="markers", name=PRESENT,
                error_y=_bars(scale, [(found.drop, found.drop_low, found.drop_high)], colours.lines[1], 1),
                marker={
                    "symbol": "diamond-open", "color": colours.lines[1], "size": 13, "line": {"width": 2},
                },
                text=[_predicted_text(scale, present, label)], hovertemplate="%{text}<extra></extra>",
            )
        )  # fmt: skip
    figure = Figure(traces)
    figure.update_layout(
        height=HEIGHT,
        showlegend=True,  # also of one mark alone: what it is must be said
        margin={"l": 10, "r": 10, "t": 40, "b": 50},
        uirevision=f"plans {label}",
        legend=above(),
        xaxis={"title": {"text": f"{label} left, %"}, "rangemode": "tozero"},
        yaxis={
            "title": {"text": f"drop, {numbers.drop_unit(scale)}"}, "autorange": "reversed", "zeroline": True,
            "zerolinecolor": colours.dense, "automargin": True,
        },
    )  # fmt: skip
    return figure


def _bars(
    scale: Scale, found: Sequence[tuple[float, float, float]], colour: str, thickness: float = 1.2
) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [scale.factor * (high - value) for value, _, high in found],
        "arrayminus": [scale.factor * (value - low) for value, low, _ in found],
        "color": colour,
        "thickness": thickness,
        "width": 3,
    }


def _text(scale: Scale, point: MeasuredPoint, label: str) -> str:
    drop = numbers.drop_with_interval(scale, point.drop)
    return (
        f"<b>{point.name}</b><br>made by: {point.maker}; measured {point.form}<br>drop {drop}<br>"
        f"{numbers.share_text(point.cost)} of the {label} left"
    )


def _predicted_text(scale: Scale, point: PredictedPoint, label: str) -> str:
    found = point.prediction
    low, high = (numbers.drop_text(scale, bound) for bound in (found.drop_low, found.drop_high))
    drop = f"{numbers.drop_text(scale, found.drop)} {numbers.drop_unit(scale)} [{low}, {high}]"
    guess = "".join(f"<br>? {guess}" for guess in found.guesses)
    share = numbers.share_text(point.cost)
    return f"<b>the plan above</b>, predicted, not measured<br>drop {drop}<br>{share} of the {label} left{guess}"
