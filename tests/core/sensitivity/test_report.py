"""What a report says of a plan that keeps within a tolerance."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from core import CellResult, Cut, Estimate, SensitivityReport
from core.sensitivity import sweep_words
from core.sensitivity.report import default_tolerance, estimate_ranks, largest_within
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


def ranked(pairs, granularity="weight"):
    """Measured cells of (estimate, drop)."""
    return tuple(
        CellResult(
            Cut(f"a.{i}", "weight", 0.5, "magnitude") if granularity == "weight" else Cut(f"attn:{i}", "head"), 1, 2,
            "measured", Estimate(0, 0, 0, 9), Estimate(drop, drop, drop, 9), estimate=estimate,
        )
        for i, (estimate, drop) in enumerate(pairs)
    )  # fmt: skip


def report_of(*cells):
    return SensitivityReport("r", "m", accuracy().scale, None, cells, n_calibration=500)


few_values = st.sampled_from([0.0, 0.1, 0.2, 0.5, 3.0])  # ties are the rule: no drop is seen in most cells


@given(pairs=st.lists(st.tuples(few_values, few_values), min_size=3, max_size=20))
def test_the_rank_correlation_is_that_of_scipy(pairs):
    found = report_of(*ranked(pairs)).rank_correlation()
    estimates, drops = zip(*pairs, strict=True)
    if len(set(estimates)) == 1 or len(set(drops)) == 1:
        assert found is None
    else:
        assert found.n == len(pairs)
        assert np.isclose(found.rho, spearmanr(estimates, drops).statistic)


def test_heads_and_weights_are_ranked_apart_and_only_where_there_is_something_to_compare():
    weights, heads = ranked([(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.1)]), ranked([(1, 0.3), (2, 0.2), (3, 0.1)], "head")
    lone = replace(weights[3], estimate=None)
    waiting, useless = replace(weights[3], state="waiting", drop=None), replace(weights[3], state="no effect")
    report = report_of(*weights[:3], lone, waiting, useless, *heads)
    assert (report.rank_correlation("weight").rho, report.rank_correlation("weight").n) == (pytest.approx(1), 3)
    assert report.rank_correlation("head").rho == pytest.approx(-1)
    assert report_of(*weights[:2], *heads[:2]).rank_correlation() is None
    assert sweep_words.estimates_text(report) == (
        "Estimates ranked the measured cells with Spearman ρ = 1.00 (n = 3 cells) "
        "and the measured heads with Spearman ρ = −1.00 (n = 3 heads)"
    )
    assert sweep_words.estimates_text(report_of(*weights[:2])) is None


def test_ranks_of_estimates_start_with_what_should_cost_most_and_keep_measured_cells():
    cells = ranked([(1, 0.1), (None, 0.2), (3, 0.3), (2, 0.0)])
    waiting = replace(cells[2], state="waiting", drop=None, metric=None)
    assert estimate_ranks((*cells[:2], waiting, cells[3], *ranked([(9, 0)], "head")), "weight") == {
        waiting.cut: 1, cells[3].cut: 2, cells[0].cut: 3,
    }  # fmt: skip
    assert (
        sweep_words.estimate_text(1, 3, 1500)
        == "estimate, rank 1 of 3 (1 costs most), from gradients on 1,500 calibration examples; not measured"
    )


def test_a_cell_from_before_there_were_estimates_is_read():
    (cell,) = ranked([(0.25, 0.1)])
    assert CellResult.from_json(cell.to_json()) == cell
    old = asdict(cell)
    del old["estimate"]
    assert CellResult.from_json(old) == replace(cell, estimate=None)
