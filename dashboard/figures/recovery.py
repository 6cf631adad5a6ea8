"""Charts of a recovery: the schedule before it starts, the losses, and what every round made of the metric."""

from collections.abc import Mapping, Sequence

from plotly.graph_objects import Figure, Scatter

from core import numbers
from core.recovery.history import Round
from core.sensitivity.report import Estimate
from core.workload.scale import Scale
from dashboard.figures.baseline import add_dense
from dashboard.figures.legend import above
from dashboard.frame.theme import Palette

SCHEDULE_HEIGHT, CHART_HEIGHT = 240, 360
FEW_ROUNDS, MANY_NUMBERS = 5, 12  # rounds whose words, or numbers, fit above their losses
BEFORE, AFTER, BEST = "after the cut, untrained", "after training", "best within the tolerance"


def schedule_figure(sparsities: Sequence[float], colours: Palette, initial: float = 0.0) -> Figure:
    """What is to be gone after every round: steps, for all of a round is cut before it trains.

    Args:
        sparsities: after each round, in [0, 1).
        colours: of the theme.
        initial: before the first, in [0, 1).
    """
    values = [100 * value for value in (initial, *sparsities)]
    figure = Figure(
        Scatter(
            x=list(range(len(values))), y=values, mode="lines+markers", name="planned",
            line={"color": colours.lines[0], "width": 2, "shape": "vh"}, marker={"size": 6},
            hovertemplate="round %{x}: %{y:.4g} % gone, planned<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        height=SCHEDULE_HEIGHT,
        margin={"l": 10, "r": 10, "t": 10, "b": 40},
        showlegend=False,
        xaxis={"title": {"text": "round"}, "dtick": max(1, len(sparsities) // 10), "zeroline": False},
        yaxis={"title": {"text": "planned sparsity, %"}, "range": [0, 100], "automargin": True},
    )
    return figure


def loss_figure(losses: Sequence[tuple[int, int, float]], n_steps: Mapping[int, int], colours: Palette) -> Figure:
    """Loss of single training batches, a curve per round, the rounds one behind the other.

    Args:
        losses: iteration, step of that round, loss; both counted from 1.
        n_steps: optimiser steps of the rounds that are done, by iteration; of the others the last one told of counts.
        colours: of the theme.
    """
    by_round: dict[int, list[tuple[int, float]]] = {}
    for iteration, step, loss in losses:
        by_round.setdefault(iteration, []).append((step, loss))
    figure, before, n_rounds = Figure(), 0, max([*by_round, *n_steps], default=0)
    for iteration in range(1, n_rounds + 1):
        points = by_round.get(iteration, [])
        if points:
            figure.add_trace(
                Scatter(
                    x=[before + step for step, _ in points], y=[loss for _, loss in points],
                    mode="lines" if len(points) > 1 else "markers",
                    name=f"round {iteration}", text=[f"step {step:,} of its round" for step, _ in points],
                    line={"color": colours.lines[(iteration - 1) % len(colours.lines)], "width": 1.5},
                    hovertemplate=f"<b>round {iteration}</b>, %{{text}}<br>loss of its batch %{{y:.4g}}<extra></extra>",
                )
            )  # fmt: skip
            if (n_rounds - iteration) % -(-n_rounds // MANY_NUMBERS) == 0:
                figure.add_annotation(
                    x=before + (points[0][0] + points[-1][0]) / 2, y=1, yref="paper", yanchor="bottom", showarrow=False,
                    text=f"round {iteration}" if iteration == n_rounds or n_rounds <= FEW_ROUNDS else str(iteration),
                    font={"color": colours.lines[(iteration - 1) % len(colours.lines)], "size": 12},
                )  # fmt: skip
        before += n_steps.get(iteration, points[-1][0] if points else 0)
    figure.update_layout(
        height=CHART_HEIGHT,
        margin={"l": 10, "r": 30, "t": 30, "b": 40},
        showlegend=False,  # the rounds have their numbers above them
        uirevision="losses",
        xaxis={"title": {"text": "optimiser steps"}, "rangemode": "tozero", "zeroline": False},
        yaxis={"title": {"text": "training loss"}, "automargin": True, "zeroline": False},
    )
    return figure


def degradation_figure(
    scale: Scale, dense: Estimate, history: Sequence[Round], best: int | None, colours: Palette
) -> Figure:
    """The metric by sparsity, before and after training of every round, all measured, with 95 % intervals.

    Args:
        scale: of the metric.
        dense: the dense model's metric.
        history: rounds that are done.
        best: iteration of the best round within the tolerance; `None` marks none.
        colours: of the theme.
    """
    figure = Figure()
    rounds = [(row, row.before, row.after) for row in history]
    trained = [(row, before, after) for row, before, after in rounds if before is not None and after is not None]
    # each round begins with what the one before has trained: a line through the untrained points would be no curve
    figure.add_trace(
        Scatter(
            x=[at for row, _, _ in trained for at in (100 * row.sparsity, 100 * row.sparsity, None)],
            y=[at for _, *both in trained for at in (*(scale.factor * one.value for one in both), None)],
            mode="lines", name="regained", hoverinfo="skip", showlegend=False,
            line={"color": colours.lines[1], "width": 1.5, "dash": "dot"},
        )
    )  # fmt: skip
    for name, colour, symbol, mode, measured in (
        (BEFORE, colours.lines[1], "circle-open", "markers", [(row, row.before) for row in history]),
        (AFTER, colours.lines[0], "circle", "lines+markers", [(row, row.after) for row in history]),
    ):
        known = [(row, found) for row, found in measured if found is not None]
        figure.add_trace(
            Scatter(
                x=[100 * row.sparsity for row, _ in known], y=[scale.factor * found.value for _, found in known],
                error_y=_bars(scale, [found for _, found in known], colour), mode=mode, name=name,
                line={"color": colour, "width": 2}, marker={"symbol": symbol, "size": 8, "color": colour},
                text=[_text(scale, row, found, name) for row, found in known], hovertemplate="%{text}<extra></extra>",
            )
        )  # fmt: skip
    marked = [(row, row.after) for row in history if row.iteration == best and row.after is not None]
    if marked:
        figure.add_trace(
            Scatter(
                x=[100 * row.sparsity for row, _ in marked], y=[scale.factor * after.value for _, after in marked],
                mode="markers", name=BEST, hoverinfo="skip",
                marker={"symbol": "circle-open", "size": 17, "color": colours.chosen, "line": {"width": 2}},
            )
        )  # fmt: skip
    figure.update_layout(
        height=CHART_HEIGHT,
        margin={"l": 10, "r": 10, "t": 30, "b": 40},
        showlegend=True,
        uirevision="degradation",
        legend=above(),
        xaxis={"title": {"text": "sparsity, %"}, "range": [0, 100], "zeroline": False},
    )
    add_dense(figure, scale, dense.value, colours, at_right=True)
    return figure


def _bars(scale: Scale, found: Sequence[Estimate], colour: str) -> dict[str, object]:
    return {
        "type": "data", "symmetric": False, "color": colour, "thickness": 1.2, "width": 3,
        "array": [scale.factor * (one.high - one.value) for one in found],
        "arrayminus": [scale.factor * (one.value - one.low) for one in found],
    }  # fmt: skip


def _text(scale: Scale, row: Round, found: Estimate, name: str) -> str:
    lines = [
        f"<b>round {row.iteration}</b>, {name}",
        f"{numbers.share_text(row.sparsity)} of the weights gone",
        f"{scale.name} {numbers.metric_with_interval(scale, found)}",
    ]
    if name == AFTER and row.drop is not None:
        lines.append(f"drop {numbers.drop_with_interval(scale, row.drop)}, paired")
    return "<br>".join(lines)
