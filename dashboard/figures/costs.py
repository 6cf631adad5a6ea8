"""Where the time goes: of every layer its share of the parameters, the FLOPs and the milliseconds."""

from collections.abc import Sequence

from plotly.graph_objects import Bar, Figure

from core import wording
from core.delivery.profile_report import LayerCost
from dashboard.theme import Palette

MOST = 40  # layers with a row of their own; of more, the small ones share the last row
ROW_PIXELS, EDGE_PIXELS = 30, 90


def costs_figure(layers: Sequence[LayerCost], colours: Palette, most: int = MOST) -> Figure:
    """Three bars a layer, in percent, layers from the top in the order given.

    Of more than `most` layers, those with the largest share of anything have a row; the others are one row, the last.
    A layer that was not timed has no bar for its milliseconds.
    """
    rows = _rows(layers, most)
    names = [name for name, _ in rows]
    whole_parameters = sum(layer.parameters for layer in layers)
    whole_flops = sum(layer.flops for layer in layers)
    kinds = (
        (
            "parameters",
            colours.lines[2],
            [_percent(sum(one.parameters for one in of), whole_parameters) for _, of in rows],
        ),
        ("FLOPs", colours.lines[3], [_percent(sum(one.flops for one in of), whole_flops) for _, of in rows]),
        ("milliseconds", colours.lines[1], [_time_percent(of) for _, of in rows]),
    )
    texts = {
        "parameters": [f"{sum(one.parameters for one in of):,}" for _, of in rows],
        "FLOPs": [f"{wording.flops_text(sum(one.flops for one in of))} an example" for _, of in rows],
        "milliseconds": [_time_text(of) for _, of in rows],
    }
    figure = Figure(
        [
            Bar(
                x=values, y=list(range(len(rows))), orientation="h", name=kind, marker={"color": colour},
                text=texts[kind], textposition="none", customdata=names,
                hovertemplate=f"<b>%{{customdata}}</b><br>{kind} %{{x:.1f}} %: %{{text}}<extra></extra>",
            )
            for kind, colour, values in kinds
        ]
    )  # fmt: skip
    figure.update_layout(
        height=EDGE_PIXELS + ROW_PIXELS * len(rows),
        margin={"l": 10, "r": 10, "t": 40, "b": 40},
        barmode="group",
        bargap=0.25,
        bargroupgap=0.0,
        uirevision="costs",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "yref": "paper", "x": 0, "traceorder": "normal"},
        xaxis={"title": {"text": "share of the model, %"}, "rangemode": "tozero", "zeroline": True},
        yaxis={
            "tickvals": list(range(len(rows))), "ticktext": names, "range": [len(rows) - 0.5, -0.5],
            "showgrid": False, "zeroline": False, "automargin": True,
        },
    )  # fmt: skip
    return figure


def _rows(layers: Sequence[LayerCost], most: int) -> list[tuple[str, Sequence[LayerCost]]]:
    if len(layers) <= most:
        return [(layer.name, [layer]) for layer in layers]
    parameters = sum(layer.parameters for layer in layers) or 1
    flops = sum(layer.flops for layer in layers) or 1.0

    def largest(i: int) -> float:
        return max(layers[i].parameters / parameters, layers[i].flops / flops, layers[i].share or 0.0)

    kept = set(sorted(range(len(layers)), key=largest, reverse=True)[: most - 1])
    others = [layer for i, layer in enumerate(layers) if i not in kept]
    rows: list[tuple[str, Sequence[LayerCost]]] = [(layers[i].name, [layers[i]]) for i in sorted(kept)]
    return [*rows, (f"{len(others)} others", others)]


def _percent(part: float, whole: float) -> float | None:
    return 100 * part / whole if whole else None


def _time_percent(layers: Sequence[LayerCost]) -> float | None:
    shares = [layer.share for layer in layers if layer.share is not None]
    return 100 * sum(shares) if shares else None


def _time_text(layers: Sequence[LayerCost]) -> str:
    seconds = [layer.seconds for layer in layers if layer.seconds is not None]
    return f"{wording.milliseconds_text(sum(seconds))} ms at batch {layers[0].batch:,}" if seconds else "not timed"
