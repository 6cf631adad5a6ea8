"""Which criterion reaches farthest, and where the intervals cannot tell; numbers by hand."""

import pytest

from core import CellResult, Cut, Estimate
from core.sensitivity.criteria_comparison import compare_criteria, compared_granularities, criteria_of
from core.sensitivity.report import largest_within
from core.sensitivity.sweep_words import reach_text


def cell(criterion, sparsity, drop, half=0.001, target="fc", granularity="weight", reason=None):
    cut = Cut(target, granularity, sparsity, criterion)
    if reason is not None:
        return CellResult(cut, 0, 100, "failed", reason=reason)
    estimate = Estimate(drop, drop - half, drop + half, 500)
    return CellResult(cut, 50, 100, "measured", estimate, estimate)


def compared(*cells, tolerance=0.01):
    (found,) = compare_criteria(cells, tolerance)
    return found


def test_the_one_that_reaches_farthest_is_best():
    found = compared(
        cell("magnitude", 0.5, 0.002), cell("magnitude", 0.7, 0.05),
        cell("wanda", 0.5, 0.002), cell("wanda", 0.7, 0.006),
    )  # fmt: skip
    assert [(curve.criterion, curve.largest) for curve in found.curves] == [("magnitude", 0.5), ("wanda", 0.7)]
    assert (found.best, found.as_good) == ("wanda", ())


def test_of_those_that_reach_equally_far_the_one_with_smaller_drops_is_best():
    assert compared(cell("magnitude", 0.5, 0.004), cell("wanda", 0.5, 0.002)).best == "wanda"


def test_overlapping_intervals_cannot_tell():
    close = (cell("magnitude", 0.5, 0.0030), cell("wanda", 0.5, 0.0020))
    assert compared(*close).as_good == ("magnitude",)
    assert compared(*close, cell("magnitude", 0.7, 0.05), cell("wanda", 0.7, 0.02)).as_good == ()
    assert compared(cell("magnitude", 0.5, 0.0050), cell("wanda", 0.5, 0.0020)).as_good == ()


def test_a_criterion_that_reaches_nowhere_has_zero_and_none_is_best_if_none_reaches():
    found = compared(cell("magnitude", 0.5, 0.05), cell("wanda", 0.5, 0.04))
    assert [curve.largest for curve in found.curves] == [0.0, 0.0]
    assert (found.best, found.as_good) == (None, ())


def test_what_has_no_meaning_or_is_not_known_is_no_zero():
    waiting = CellResult(Cut("fc", "weight", 0.5, "l2"), 50, 100)
    found = compared(cell("magnitude", 0.5, 0.002), cell("fpgm", 0.5, 0, reason="for channels"), waiting)
    assert [(curve.largest, curve.reason) for curve in found.curves] == [
        (0.5, None), (None, "for channels"), (None, None)
    ]  # fmt: skip
    assert found.best == "magnitude"


def test_only_targets_that_were_cut_by_several_are_compared_granularity_by_granularity():
    cells = (
        cell("magnitude", 0.5, 0.002), cell("wanda", 0.5, 0.002), cell("magnitude", 0.5, 0.002, target="other"),
        cell("magnitude", 0.5, 0.002, granularity="channel"), CellResult(Cut("attn:0", "head"), 1, 1),
    )  # fmt: skip
    assert [found.target for found in compare_criteria(cells, 0.01)] == ["fc"]
    assert compare_criteria(cells, 0.01, "channel") == ()
    assert compared_granularities(cells) == ("weight",)
    assert criteria_of(cells) == ("magnitude", "wanda")


def test_the_most_within_a_tolerance_is_that_of_the_criterion_that_reaches_farthest():
    cells = [cell("magnitude", 0.3, 0.05), cell("wanda", 0.3, 0.002), cell("wanda", 0.5, 0.002)]
    assert largest_within(cells, 0.01) == {"fc": 0.5}
    assert largest_within(cells[:1], 0.01) == {}


def test_curves_of_several_criteria_have_several_names():
    assert [cell(name, 0.5, 0).cut.curve for name in ("magnitude", "wanda")] == ["fc", "fc by wanda"]
    assert cell("fpgm", 0.5, 0, granularity="channel").cut.curve == "channels of fc by fpgm"


def test_as_plain_values_it_leaves_the_cells_out():
    found = compared(cell("magnitude", 0.5, 0.002), cell("wanda", 0.5, 0.006)).to_json()
    assert found == {
        "target": "fc",
        "granularity": "weight",
        "curves": [
            {"criterion": "magnitude", "largest": 0.5, "reason": None, "decided": True},
            {"criterion": "wanda", "largest": 0.5, "reason": None, "decided": True},
        ],
        "best": "magnitude",
        "as_good": (),
    }


@pytest.mark.parametrize("granularity", ["2:4", "4x4"])
def test_patterns_are_compared_too(granularity):
    cells = [cell(name, 0.5, drop, granularity=granularity) for name, drop in (("magnitude", 0.02), ("wanda", 0.002))]
    (found,) = compare_criteria(cells, 0.01, granularity)
    assert found.best == "wanda"


def test_a_lowest_sparsity_that_nobody_can_decide_is_no_limit_of_zero():
    wide = (cell("magnitude", 0.5, 0.002, half=0.03), cell("magnitude", 0.7, 0.05), cell("wanda", 0.5, 0.002))
    found = compared(*wide)
    assert [(curve.largest, curve.decided) for curve in found.curves] == [(0.0, False), (0.5, True)]
    assert reach_text(found, "magnitude") == "?"
    assert compared(cell("magnitude", 0.5, 0.05), cell("wanda", 0.5, 0.05)).curves[0].decided
