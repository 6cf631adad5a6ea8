"""The figure of interactions, by its data."""

from core import Cut, Estimate
from core.sensitivity.pairs import PairResult, PairsReport, PartResult
from dashboard.figures.pairs import pairs_figure
from dashboard.frame.theme import LIGHT
from tests.scales import ACCURACY

SCALE = ACCURACY
A, B, C = (Cut(name, "weight", 0.5) for name in "abc")
JOINT = Estimate(0.1, 0.05, 0.15, 100)


def report(*pairs):
    return PairsReport(
        "1", "m", SCALE, SCALE, JOINT, tuple(PartResult(cut, "measured", JOINT) for cut in (A, B, C)), pairs
    )


PAIRS = (
    PairResult(A, B, "measured", JOINT, 0.125, Estimate(-0.25, -0.5, -0.125, 100)),
    PairResult(A, C, "measured", JOINT, 0.0, Estimate(0.125, -0.25, 0.5, 100)),
    PairResult(B, C, "no effect", JOINT, 0.0, reason="c alone: no output changed"),
)


def test_the_map_is_symmetric_even_around_0_and_empty_on_the_diagonal():
    sure, unsure, _ = pairs_figure(report(*PAIRS), LIGHT).data
    assert [list(row) for row in sure.z] == [[None, -25, None], [-25, None, None], [None, None, None]]
    assert [list(row) for row in unsure.z] == [[None, None, 12.5], [None, None, None], [12.5, None, None]]
    assert (sure.zmin, sure.zmax) == (unsure.zmin, unsure.zmax) == (-25, 25)
    assert sure.colorscale[2] == (0.5, LIGHT.less_to_more[2])
    assert unsure.opacity < 1


def test_what_has_no_interaction_has_a_mark_and_its_reason():
    figure = pairs_figure(report(*PAIRS), LIGHT)
    marks = figure.data[2]
    placed = {(y, x): text for y, x, text in zip(marks.y, marks.x, marks.text, strict=True)}
    assert placed == {(0, 2): "·", (2, 0): "·", (1, 2): "▨", (2, 1): "▨"}
    assert "no effect: c alone: no output changed" in figure.data[0].text[1][2]
    assert "interaction −25.00 points [−50.00, −12.50], n = 100 (paired)" in figure.data[0].text[0][1]
    assert list(figure.layout.xaxis.ticktext) == list(figure.layout.yaxis.ticktext) == ["a", "b", "c"]


def test_a_report_without_any_interaction_can_be_drawn():
    figure = pairs_figure(report(*(PairResult(p.a, p.b, "failed", reason="no") for p in PAIRS)), LIGHT)
    assert (figure.data[0].zmin, figure.data[0].zmax) == (-1, 1)


def test_undecided_pairs_are_marked_however_many_there_are():
    cuts = [Cut(f"layer{i}", "weight", 0.5) for i in range(30)]
    undecided = Estimate(0.125, -0.25, 0.5, 100)
    pairs = tuple(
        PairResult(a, b, "measured", JOINT, 0.0, undecided) for i, a in enumerate(cuts) for b in cuts[i + 1 :]
    )
    parts = tuple(PartResult(cut, "measured", JOINT) for cut in cuts)
    figure = pairs_figure(PairsReport("1", "m", SCALE, SCALE, JOINT, parts, pairs), LIGHT)
    assert list(figure.data[2].text) == ["·"] * 870
