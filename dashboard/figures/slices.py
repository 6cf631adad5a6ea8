"""Slices: the drop of each class, say, with its interval."""

from collections.abc import Sequence

from plotly.graph_objects import Figure, Scatter

from core import numbers
from core.sensitivity.slices import SliceDrop
from core.workload.scale import Scale
from dashboard.frame.theme import Palette

ROW_PIXELS, EDGE_PIXELS = 22, 70


def slices_figure(scale: Scale, drops: Sequence[SliceDrop], colours: Palette) -> Figure:
    """A row per slice, from the top in the order given: its drop as a point on its 95 % interval; 0 is the dense model.

    Slices without a drop are left out. Those whose interval holds 0 are quiet; of the others, the ones that came out
    worse are warm.
    """
    found = [(one, one.drop) for one in drops if one.drop is not None]
    marks = [
        colours.lines[1] if drop.low > 0 else colours.lines[0] if drop.high < 0 else colours.mark for _, drop in found
    ]
    figure = Figure(
        Scatter(
            x=[scale.factor * drop.value for _, drop in found],
            y=list(range(len(found))),
            error_x={
                "type": "data", "symmetric": False, "thickness": 1.5, "width": 3, "color": colours.dense,
                "array": [scale.factor * (drop.high - drop.value) for _, drop in found],
                "arrayminus": [scale.factor * (drop.value - drop.low) for _, drop in found],
            },
            mode="markers",
            marker={"size": 8, "color": marks},
            text=[f"drop {numbers.drop_with_interval(scale, drop)}" for _, drop in found],
            customdata=[str(one.value) for one, _ in found],
            hovertemplate="<b>%{customdata}</b><br>%{text}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        height=EDGE_PIXELS + ROW_PIXELS * len(found),
        margin={"l": 10, "r": 10, "t": 10, "b": 40},
        uirevision="slices",
        xaxis={"title": {"text": f"drop, {numbers.drop_unit(scale)}"}, "zeroline": True},
        yaxis={
            "tickvals": list(range(len(found))), "ticktext": [str(one.value) for one, _ in found],
            "range": [len(found) - 0.5, -0.5], "showgrid": False, "zeroline": False, "automargin": True,
        },
    )  # fmt: skip
    return figure
