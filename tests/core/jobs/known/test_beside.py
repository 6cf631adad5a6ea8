"""A cut raw and repaired: when the two are compared, and what is said where they are not."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from core import CellResult, Cut, Estimate
from core.jobs.known.beside import Sides, other_side, pairs, sides_lines
from core.sensitivity.report import SensitivityReport
from tests.scales import ACCURACY


def cell(drop=0.1, n=100, target="a", **more):
    estimate = None if drop is None else Estimate(drop, drop - 0.02, drop + 0.02, n)
    return CellResult(
        Cut(target, "weight", 0.5), 5, 10, **{"state": "measured", "drop": estimate, "metric": estimate, **more}
    )


RAW = cell(0.1)
WAITS = CellResult(RAW.cut, 5, 10)


@pytest.mark.parametrize(
    ("raw", "repaired", "why"),
    [
        (None, RAW, "not measured without a repair"),
        (RAW, None, "not measured with the repair"),
        (RAW, WAITS, "not measured with the repair"),
        (RAW, cell(None, state="failed", reason="it has no bias"), "failed with the repair: it has no bias"),
        (cell(stage="early"), RAW, "without a repair it is known on few examples so far, or a search left it early"),
        (RAW, cell(stage="open"), "with the repair it is known on few examples so far, or a search left it early"),
        (RAW, cell(n=50), "raw on n = 100, repaired on n = 50: other examples, so they are not compared"),
    ],
)
def test_what_cannot_be_compared_says_why_and_is_no_pair(raw, repaired, why):
    sides = Sides(raw, repaired)
    assert sides.pair is None
    assert sides.why_not == why
    assert sides_lines(ACCURACY, sides, "full")[-1] == why
    assert pairs([sides]) == ()


def test_only_other_numbers_of_examples_are_marked_so_whatever_their_stage():
    assert Sides(RAW, cell(n=50)).differs_in_n
    assert Sides(RAW, cell(n=50, stage="open")).differs_in_n
    assert not Sides(RAW, cell(0.3)).differs_in_n
    assert not Sides(RAW, None).differs_in_n


@pytest.mark.parametrize(
    ("repaired", "better", "worse", "words"),
    [
        (0.05, True, False, "the repair gives back 5.00 points, 50 % of the drop"),
        (0.08, False, False, "the repair gives back 2.00 points, 20 % of the drop; the two intervals overlap"),
        (0.12, False, False, "the repair costs 2.00 points; the two intervals overlap"),
        (0.2, False, True, "surely worse with the repair, by 10.00 points"),
    ],
)
def test_better_and_worse_are_sure_where_the_intervals_lie_apart(repaired, better, worse, words):
    sides = Sides(RAW, cell(repaired))
    assert sides.pair is not None
    assert (sides.pair.is_better, sides.pair.is_worse, sides.why_not) == (better, worse, None)
    lines = sides_lines(ACCURACY, sides, "full")
    assert lines[0].startswith("raw: drop +10.00 points [+8.00, +12.00], n = 100")
    assert lines[1].startswith("repaired by full: drop")
    assert lines[2].startswith(words)


def test_of_other_sweeps_the_one_on_as_many_examples_is_taken_before_the_thorough_one():
    run = SimpleNamespace(state="finished")
    dense = Estimate(0.9, 0.8, 1.0, 1000)

    def report(n, *cells):
        return SensitivityReport("1", "m", ACCURACY, replace(dense, n=n), cells, n_examples=n)

    reports = [(run, report(1000, cell(0.3, 1000), cell(0.3, 1000, "b"))), (run, report(100, cell(0.2, 100)))]
    found = other_side(reports, [cell(0.1, 100), cell(0.1, 100, "b"), cell(0.1, 100, "c")])
    assert {cut.target: one.drop.n for cut, one in found.items()} == {"a": 100, "b": 1000}
