"""The chart of a frontier by its data: intervals on both axes, grey where dominated, hollow where not told apart."""

from core.profiling.frontier.report import FrontierReport, Point
from core.profiling.report import Machine
from core.sensitivity.report import Estimate
from dashboard.figures.frontier import FRONT, clicked, frontier_figure
from dashboard.frame.theme import LIGHT
from tests.scales import ACCURACY


def point(maker, budget, drop, ratio, size):
    return Point(
        maker, budget, "a" * 8, {}, "shrunk", budget, Estimate(0.9 - drop, 0, 1, 500),
        Estimate(drop, drop - 0.01, drop + 0.02, 500), size, size, 0.01, Estimate(ratio, ratio * 0.9, ratio * 1.1, 20),
    )  # fmt: skip


REPORT = FrontierReport(
    "m", "onnx", "1.0", Machine("cpu", 2, "Linux", "cpu", "2"), 1, 1, "flops", ACCURACY, 0, 500, True, 0.0,
    Estimate(0.9, 0.8, 1, 500), {"0.5": 0.01}, 1000, 900,
    (
        point("solver", 0.5, 0.02, 2.0, 500), point("lamp", 0.5, 0.10, 1.2, 400),
        point("solver", 0.25, 0.05, 4.0, 300), point("lamp", 0.25, 0.055, 3.9, 200),
        Point("erk", 0.25, reason="no"),
    ),
)  # fmt: skip


def traces(axis="milliseconds"):
    return {trace.name: trace for trace in frontier_figure(REPORT, axis, LIGHT).data if trace.x[0] is not None}


def test_both_numbers_have_their_intervals_and_the_dense_model_stands_among_them():
    found = traces()
    assert list(found) == ["dense", "solver", "LAMP", FRONT]
    assert (list(found["dense"].x), list(found["dense"].y)) == ([10.0], [0.0])
    solver = found["solver"]
    assert (list(solver.x), list(solver.y)) == ([5.0, 2.5], [2.0, 5.0])
    assert [round(x, 3) for x in solver.error_x.array] == [0.556, 0.278]
    assert [round(y, 3) for y in solver.error_y.array] == [2.0, 2.0]
    for word in ("plan aaaaaaaa", "n = 500", "5.00 [4.55, 5.56] ms", "on the front"):
        assert word in solver.text[0], solver.text[0]


def test_dominated_points_are_grey_and_hollow_where_they_are_not_told_apart():
    lamp = traces()["LAMP"]
    assert list(lamp.marker.color) == [LIGHT.mark] * 2
    assert list(lamp.marker.symbol) == ["diamond", "diamond-open"]
    assert lamp.text[0].endswith("dominated by solver at 50 %")
    assert "dominated by solver at 25 %, not told apart" in lamp.text[1]
    assert list(traces()[FRONT].x) == [2.5, 5.0, 10.0]


def test_against_bytes_others_may_stand_on_the_front():
    assert list(traces("bytes")[FRONT].x) == [200, 300, 500, 1000]


def test_a_click_says_which_point_it_was_on():
    assert [clicked(REPORT, "milliseconds", *hit) for hit in ((1, 1), (2, 0), (0, 0), (3, 0), (9, 9))] == [
        2, 1, None, None, None,
    ]  # fmt: skip
