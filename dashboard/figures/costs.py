"""Where the time goes: the share of every layer; and milliseconds against width, the steps of a group."""

from collections.abc import Sequence
from dataclasses import dataclass

from plotly.graph_objects import Bar, Figure, Scatter

from core import numbers
from core.plans.costs.stairs import Stair
from core.profiling.report import LayerCost
from dashboard.figures.legend import above
from dashboard.frame.theme import Palette

MOST = 40  # layers with a row of their own; what the small ones of a larger model add up to is said below
ROW_PIXELS, EDGE_PIXELS = 30, 100
STAIRS_HEIGHT = 260
STAIRS_MARGIN = {"l": 10, "r": 10, "t": 40, "b": 50}
KINDS = ("parameters", "FLOPs", "milliseconds")
Shares = tuple[float | None, float | None, float | None]  # of each kind, in percent; `None`: not known


def costs_figure(layers: Sequence[LayerCost], colours: Palette, most: int = MOST) -> Figure:
    """Three bars a layer, in percent of the model, layers from the top in the order given.

    Of more than `most` layers, only those with the largest share of anything are drawn; what the others add up to
    stands below, for a bar of theirs would be so long that no other could be read. A layer that was not timed has no
    bar for its milliseconds.
    """
    shares = _shares(layers)
    largest = sorted(range(len(layers)), key=lambda i: max(share or 0.0 for share in shares[i]), reverse=True)
    drawn, left = sorted(largest[:most]), largest[most:]
    names = [layers[i].name for i in drawn]
    shade = dict(zip(KINDS, (colours.lines[2], colours.lines[3], colours.lines[1]), strict=True))
    figure = Figure(
        [
            Bar(
                x=[shares[i][k] for i in drawn], y=list(range(len(drawn))), orientation="h", name=kind,
                marker={"color": shade[kind], "line": {"width": 0}}, text=[_text(kind, layers[i]) for i in drawn],
                textposition="none", customdata=names,
                hovertemplate=f"<b>%{{customdata}}</b><br>{kind}: %{{x:.1f}} %, %{{text}}<extra></extra>",
            )
            for k, kind in enumerate(KINDS)
        ]
    )  # fmt: skip
    title = "share of the model, %" + (f"<br>{_others_text([shares[i] for i in left])}" if left else "")
    figure.update_layout(
        height=EDGE_PIXELS + ROW_PIXELS * len(drawn),
        margin={"l": 10, "r": 10, "t": 40, "b": 60},
        barmode="group",
        bargap=0.25,
        bargroupgap=0.0,
        uirevision="costs",
        legend=above() | {"traceorder": "normal"},
        xaxis={"title": {"text": title}, "rangemode": "tozero", "zeroline": False, "gridcolor": colours.muted},
        yaxis={
            "tickvals": list(range(len(drawn))), "ticktext": names, "range": [len(drawn) - 0.5, -0.5],
            "showgrid": False, "zeroline": False, "automargin": True,
        },
    )  # fmt: skip
    return figure


def _shares(layers: Sequence[LayerCost]) -> list[Shares]:
    parameters, flops = sum(layer.parameters for layer in layers), sum(layer.flops for layer in layers)
    return [
        (
            100 * layer.parameters / parameters if parameters else None,
            100 * layer.flops / flops if flops else None,
            None if layer.share is None else 100 * layer.share,
        )
        for layer in layers
    ]


def _text(kind: str, layer: LayerCost) -> str:
    if kind == "parameters":
        return f"{layer.parameters:,}"
    if kind == "FLOPs":
        return f"{numbers.flops_text(layer.flops)} an example"
    return "not timed" if layer.seconds is None else f"{numbers.milliseconds_text(layer.seconds)} ms a pass"


def _others_text(shares: Sequence[Shares]) -> str:
    sums = [sum(share for share in column if share is not None) for column in zip(*shares, strict=True)]
    parts = [f"{numbers.share_text(total / 100)} of the {kind}" for kind, total in zip(KINDS, sums, strict=True)]
    return f"{len(shares):,} smaller layers, not drawn: {', '.join(parts)}"


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
        height=STAIRS_HEIGHT, margin=STAIRS_MARGIN, uirevision="stairs", showlegend=True,
        legend=above(),
        xaxis={"title": {"text": f"{unit}s left"}, "zeroline": False, "showgrid": False, "rangemode": "tozero"},
        yaxis={
            "title": {"text": "ms of the whole model"}, "zeroline": False, "gridcolor": colours.muted,
            "automargin": True,
        },
    )  # fmt: skip
    return figure


def _colours(colours: Palette, n: int) -> list[str]:
    return [colours.lines[at % len(colours.lines)] for at in range(n)]
