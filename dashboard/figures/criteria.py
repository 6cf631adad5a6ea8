"""Criteria side by side: targets × criteria, how much each target can lose within the tolerance by each."""

from collections.abc import Sequence

from plotly.graph_objects import Figure, Heatmap, Scatter

from core import numbers
from core.plans.criteria import FACTS
from core.sensitivity import sweep_words
from core.sensitivity.criteria_comparison import CriterionCurve, TargetComparison
from dashboard.figures.map_marks import KEY_PIXELS, MIN_PIXELS, ROW_PIXELS
from dashboard.frame.theme import Palette

EDGE_PIXELS = 60


def criteria_figure(
    compared: Sequence[TargetComparison], criteria: Sequence[str], colours: Palette, chosen: str | None = None
) -> Figure:
    """A map: a row per target in network order, a column per criterion, the calmer the more can go.

    Args:
        compared: the rows.
        criteria: the columns.
        colours: of the theme.
        chosen: the target whose row is framed.
    """
    curves = [[one.curve(name) for name in criteria] for one in compared]
    names = [one.target for one in compared]
    texts = [[_text(one, name) for name in criteria] for one in compared]
    bare = [(r, c) for r, row in enumerate(curves) for c, curve in enumerate(row) if curve and _reach(curve) is None]
    hover = [
        [_hover(one, name, curve) for name, curve in zip(criteria, row, strict=True)]
        for one, row in zip(compared, curves, strict=True)
    ]
    height = max(MIN_PIXELS, ROW_PIXELS * len(names))
    shades = tuple(reversed(colours.shades.worse))
    figure = Figure(
        Heatmap(
            z=[[_reach(curve) for curve in row] for row in curves],
            text=texts, texttemplate="%{text}", hovertext=hover,
            hovertemplate="%{hovertext}<extra></extra>", zmin=0, zmax=100, xgap=2, ygap=2, hoverongaps=False,
            colorscale=[(i / (len(shades) - 1), shade) for i, shade in enumerate(shades)],
            colorbar={
                "title": {"text": "largest sparsity within the tolerance, %", "side": "right"}, "thickness": 12,
                "outlinewidth": 0, "lenmode": "pixels", "len": min(KEY_PIXELS, height), "y": 1, "yanchor": "top",
            },
        )
    )  # fmt: skip
    if bare:  # on no colour, so that no contrast is found for them
        rows, columns = zip(*bare, strict=True)
        marks = [sweep_words.reach_text(compared[r], criteria[c]) for r, c in bare]
        figure.add_trace(
            Scatter(
                x=columns, y=rows, text=marks, mode="text", textfont={"color": colours.mark}, hoverinfo="skip",
                showlegend=False,
            )
        )  # fmt: skip
    if chosen in names:
        row = names.index(chosen)
        figure.add_shape(
            type="rect", x0=-0.5, x1=len(criteria) - 0.5, y0=row - 0.5, y1=row + 0.5,
            line={"color": colours.chosen, "width": 2},
        )  # fmt: skip
    axis = {"showgrid": False, "zeroline": False}
    figure.update_layout(
        height=EDGE_PIXELS + height,
        margin={"l": 10, "r": 10, "t": 30, "b": 12},
        uirevision="criteria",
        xaxis={
            **axis, "side": "top", "tickvals": list(range(len(criteria))), "ticktext": list(criteria),
            "range": [-0.5, len(criteria) - 0.5],
        },
        yaxis={
            **axis, "tickvals": list(range(len(names))), "ticktext": names, "range": [len(names) - 0.5, -0.5],
            "automargin": True,
        },
    )  # fmt: skip
    return figure


def _reach(curve: CriterionCurve | None) -> float | None:
    """In percent; `None` where it has no meaning, or the examples cannot tell: a colour would call it bad."""
    return None if curve is None or curve.largest is None or not curve.decided else 100 * curve.largest


def _text(one: TargetComparison, criterion: str) -> str:
    curve = one.curve(criterion)
    if _reach(curve) is None:
        return ""
    text = sweep_words.reach_text(one, criterion)
    return f"<b>{text}</b>" if criterion == one.best else text


def _hover(one: TargetComparison, criterion: str, curve: CriterionCurve | None) -> str:
    head = f"<b>{one.target}</b> by {criterion}"
    if curve is None:
        return f"{head}<br>not measured"
    if curve.reason is not None:
        return f"{head}<br>{curve.reason}"
    if curve.largest is None:
        return f"{head}<br>nothing is known yet"
    if not curve.decided:
        return f"{head}<br>the examples cannot tell whether even the lowest sparsity is within the tolerance"
    lines = [head, f"within the tolerance up to {numbers.sparsity_text(curve.largest)}, interval and all"]
    if criterion == one.best:
        lines.append("the best of them")
    elif criterion in one.as_good:
        lines.append(f"the intervals cannot tell it from {one.best}")
    return "<br>".join([*lines, FACTS[criterion].meaning])
