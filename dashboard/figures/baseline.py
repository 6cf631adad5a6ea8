"""The dense model in a chart of its metric: the line to compare with, and the axis that both are read on."""

import math

from plotly.graph_objects import Figure

from core import numbers
from core.workload.scale import Scale
from dashboard.frame.theme import Palette


def add_dense(figure: Figure, scale: Scale, dense: float, colours: Palette, at_right: bool = False) -> None:
    """Draw the dense model's metric, in the metric's unit, across the figure, and title the axis of the metric.

    Its name stands where the curves are not: at the left, unless `at_right`.

    A mean of logarithms that is raised again, as a perplexity, gets a logarithmic axis.
    """
    y = scale.factor * dense
    figure.add_hline(y=y, line={"color": colours.dense, "dash": "dash", "width": 1.5})
    figure.add_annotation(
        x=int(at_right), xref="paper", xanchor="right" if at_right else "left", y=y, yanchor="bottom", showarrow=False,
        text=f"dense {numbers.metric_text(scale, dense)}", font={"color": colours.dense, "size": 11},
    )  # fmt: skip
    title = f"{scale.name}, %" if scale.unit == "fraction" else scale.name
    figure.update_yaxes(title={"text": title}, zeroline=False, automargin=True)
    if scale.aggregate == "exp_mean":
        # a perplexity that explodes would flatten all that matters
        ticks = [digit * 10.0**power for power in range(-3, 9) for digit in (1, 2, 5)]
        texts = [f"{tick:,.10g}" for tick in ticks]
        figure.update_yaxes(type="log", tickvals=ticks, ticktext=texts, title=f"{scale.name} (log scale)")
        figure.layout.annotations[-1].y = math.log10(y)  # annotations, unlike traces, want the exponent
