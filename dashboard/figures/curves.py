"""Curves: a target's metric against sparsity, with its interval and the dense baseline."""

import math
from collections.abc import Callable, Mapping, Sequence

from plotly.graph_objects import Figure, Scatter

from core import wording
from core.sensitivity.report import CellResult, SensitivityReport
from dashboard.theme import Palette

HEIGHT = 360


def curves_by_target(cells: Sequence[CellResult]) -> dict[str, tuple[CellResult, ...]]:
    """Measured weight cells of each target, sparsity ascending, targets in network order."""
    found: dict[str, list[CellResult]] = {}
    for cell in cells:
        if cell.cut.granularity == "weight" and cell.drop is not None:
            found.setdefault(cell.cut.target, []).append(cell)
    return {name: tuple(sorted(group, key=lambda cell: cell.cut.sparsity or 0.0)) for name, group in found.items()}


def curves_figure(
    report: SensitivityReport, curves: Mapping[str, Sequence[CellResult]], chosen: Sequence[str], colours: Palette
) -> Figure:
    """Chosen targets in colour with their bands; all others behind them as one quiet trace.

    The band is the paired 95 % interval of the drop, hung below the dense baseline: it says how far the cut model is
    from the dense one, which is known much better than either alone.
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
            quiet_x += [0.0, *(100 * (c.cut.sparsity or 0.0) for c in cells), None]
            quiet_y += [height(0.0), *(height(c.drop.value) for c in cells if c.drop), None]
    figure.add_trace(
        Scatter(
            x=quiet_x, y=quiet_y, mode="lines", line={"color": colours.muted, "width": 1}, name="other layers",
            hoverinfo="skip",
        )
    )  # fmt: skip
    for i, name in enumerate(name for name in chosen if name in curves):
        _add_curve(figure, name, curves[name], height, report, colours.lines[i % len(colours.lines)])
    baseline = wording.metric_text(scale, dense)
    figure.add_hline(y=height(0.0), line={"color": colours.dense, "dash": "dash", "width": 1.5})
    figure.add_annotation(
        x=0, xref="paper", xanchor="left", y=height(0.0), yanchor="bottom", showarrow=False, text=f"dense {baseline}",
        font={"color": colours.dense, "size": 11},
    )  # fmt: skip
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 10, "r": 10, "t": 20, "b": 70},
        uirevision=report.run,
        hovermode="closest",
        legend={"orientation": "h", "yanchor": "top", "y": -0.24, "x": 0},
        xaxis={"title": {"text": "sparsity, %"}, "range": [0, 100], "zeroline": False},
        yaxis={
            "title": {"text": f"{scale.name}, %" if scale.unit == "fraction" else scale.name}, "zeroline": False,
            "automargin": True,
        },
    )  # fmt: skip
    if scale.aggregate == "exp_mean":
        # a perplexity that explodes would flatten all that matters
        ticks = [digit * 10.0**power for power in range(-3, 9) for digit in (1, 2, 5)]
        texts = [f"{tick:,.10g}" for tick in ticks]
        figure.update_yaxes(type="log", tickvals=ticks, ticktext=texts, title=f"{scale.name} (log scale)")
        figure.layout.annotations[-1].y = math.log10(height(0.0))  # annotations, unlike traces, want the exponent
    return figure


def _add_curve(
    figure: Figure,
    name: str,
    cells: Sequence[CellResult],
    height: Callable[[float], float],
    report: SensitivityReport,
    colour: str,
) -> None:
    drops = [cell.drop for cell in cells if cell.drop is not None]
    x = [0.0, *(100 * (cell.cut.sparsity or 0.0) for cell in cells)]
    y = [height(0.0), *(height(drop.value) for drop in drops)]
    edge_a = [height(0.0), *(height(drop.low) for drop in drops)]
    edge_b = [height(0.0), *(height(drop.high) for drop in drops)]
    texts = ["dense", *(f"drop {wording.drop_with_interval(report.scale, drop)}" for drop in drops)]
    figure.add_trace(
        Scatter(
            x=[*x, *reversed(x)], y=[*edge_a, *reversed(edge_b)], fill="toself", fillcolor=_transparent(colour),
            line={"width": 0}, mode="lines", hoverinfo="skip", showlegend=False, name=f"{name} interval",
        )
    )  # fmt: skip
    figure.add_trace(
        Scatter(
            x=x, y=y, mode="lines+markers", name=name, text=texts, line={"color": colour, "width": 2},
            marker={"size": 6},
            hovertemplate=f"<b>{name}</b><br>%{{x:.4g}} % removed<br>%{{text}}<extra></extra>",
        )
    )  # fmt: skip


def _transparent(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.18)"
