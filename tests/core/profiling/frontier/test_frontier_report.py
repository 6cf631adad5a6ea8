"""Who is dominated on a frontier, and what a request may ask for: worked out again without the report."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SecateurError
from core.profiling.frontier import frontier_words as words
from core.profiling.frontier.report import FrontierReport, Point
from core.profiling.frontier.request import FrontierRequest, even_budgets
from core.profiling.report import Machine
from core.sensitivity.report import Estimate
from tests.scales import ACCURACY

MACHINE = Machine("cpu", 2, "Linux", "cpu", "2.13.0")


def point(maker, budget, drop, ratio, size=100, spread=0.001, **more):
    return Point(
        maker, budget, "0" * 8, {"format": "x"}, "shrunk", budget, Estimate(0.9 - drop, 0, 1, 500),
        Estimate(drop, drop - spread, drop + spread, 500), size, size // 2, 0.01 / ratio,
        Estimate(ratio, ratio * 0.99, ratio * 1.01, 20), **more,
    )  # fmt: skip


def report(*points, margin=0.0):
    return FrontierReport(
        "m", "onnx", "1.0", MACHINE, 1, 1, "flops", ACCURACY, 100, 500, True, margin, Estimate(0.9, 0.8, 1, 500),
        {"0.5": 0.01, "0.25": 0.01}, 100, 50, points,
    )  # fmt: skip


def test_by_hand():
    found = report(
        point("solver", 0.5, 0.01, 2.0),
        point("uniform", 0.5, 0.03, 1.5),  # slower and worse than the solver's: clearly
        point("lamp", 0.5, 0.0105, 1.99),  # a little slower and a little worse: not told apart
        point("erk", 0.5, 0.2, 4.0),  # worse, and faster than all
        Point("solver", 0.25, reason="cannot be met"),
    )
    standings = found.standings("milliseconds")
    assert {i: (one.by, one.told_apart) for i, one in standings.items()} == {1: (0, True), 2: (0, False)}
    assert words.verdict(found, 1, standings, "milliseconds") == "dominated by solver at 50 %"
    assert words.verdict(found, 2, standings, "milliseconds") == "dominated by solver at 50 %, not told apart"
    assert words.verdict(found, 3, standings, "milliseconds") == "on the front"
    assert words.verdict(found, 4, standings, "milliseconds") == "cannot be met"
    # of bytes all are equal, and the dense model has no drop; equal bytes are exactly equal
    assert {i: one.by for i, one in found.standings("bytes").items()} == dict.fromkeys(range(4), -1)
    assert all(one.told_apart for one in found.standings("bytes").values())


def test_the_place_in_memory_widens_times():
    pair = point("solver", 0.5, 0.01, 2.0), point("uniform", 0.5, 0.03, 1.9)
    assert report(*pair).standings("milliseconds")[1].told_apart
    assert not report(*pair, margin=0.05).standings("milliseconds")[1].told_apart


def test_a_plan_better_and_faster_than_dense_dominates_it_and_a_slower_worse_one_is_dominated_by_it():
    found = report(point("solver", 0.5, -0.02, 2.0), point("uniform", 0.5, 0.02, 0.8))
    standings = found.standings("milliseconds")
    assert (standings[-1].by, standings[-1].told_apart) == (0, True)
    assert standings[1].told_apart
    assert found.name(-1) == "dense"


DROPS = st.integers(0, 4).map(lambda n: n / 100)
RATIOS = st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0])


@given(st.lists(st.tuples(DROPS, RATIOS), min_size=1, max_size=8))
def test_dominated_is_what_a_look_at_all_pairs_says(pairs):
    found = report(*(point("solver", 0.5, *pair) for pair in pairs))
    seen = [(10.0, 0.0), *((10.0 / ratio, drop) for drop, ratio in pairs)]
    expected = set()
    for i, (time, drop) in enumerate(seen):
        if any(t <= time and d <= drop and (t < time or d < drop) for t, d in seen):
            expected.add(i - 1)
    standings = found.standings("milliseconds")
    assert set(standings) == expected
    for i, one in standings.items():
        assert one.by not in (i,)
        other, own = seen[one.by + 1], seen[i + 1]
        assert other[0] <= own[0]
        assert other[1] <= own[1]


def test_milliseconds_are_the_dense_model_s_through_the_paired_ratio():
    found = report(point("solver", 0.5, 0.01, 2.0))
    place = found.place(found.points[0], "milliseconds")
    assert (place.value, place.low, place.high) == pytest.approx((5.0, 10 / 2.02, 10 / 1.98))
    assert found.place(Point("solver", 0.5), "milliseconds") is None
    assert found.place(Point("solver", 0.5), "bytes") is None


def test_a_report_comes_back_from_json_and_says_who_is_dominated():
    found = report(point("solver", 0.5, 0.01, 2.0), point("lamp", 0.5, 0.03, 1.5), Point("erk", 0.5, reason="no"))
    document = json.loads(json.dumps({**found.to_json(), "model": "abc"}))
    assert FrontierReport.from_json(document) == found
    assert document["points"][1]["dominated"]["milliseconds"] == {"by": "solver at 50 %", "told_apart": True}
    assert "milliseconds" not in document["points"][0]["dominated"]


def test_a_spreadsheet_leaves_empty_what_was_not_measured():
    rows = words.csv_rows(report(point("solver", 0.5, 0.01, 2.0), Point("erk", 0.5, reason="no")))
    assert [row["maker"] for row in rows] == ["dense", "solver", "erk"]
    assert all(set(row) == set(words.COLUMNS) for row in rows)
    assert (rows[1]["milliseconds"], rows[1]["drop"]) == (5.0, 0.01)
    assert [rows[2][name] for name in ("milliseconds", "drop", "bytes", "reason")] == ["", "", "", "no"]


def test_budgets_are_even_and_a_request_comes_back():
    assert even_budgets(3) == (0.75, 0.5, 0.25)
    asked = FrontierRequest("onnx", (0.25, 0.5, 0.5), peers=("lamp",), granularities=("channel",))
    assert asked.budgets == (0.5, 0.25)
    assert FrontierRequest.from_json(json.loads(json.dumps(asdict(asked)))) == asked


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"engine": "tvm"}, "no engine 'tvm'; choose of eager"),
        ({"budgets": (0.5,)}, "takes from 2 to 50 budgets, got 1; for one plan: `secateur solve"),
        ({"budgets": (0.5, 0.5)}, "takes from 2 to 50 budgets, got 1"),
        ({"budgets": (0.5, 50)}, r"in \(0, 1\), got 50. Given a percentage"),
        ({"budgets": (0.5, 1.0)}, r"in \(0, 1\)"),
        ({"budgets": (0.5, float("nan"))}, r"in \(0, 1\)"),
        ({"kind": "watts"}, "no cost 'watts'"),
        ({"peers": ("fair",)}, "no peer 'fair'; choose of uniform"),
        ({"rounds": 3}, "rounds must be a whole number of at least 6"),
        ({"samples": 1}, "samples must be"),
        ({"repair": "glue"}, "no repair"),
    ],
)
def test_what_makes_no_sense_is_refused(change, said):
    with pytest.raises(SecateurError, match=said):
        replace(FrontierRequest("onnx"), **change)


@pytest.mark.parametrize("n", [1, 51, True, 2.0])
def test_so_many_budgets_make_no_frontier(n):
    with pytest.raises(SecateurError, match="takes from 2 to 50 budgets"):
        even_budgets(n)
