"""What a report says of a plan that keeps within a tolerance."""

import pytest

from core import CellResult, Cut, Estimate
from core.sensitivity.report import default_tolerance, largest_within
from core.workload.metric import accuracy, cross_entropy, perplexity


def cell(target, sparsity, high, state="measured"):
    drop = None if high is None else Estimate(high / 2, 0.0, high, 100)
    return CellResult(Cut(target, "weight", sparsity), 1, 10, state, drop, drop)


def test_the_largest_sparsity_whose_interval_stays_within_the_tolerance():
    cells = [cell("a", 0.3, 0.001), cell("a", 0.5, 0.01), cell("a", 0.7, 0.011), cell("b", 0.3, 0.5)]
    assert largest_within(cells, 0.01) == {"a": 0.5}  # exactly the tolerance is within it
    assert largest_within(cells, 0.6) == {"a": 0.7, "b": 0.3}
    assert largest_within([], 0.01) == {}


def test_a_cell_that_violates_ends_the_search_whatever_luck_follows_in_whatever_order():
    cells = [cell("a", 0.9, 0.0), cell("a", 0.5, 0.2), cell("a", 0.3, 0.0)]
    assert largest_within(cells, 0.01) == {"a": 0.3}
    assert largest_within(cells[::-1], 0.01) == {"a": 0.3}


def test_a_cut_of_no_effect_counts_neither_way():
    """It says nothing of robustness: it is not taken for safe, and it does not end the search."""
    wide = cell("a", 0.3, 0.5, "no effect")
    assert largest_within([cell("a", 0.1, 0.0), wide, cell("a", 0.5, 0.0)], 0.01) == {"a": 0.5}
    assert largest_within([cell("a", 0.1, 0.0), wide], 0.01) == {"a": 0.1}
    assert largest_within([wide], 0.01) == {}


@pytest.mark.parametrize("state", ["failed", "waiting"])
def test_a_cell_without_a_number_ends_the_search(state):
    assert largest_within([cell("a", 0.1, 0.0), cell("a", 0.3, None, state), cell("a", 0.5, 0.0)], 0.01) == {"a": 0.1}


def test_heads_have_no_sparsity_and_are_left_out():
    estimate = Estimate(0.0, 0.0, 0.0, 10)
    assert largest_within([CellResult(Cut("attn:0", "head"), 4, 4, "measured", estimate, estimate)], 1.0) == {}


@pytest.mark.parametrize(
    ("metric", "dense", "tolerance"),
    [
        (accuracy(), 0.93, 0.01),
        (accuracy(), 0.01, 0.01),
        (perplexity(), 4.93, 0.2),
        (perplexity(), 31.0, 2),
        (cross_entropy(), 0.0021, 0.0001),
        (cross_entropy(), 0.0, 0.05),
    ],
)
def test_the_tolerance_to_start_from_is_a_point_or_a_twentieth(metric, dense, tolerance):
    assert default_tolerance(metric.scale, dense) == tolerance
