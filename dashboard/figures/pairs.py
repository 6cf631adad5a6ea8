"""Interactions: cuts × cuts, what two cost together beyond what they cost alone."""

from collections.abc import Sequence

from plotly.graph_objects import Figure, Heatmap

from core import numbers
from core.plans.plan import Cut
from core.sensitivity import sweep_words
from core.sensitivity.maps.marks import MARKS
from core.sensitivity.pairs import PairResult, PairsReport
from dashboard.figures.map_marks import KEY_PIXELS, MIN_PIXELS, PALE, ROW_PIXELS, draw_marks
from dashboard.frame.theme import Palette

LABEL_PIXELS = 7  # of a letter, upright above its column


def pairs_figure(report: PairsReport, colours: Palette) -> Figure:
    """A symmetric map, rows and columns in network order, colours even around 0.

    A pair whose interval holds 0 is pale and marked, one without effect or that failed has a mark and no colour; the
    diagonal is empty, for a cut has no interaction with itself.
    """
    cuts = [part.cut for part in report.parts]
    names = [cut.target for cut in cuts]
    placed = _placed(cuts, report.pairs)
    of = report.scale.factor
    values = [of * pair.interaction.value for pair in report.pairs if pair.interaction is not None]
    most = max(map(abs, values), default=0.0) or 1.0
    hover = [[""] * len(cuts) for _ in cuts]
    for (r, c), pair in placed.items():
        hover[r][c] = "<br>".join(sweep_words.pair_lines(report.scale, pair))
    shades = colours.less_to_more
    height = max(MIN_PIXELS, ROW_PIXELS * len(cuts))
    common = {
        "text": hover, "hovertemplate": "%{text}<extra></extra>", "zmin": -most, "zmax": most, "xgap": 1, "ygap": 1,
        "colorscale": [(i / (len(shades) - 1), shade) for i, shade in enumerate(shades)], "hoverongaps": False,
    }  # fmt: skip
    key = {
        "title": {"text": f"interaction, {numbers.drop_unit(report.scale)}", "side": "right"}, "thickness": 12,
        "outlinewidth": 0, "lenmode": "pixels", "len": min(KEY_PIXELS, height), "y": 1, "yanchor": "top",
    }  # fmt: skip
    sure, unsure = (
        [[_shade(placed.get((r, c)), is_sure, of) for c in range(len(cuts))] for r in range(len(cuts))]
        for is_sure in (True, False)
    )
    figure = Figure(
        [
            Heatmap(z=sure, colorbar=key, **common),
            Heatmap(z=unsure, opacity=PALE, showscale=False, **common),
        ]
    )
    _add_marks(figure, placed, colours)
    top = 20 + LABEL_PIXELS * max(map(len, names), default=0)
    axis = {"tickvals": list(range(len(cuts))), "ticktext": names, "showgrid": False, "zeroline": False}
    figure.update_layout(
        height=top + 12 + height,
        margin={"l": 10, "r": 10, "t": top, "b": 12},
        uirevision=report.run,
        xaxis={**axis, "side": "top", "tickangle": -90, "range": [-0.5, len(cuts) - 0.5]},
        yaxis={**axis, "range": [len(cuts) - 0.5, -0.5], "automargin": True},
    )
    return figure


def _placed(cuts: Sequence[Cut], pairs: Sequence[PairResult]) -> dict[tuple[int, int], PairResult]:
    """Each pair at its two places."""
    at = {cut: i for i, cut in enumerate(cuts)}
    return {place: pair for pair in pairs for place in ((at[pair.a], at[pair.b]), (at[pair.b], at[pair.a]))}


def _shade(pair: PairResult | None, is_sure: bool, factor: float) -> float | None:
    if pair is None or pair.interaction is None or pair.is_sure != is_sure:
        return None
    return factor * pair.interaction.value


def _add_marks(figure: Figure, placed: dict[tuple[int, int], PairResult], colours: Palette) -> None:
    marks = [(*place, MARKS[pair.state]) for place, pair in placed.items() if pair.state in ("no effect", "failed")]
    unsure = [place for place, pair in placed.items() if pair.interaction is not None and not pair.is_sure]
    marks += [(*place, MARKS["undecided"]) for place in unsure]
    draw_marks(figure, marks, colours)
