"""Intervals and early verdicts by replays of families with a known truth, at reduced counts and fixed seeds."""

import numpy as np
import pytest

from core import Scale
from core.sensitivity.statistics.few import carried_by_few
from core.sensitivity.statistics.intervals import drop_estimate
from tests.benchmarks.interval_replays import ACCURACY, COSINE, NATS, SCORE, coverage, misjudged


@pytest.mark.parametrize("n", [100, 1000])
@pytest.mark.parametrize(
    "name", ["KL, lognormal tail, σ = 2", "cross-entropy, few large losses", "bounded, 0.5 % move", "loss, normal"]
)
def test_intervals_hold_the_truth_where_tails_are_heavy_or_examples_rarely_move(name, n):
    assert coverage(name, n, 1000)[0] >= 0.93


def test_what_no_interval_can_hold_is_said_beside_it():
    held, said = coverage("perplexity, 2 % break", 100, 200)
    assert held < 0.93  # in 13 % of samples of 100 nothing breaks
    assert said >= 0.93
    assert coverage("perplexity, 2 % break", 300, 200)[0] >= 0.93


@pytest.mark.parametrize("name", ["KL, lognormal tail, σ = 2", "perplexity, 2 % break", "bounded, 1 % move"])
def test_early_verdicts_of_cells_on_the_edge_are_those_of_all_examples(name):
    within, beyond, _ = misjudged(name, 500, 120)
    assert max(within, beyond) <= 0.03 + 2 * (0.03 / 60) ** 0.5


def test_one_score_that_moves_a_little_does_not_switch_the_floor_off():
    ones = np.ones(300)
    moved = ones.copy()
    moved[0] -= 0.01
    silent, faint = (drop_estimate(COSINE, ones, scores) for scores in (ones, moved))
    assert silent.high == pytest.approx(0.02)  # the rule of three: a range of 2 on 3 of 300
    assert faint.high >= silent.high
    assert -faint.low >= -silent.low - 1e-4
    before = faint.high - faint.value
    for more in (10, 40):  # and it shrinks as evidence comes
        drop = drop_estimate(COSINE, ones, ones - 0.01 * (np.arange(300) < more))
        reach = drop.high - drop.value
        assert reach < before
        before = reach


def test_a_drop_that_few_examples_carry_is_told():
    dense, pruned = np.zeros(300), np.full(300, 0.001)
    pruned[:3] = 0.4
    assert carried_by_few(NATS, dense, pruned) == pytest.approx(1.2 / 1.497)
    assert carried_by_few(NATS, dense, np.full(300, 0.001)) is None  # all alike
    assert carried_by_few(NATS, dense, dense) is None
    assert carried_by_few(ACCURACY, dense, (pruned > 0.1) * 1.0) is None  # Tango's interval knows of counts
    assert carried_by_few(SCORE, dense, pruned) is not None
    assert carried_by_few(Scale("F1", "fraction", True, 0.0, 1.0, "macro_f1"), dense, pruned, dense) is None
