"""What is said of limits, cell by cell."""

from dataclasses import replace

from core.plans.plan import Cut
from core.sensitivity.maps.limit_words import limit_line
from core.sensitivity.report import CellResult, Estimate
from core.workload.metric import accuracy

SCALE = accuracy().scale


def cell(sparsity, drop, spread, **fields):
    estimate = Estimate(drop, drop - spread, drop + spread, 200)
    return CellResult(Cut("stem", "weight", sparsity, "magnitude"), 1, 2, "measured", estimate, estimate, **fields)


def said(*cells):
    return limit_line("stem", cells, SCALE, 0.01)


def test_a_limit_is_told_with_what_ends_it():
    assert said(cell(0.1, 0.001, 0.002), cell(0.5, 0.004, 0.02)) == (
        "`stem` stays within 1.00 points up to **10 %**, interval and all; "
        "at 50 % it may be beyond: +0.40 [−1.60, +2.40], n = 200"
    )
    assert "at 50 % it is beyond: +5.00" in said(cell(0.1, 0.001, 0.002), cell(0.5, 0.05, 0.02))
    assert said(cell(0.1, 0.001, 0.002)).endswith("up to **10 %**, interval and all")


def test_an_undecided_low_sparsity_is_no_claim_about_the_higher_ones():
    text = said(cell(0.1, 0.0, 0.02), cell(0.5, -0.06, 0.03), cell(0.9, 0.4, 0.02))
    assert "any measured sparsity" not in text
    assert text == (
        "`stem`: no limit within 1.00 points is known, for at 10 % it may be beyond: 0.00 [−2.00, +2.00], n = 200; "
        "by themselves 50 % are within it, interval and all"
    )


def test_what_was_never_measured_says_so():
    waiting = replace(cell(0.1, 0, 0), state="waiting", drop=None, metric=None)
    assert said(waiting).endswith("for at 10 % it is not measured yet")
    still = replace(cell(0.1, 0, 0), state="no effect")
    assert said(still) == "`stem`: no cut changed any output, which says nothing of a limit"
    failed = replace(waiting, state="failed", reason="too small")
    assert said(failed).endswith("at 10 % it cannot be cut: too small")
    assert "up to **50 %** by forecast" in said(replace(cell(0.5, 0.0, 0.001), stage="forecast"))
