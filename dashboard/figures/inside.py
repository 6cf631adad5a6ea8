"""Inside a plan: what each row gives back there beside what it costs alone, and where the damage starts."""

from collections.abc import Mapping, Sequence

from plotly.graph_objects import Bar, Figure, Scatter

from core import numbers
from core.plans import cut_words
from core.plans.plan import Cut
from core.sensitivity.inside import undo_words
from core.sensitivity.inside.report import Distance, PlaceDamage, UndoReport
from core.sensitivity.report import Estimate
from dashboard.figures.legend import above
from dashboard.figures.map_marks import PALE
from dashboard.frame.theme import Palette

ROW_PIXELS, MARGIN_PIXELS = 26, 90
LEAST_PIXELS = 220
LABEL_LETTERS = 34  # of a long path the end says more


def undo_figure(report: UndoReport, alone: Mapping[Cut, Estimate], colours: Palette) -> Figure:
    """Bars with intervals, in the order of the map, the first on top; pale where the interval holds 0.

    Args:
        report: with rows.
        alone: the drop of a row's cut alone, from the dense model, where a sweep measured it; an open circle.
        colours: of the theme.
    """
    factor, unit = report.scale.factor, numbers.drop_unit(report.scale)
    rows = [row for row in report.ordered() if row.back.change is not None]
    names = [f"{_short(cut_words.cut_text(row.cut))} " for row in rows]
    changes = [row.back.change for row in rows if row.back.change is not None]
    figure = Figure(
        Bar(
            orientation="h",
            y=list(range(len(rows))),
            x=[factor * one.value for one in changes],
            error_x={
                "array": [factor * (one.high - one.value) for one in changes],
                "arrayminus": [factor * (one.value - one.low) for one in changes],
                "color": colours.chosen,
                "thickness": 1.2,
                "width": 3,
            },
            marker={"color": colours.lines[0], "opacity": [1.0 if row.back.is_sure else PALE for row in rows]},
            text=[undo_words.worth_text(report, row) for row in rows],
            textposition="none",
            hovertemplate="%{text}<extra></extra>",
            name="given back, inside the plan",
        )
    )
    swept = [(i, alone[row.cut]) for i, row in enumerate(rows) if row.cut in alone]
    if swept:
        figure.add_trace(
            Scatter(
                mode="markers",
                y=[i for i, _ in swept],
                x=[factor * one.value for _, one in swept],
                marker={"symbol": "circle-open", "size": 9, "color": colours.lines[1], "line": {"width": 2}},
                text=[f"alone: {numbers.drop_with_interval(report.scale, one)}" for _, one in swept],
                hovertemplate="%{text}<extra></extra>",
                name="the cut alone, from the dense model",
            )
        )
    figure.update_layout(
        height=max(LEAST_PIXELS, MARGIN_PIXELS + ROW_PIXELS * len(rows)),
        margin={"l": 10, "r": 16, "t": 34, "b": 44},
        bargap=0.35,
        uirevision=report.run,
        legend=above(),
        showlegend=True,
        xaxis={
            "title": {"text": f"gains, {unit}"}, "zeroline": True, "zerolinecolor": colours.dense, "automargin": True,
        },
        yaxis={
            "tickvals": list(range(len(rows))), "ticktext": names, "range": [len(rows) - 0.4, -0.6],
            "automargin": True, "showgrid": False, "zeroline": False,
        },
    )  # fmt: skip
    return figure


def damage_figure(damage: Sequence[PlaceDamage], colours: Palette) -> Figure:
    """How far outputs are from the dense model's, layer by layer: alone as bars, accumulated as a line.

    Args:
        damage: with at least one place; blocks are left out where layers are known.
        colours: of the theme.
    """
    places = [place for place in damage if place.kind == "layer"] or list(damage)
    at = list(range(len(places)))
    hover = [_hover(place) for place in places]
    figure = Figure(
        [
            Bar(
                x=at,
                y=[_percent(place.alone) for place in places],
                marker={"color": colours.lines[1]}, text=hover, textposition="none",
                hovertemplate="%{text}<extra></extra>", name="alone: only its own rows cut",
            ),
            Scatter(
                x=at, y=[_percent(place.whole) for place in places],
                mode="lines+markers", line={"color": colours.lines[0], "width": 2}, text=hover,
                hovertemplate="%{text}<extra></extra>", name="accumulated: the whole plan",
            ),
        ]
    )  # fmt: skip
    figure.update_layout(
        height=360,
        margin={"l": 10, "r": 16, "t": 34, "b": 10},
        legend=above(),
        xaxis={
            "tickvals": at, "ticktext": [_short(place.name) for place in places], "tickangle": -60, "showgrid": False,
            "automargin": True, "zeroline": False,
        },
        yaxis={"title": {"text": "relative error of the output, %"}, "rangemode": "tozero", "automargin": True},
    )  # fmt: skip
    return figure


def _percent(distance: Distance | None) -> float | None:
    return None if distance is None or distance.error is None else 100 * distance.error


def _hover(place: PlaceDamage) -> str:
    alone, whole, cosine_alone, cosine_whole = undo_words.distance_texts(place)
    return f"{place.name}<br>error {whole}, alone {alone}<br>cosine {cosine_whole}, alone {cosine_alone}"


def _short(name: str) -> str:
    return name if len(name) <= LABEL_LETTERS else f"…{name[1 - LABEL_LETTERS :]}"
