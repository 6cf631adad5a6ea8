"""The figures of raw and repaired cells, by their data."""

from core import CellResult, Cut, Estimate
from core.jobs.known.beside import Sides
from core.sensitivity.maps.layout import sparsity_grid
from core.sensitivity.maps.marks import MARKS
from core.sensitivity.report import SensitivityReport
from dashboard.figures.curves import curves_by_target, curves_figure
from dashboard.figures.repairs import gives_back_figure
from dashboard.frame.theme import LIGHT
from dashboard.maps.data import map_data, map_text
from tests.dashboard.conftest import opened
from tests.scales import ACCURACY

WORD = "it has no bias"


def cell(target, drop, n=100, **more):
    estimate = None if drop is None else Estimate(drop, drop - 0.02, drop + 0.02, n)
    return CellResult(
        Cut(target, "weight", 0.5), 5, 10, **{"state": "measured", "drop": estimate, "metric": estimate, **more}
    )


RAW = [cell(name, 0.1) for name in "abcdef"]
REPAIRED = [
    cell("a", 0.02), cell("b", 0.11), cell("c", 0.2), cell("d", 0.02, 50),
    cell("e", None, state="failed", reason=WORD),
    CellResult(Cut("f", "weight", 0.5), 5, 10, reason="no sweep repaired by full has measured it"),
]  # fmt: skip
SIDES = {raw.cut: Sides(raw, repaired) for raw, repaired in zip(RAW, REPAIRED, strict=True)}


def report(cells):
    return SensitivityReport("1", "m", ACCURACY, Estimate(0.9, 0.8, 1.0, 100), tuple(cells))


def column(rows):
    return [row[0] for row in rows]


def placed(trace):
    return dict(zip(trace.y, trace.text, strict=True))


def test_what_is_given_back_is_coloured_and_what_cannot_be_compared_says_why():
    grid = sparsity_grid(REPAIRED)
    strong, pale, grey, marks = gives_back_figure(grid, ACCURACY, SIDES, "full", LIGHT).data
    assert [None if z is None else round(z, 9) for z in column(strong.z)] == [8, None, -10, None, None, None]
    assert [None if z is None else round(z, 9) for z in column(pale.z)] == [None, -1, None, None, None, None]
    assert column(grey.z) == [None, None, None, 0, 0, 0]
    assert (strong.zmin, strong.zmax) == (-strong.zmax, strong.zmax)
    assert placed(marks) == {1: MARKS["undecided"], 2: MARKS["worse"], 3: MARKS["other n"], 4: MARKS["failed"]}
    hover = column(strong.text)
    assert "the repair gives back 8.00 points, 80 % of the drop" in hover[0]
    assert "surely worse with the repair" in hover[2]
    assert "raw on n = 100, repaired on n = 50" in hover[3]
    assert WORD in hover[4]


def test_what_gives_back_has_the_calm_end_of_the_colours():
    trace = gives_back_figure(sparsity_grid(REPAIRED), ACCURACY, SIDES, "full", LIGHT).data[0]
    assert trace.colorscale[-1][1] == LIGHT.less_to_more[0]


def test_the_repaired_map_marks_what_is_surely_worse_and_what_has_another_n():
    grid = sparsity_grid(REPAIRED)
    told = opened(map_data(map_text(grid, report(REPAIRED)), grid, 0.01, LIGHT, "x", sides=SIDES))
    assert [(mark, glyph) for mark, glyph, _, _ in told["corners"]] == [("worse", "◢"), ("other n", "≠")]
    assert "no sweep repaired by full has measured it" in told["cells"][5, 0]["lines"]


def test_curves_show_the_other_way_as_a_dotted_line_with_its_intervals():
    own, other = curves_by_target(REPAIRED), curves_by_target(RAW)
    figure = curves_figure(report(REPAIRED), own, ["a"], LIGHT, other, "raw")
    (dotted,) = [trace for trace in figure.data if trace.name == "a, raw"]
    (solid,) = [trace for trace in figure.data if trace.name == "a"]
    assert (dotted.line.dash, dotted.line.color) == ("dot", solid.line.color)
    assert list(dotted.y) == [80]
    assert [round(value, 9) for value in dotted.error_y.array] == [2]
    assert not [trace for trace in curves_figure(report(RAW), other, ["a"], LIGHT).data if trace.line.dash == "dot"]
