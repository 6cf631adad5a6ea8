"""Anytime intervals, by simulation: the truth is inside at every look, not only at the one that was planned."""

import math

import numpy as np
import pytest

from core import Scale
from core.sensitivity.statistics.anytime import (
    anytime_drop,
    anytime_metric,
    asymptotic_level,
    betting_interval,
    has_anytime,
)
from core.sensitivity.statistics.intervals import drop_estimate, metric_estimate

ACCURACY = Scale("accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)
ERROR = Scale("error", "fraction", higher_is_better=False, low=0.0, high=1.0)
GRADE = Scale("grade", "points", higher_is_better=True, low=-50.0, high=50.0)
NATS = Scale("loss", "nats", higher_is_better=False, low=0.0, high=None)
PERPLEXITY = Scale("perplexity", "per token", higher_is_better=False, low=1.0, high=None, aggregate="exp_mean")
LOOKS = (10, 20, 50, 100, 200, 400, 800)


def ever_missed(scale, draw, truth, rounds=150, weighted=False):
    """Shares of simulated histories in which the anytime and the fixed-n interval of a drop ever left the truth out."""
    rng, missed = np.random.default_rng(7), np.zeros(2)
    for _ in range(rounds):
        dense, pruned, weights = draw(rng, LOOKS[-1])
        estimates = (anytime_drop, drop_estimate)
        for i, estimate in enumerate(estimates):
            shown = [estimate(scale, dense[:n], pruned[:n], weights[:n] if weighted else None) for n in LOOKS]
            missed[i] += any(not drop.low <= truth <= drop.high for drop in shown)
    return missed / rounds


def accuracies(lost, won):
    def draw(rng, n):
        u = rng.random(n)
        return (u >= won) * 1.0, (u < 1 - lost) * 1.0, np.ones(n)

    return draw


@pytest.mark.parametrize(("lost", "won"), [(0.02, 0.01), (0.2, 0.05), (0.005, 0.005)])
def test_a_drop_of_accuracy_is_held_at_all_looks_together(lost, won):
    anytime, fixed = ever_missed(ACCURACY, accuracies(lost, won), lost - won)
    assert anytime <= 0.05
    assert anytime < fixed  # looking seven times at a fixed-n interval misses more often than it says


def test_a_drop_of_bounded_scores_is_held_at_all_looks_together():
    def draw(rng, n):
        dense = rng.beta(8, 2, size=n)
        return dense, dense * rng.beta(20, 1, size=n), np.ones(n)

    assert ever_missed(ACCURACY, draw, 0.8 * (1 - 20 / 21))[0] <= 0.05


@pytest.mark.parametrize("scale", [NATS, PERPLEXITY], ids=["mean", "exp_mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_drop_of_losses_is_held_at_all_looks_together(scale, weighted):
    def draw(rng, n):
        lengths = rng.integers(1, 20, size=n).astype(float)
        dense = rng.gamma(4, 0.4, size=n) + lengths / 40
        return dense, dense + rng.gamma(2, 0.05, size=n) + lengths / 100, lengths

    dense, pruned, lengths = draw(np.random.default_rng(0), 1_000_000)
    a, b = (np.average(scores, weights=lengths if weighted else None) for scores in (dense, pruned))
    truth = math.exp(b) - math.exp(a) if scale is PERPLEXITY else b - a
    assert ever_missed(scale, draw, truth, weighted=weighted)[0] <= 0.05


def test_a_metric_is_held_at_all_looks_together():
    rng, rounds = np.random.default_rng(8), 150
    for scale, draw, truth in (
        (ACCURACY, lambda: (rng.random(800) < 0.9) * 1.0, 0.9),
        (NATS, lambda: rng.gamma(2, 0.5, size=800), 1.0),
    ):
        missed = 0
        for _ in range(rounds):
            scores = draw()
            shown = [anytime_metric(scale, scores[:n]) for n in LOOKS]
            missed += any(not metric.low <= truth <= metric.high for metric in shown)
        assert missed / rounds <= 0.05


def test_what_all_of_a_finite_list_says_is_held_too():
    rng, rounds, missed = np.random.default_rng(9), 150, 0
    dense, pruned, _ = accuracies(0.05, 0.02)(rng, 1000)
    truth = drop_estimate(ACCURACY, dense, pruned).value
    for _ in range(rounds):
        order = rng.permutation(1000)
        shown = [anytime_drop(ACCURACY, dense[order[:n]], pruned[order[:n]]) for n in LOOKS]
        missed += any(not drop.low <= truth <= drop.high for drop in shown)
    assert missed / rounds <= 0.05


@pytest.mark.parametrize("scale", [ACCURACY, ERROR, GRADE, NATS, PERPLEXITY])
@pytest.mark.parametrize("n", [2, 3, 30, 1000])
def test_never_narrower_than_the_fixed_interval_and_around_the_same_value(scale, n):
    rng = np.random.default_rng(n)
    binary = scale in (ACCURACY, ERROR)
    dense, pruned = (rng.integers(0, 2, n) * 1.0 if binary else rng.gamma(2, 1, n) for _ in range(2))
    for fixed, anytime in (
        (drop_estimate(scale, dense, pruned), anytime_drop(scale, dense, pruned)),
        (metric_estimate(scale, dense), anytime_metric(scale, dense)),
    ):
        assert (anytime.value, anytime.n) == (fixed.value, n)
        assert anytime.low <= fixed.low <= fixed.high <= anytime.high
        assert math.isfinite(anytime.low)
        assert math.isfinite(anytime.high)


def test_the_direction_mirrors_the_interval():
    rng = np.random.default_rng(1)
    dense, pruned = rng.integers(0, 2, 60) * 1.0, rng.integers(0, 2, 60) * 1.0
    a, b = anytime_drop(ACCURACY, dense, pruned), anytime_drop(ERROR, dense, pruned)
    assert (a.value, a.low, a.high) == pytest.approx((-b.value, -b.high, -b.low), abs=1e-6)


@pytest.mark.parametrize("n", [2, 50, 1000])
def test_silence_is_not_certainty_and_all_lost_reaches_the_edge(n):
    ones = np.ones(n)
    silent, ruined = anytime_drop(ACCURACY, ones, ones), anytime_drop(ACCURACY, ones, 0 * ones)
    assert silent.high == pytest.approx(-silent.low, abs=1e-6)
    # the best stake is nearly all: the wealth at delta is (1 + 0.98 (1/(1 - delta) - 1))^n / 12, and 40 ends it
    assert silent.high == pytest.approx(1 - 1 / (1 + (480 ** (1 / n) - 1) / 0.98), rel=0.25)
    assert ruined.high == 1
    assert ruined.low < 1


def test_the_order_of_examples_makes_no_difference():
    values = np.random.default_rng(2).beta(2, 5, size=300)
    assert betting_interval(values) == pytest.approx(betting_interval(values[::-1]), abs=1e-9)


def test_splitting_scores_between_grid_points_only_widens():
    """Against the exact bets on scores off the grid: the mixture of the same stakes, brought to its limit by search."""
    values = np.random.default_rng(3).uniform(0.4, 0.6, size=200)
    low, high = betting_interval(values)
    stakes = np.geomspace(0.004, 0.98, 12)

    def wealth(m):
        return np.exp(np.log1p(stakes[:, None] * (values / m - 1)).sum(1)).mean()

    grid = np.linspace(0.3, values.mean(), 2000)
    exact = grid[np.argmax([wealth(m) < 40 for m in grid])]
    assert low <= exact + 1e-4
    assert exact - low < 0.002
    assert low < values.mean() < high


def test_the_asymptotic_boundary_is_the_published_one():
    n, alpha, rho2 = 137, 0.05, (-2 * math.log(0.05) + math.log(-2 * math.log(0.05) + 1)) / 500
    radius = math.sqrt(2 * (n * rho2 + 1) / (n**2 * rho2) * math.log(math.sqrt(n * rho2 + 1) / alpha))
    tail = 1 - asymptotic_level(n)
    assert tail == pytest.approx(0.5 * math.erfc(radius * math.sqrt(n) / math.sqrt(2)), rel=1e-6)


def test_a_metric_of_the_whole_set_has_no_anytime_interval():
    assert has_anytime(ACCURACY)
    assert has_anytime(PERPLEXITY)
    assert not has_anytime(Scale("F1", "fraction", True, 0.0, 1.0, "macro_f1"))  # type: ignore[arg-type]
