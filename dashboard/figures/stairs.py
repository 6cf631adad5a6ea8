"""Milliseconds against width: the steps of one coupled group or attention, an engine a line."""

from collections.abc import Sequence
from dataclasses import dataclass

from plotly.graph_objects import Figure, Scatter

from core import numbers
from core.plans.costs.stairs import Stair
from dashboard.frame.theme import Palette

HEIGHT = 260
MARGIN = {"l": 10, "r": 10, "t": 40, "b": 50}


@dataclass(frozen=True)
class EngineLine:
    """What one engine makes of the widths of a target.

    Attributes:
        engine: its name.
        seconds: of the dense model.
        stair: as measured, the dense width with them.
    """

    engine: str
    seconds: float
    stair: Stair


def stairs_figure(lines: Sequence[EngineLine], unit: str, colours: Palette, width: int | None = None) -> Figure:
    """Milliseconds of the whole model at every width that was measured, with intervals; ends of steps are full marks.

    Args:
        lines: an engine each, of one target.
        unit: of the widths: `channel`, `neuron`, `head`.
        colours: of the theme.
        width: that the plan leaves now; `None` for no line there.
    """
    figure = Figure()
    for colour, line in zip(_colours(colours, len(lines)), lines, strict=True):
        ends, ms = set(line.stair.ends()), 1000 * line.seconds
        steps = line.stair.steps
        xs = line.stair.widths
        ys = [*(ms * step.ratio for step in steps), ms]
        told = [f"{numbers.ratio_text(step.ratio)} the dense model's" for step in steps] + ["dense"]
        figure.add_trace(
            Scatter(
                x=xs, y=ys, mode="lines+markers", name=line.engine, customdata=told,
                line={"color": colour, "width": 2, "shape": "linear"},
                marker={"size": 8, "color": colour, "symbol": ["circle" if x in ends else "circle-open" for x in xs]},
                error_y={
                    "type": "data", "symmetric": False, "thickness": 1, "width": 0, "color": colour,
                    "array": [*(ms * (step.high - step.ratio) for step in steps), 0.0],
                    "arrayminus": [*(ms * (step.ratio - step.low) for step in steps), 0.0],
                },
                hovertemplate=f"<b>{line.engine}</b><br>%{{x}} {unit}s: %{{y:.3g}} ms, %{{customdata}}<extra></extra>",
            )
        )  # fmt: skip
    if width is not None:
        figure.add_vline(x=width, line={"color": colours.muted, "width": 1.5, "dash": "dot"})
    figure.update_layout(
        height=HEIGHT, margin=MARGIN, uirevision="stairs", showlegend=True,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        xaxis={"title": {"text": f"{unit}s left"}, "zeroline": False, "showgrid": False, "rangemode": "tozero"},
        yaxis={
            "title": {"text": "ms of the whole model"}, "zeroline": False, "gridcolor": colours.muted,
            "automargin": True,
        },
    )  # fmt: skip
    return figure


def _colours(colours: Palette, n: int) -> list[str]:
    return [colours.lines[at % len(colours.lines)] for at in range(n)]
