"""Intervals, against SciPy, brute force and simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from core import Scale
from core.sensitivity.intervals import Z, drop_estimate, metric_estimate, tango, wilson

ACCURACY = Scale("accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)
ERROR = Scale("error", "fraction", higher_is_better=False, low=0.0, high=1.0)
NATS = Scale("loss", "nats", higher_is_better=False, low=0.0, high=None)
SCORE = Scale("score", "points", higher_is_better=True, low=None, high=None)
PERPLEXITY = Scale("perplexity", "per token", higher_is_better=False, low=1.0, high=None, aggregate="exp_mean")


@pytest.mark.parametrize("n", [2, 3, 10, 57, 1000])
def test_wilson_is_scipy_s(n):
    for successes in sorted({0, 1, n // 3, n // 2, n - 1, n}):
        reference = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
        assert wilson(successes, n) == pytest.approx((reference.low, reference.high), abs=1e-12)


def tango_score(delta, lost, won, n):
    """Score statistic with the nuisance found by maximising the likelihood numerically, not by Tango's formula."""

    def loss(q):  # q: chance of `won`; of `lost` it is q + delta
        total = 0.0
        for count, chance in ((lost, q + delta), (won, q), (n - lost - won, 1 - 2 * q - delta)):
            if count:
                total -= count * math.log(max(chance, 1e-300))
        return total

    low, high = max(0.0, -delta), (1 - delta) / 2
    q = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    variance = n * (2 * q + delta - delta * delta)
    return (lost - won - n * delta) / math.sqrt(variance)


@pytest.mark.parametrize("n", [2, 4, 9])
def test_tango_s_bounds_are_where_the_likeliest_score_is_the_critical_one(n):
    for lost, won in itertools.product(range(n + 1), repeat=2):
        if lost + won > n:
            continue
        low, high = tango(lost, won, n)
        observed = (lost - won) / n
        assert -1 <= low <= observed <= high <= 1
        if low > -1 + 1e-6:
            assert tango_score(low, lost, won, n) == pytest.approx(Z, abs=1e-3), (lost, won)
        if high < 1 - 1e-6:
            assert tango_score(high, lost, won, n) == pytest.approx(-Z, abs=1e-3), (lost, won)


@given(counts=st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 200)))
def test_tango_mirrors_when_winners_and_losers_change_places(counts):
    lost, won, same = counts
    low, high = tango(lost, won, lost + won + same)
    assert tango(won, lost, lost + won + same) == pytest.approx((-high, -low), abs=1e-9)


@pytest.mark.parametrize("n", [2, 10, 1000])
def test_silence_is_not_certainty_when_no_pair_disagrees(n):
    low, high = tango(0, 0, n)
    # with nothing discordant q = 0, the score is -sqrt(n delta / (1 - delta)), and it is -Z at this delta
    assert (low, high) == pytest.approx((-Z * Z / (n + Z * Z), Z * Z / (n + Z * Z)), abs=1e-9)


@pytest.mark.parametrize("n", [2, 3, 4, 10, 1000])
def test_all_lost_reaches_the_edge_and_not_beyond(n):
    low, high = tango(n, 0, n)
    assert high == 1
    assert -1 < low < 1
    assert (low > 0) == (n >= 4)  # at delta = 0 the score is sqrt(n): two pairs alone decide nothing
    assert tango(0, n, n) == pytest.approx((-1, -low))


def test_a_drop_of_accuracy_by_hand():
    dense, pruned = np.array([1.0, 1, 1, 0, 1]), np.array([1.0, 0, 0, 1, 1])
    drop = drop_estimate(ACCURACY, dense, pruned)
    assert (drop.value, drop.n) == (pytest.approx(0.2), 5)  # two lost, one won, of five
    assert (drop.low, drop.high) == tango(2, 1, 5)
    mirrored = drop_estimate(ERROR, dense, pruned)
    assert (mirrored.value, mirrored.low, mirrored.high) == (-drop.value, -drop.high, -drop.low)


def test_the_mean_of_real_scores_has_student_s_interval():
    scores = np.array([0.3, 1.7, 2.2, 0.4, 0.9])
    low, high = stats.t.interval(0.95, 4, loc=scores.mean(), scale=stats.sem(scores))
    estimate = metric_estimate(SCORE, scores)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((scores.mean(), low, high))


def test_a_drop_of_real_scores_has_student_s_interval_of_the_pairs():
    dense, pruned = np.array([0.3, 1.7, 2.2, 0.4]), np.array([0.5, 1.6, 2.9, 1.4])
    reference = stats.ttest_rel(pruned, dense).confidence_interval(0.95)
    drop = drop_estimate(NATS, dense, pruned)
    assert (drop.value, drop.low, drop.high) == pytest.approx((0.45, reference.low, reference.high))
    assert drop_estimate(SCORE, dense, pruned).value == pytest.approx(-0.45)


def test_equal_weights_are_no_weights():
    rng = np.random.default_rng(0)
    dense, pruned = rng.normal(size=30), rng.normal(size=30)
    for scale in (NATS, PERPLEXITY):
        for weighted, plain in (
            (metric_estimate(scale, dense, np.full(30, 7.0)), metric_estimate(scale, dense)),
            (drop_estimate(scale, dense, pruned, np.full(30, 7.0)), drop_estimate(scale, dense, pruned)),
        ):
            assert (weighted.value, weighted.low, weighted.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_a_weighted_mean_by_hand():
    estimate = metric_estimate(SCORE, np.array([1.0, 4.0, 2.5]), np.array([1.0, 2.0, 4.0]))
    assert estimate.value == pytest.approx((1 + 8 + 10) / 7)


def test_an_interval_stays_inside_the_range_of_its_metric():
    estimate = metric_estimate(NATS, np.array([0.01, 3.0, 0.02]))
    assert estimate.low == 0
    assert metric_estimate(PERPLEXITY, np.array([0.01, 3.0, 0.02])).low == 1
    assert metric_estimate(ACCURACY, np.array([1.0, 1.0])).high == 1


def test_equal_scores_have_no_drop():
    scores = np.array([0.25, 0.5, 1.5])
    for scale in (NATS, SCORE, PERPLEXITY):
        drop = drop_estimate(scale, scores, scores.copy())
        assert (drop.value, drop.low, drop.high) == (0, 0, 0)
        assert math.copysign(1, drop.value) == 1  # never "-0.00"


@pytest.mark.parametrize("discordance", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("skew", [0.5, 0.9])
def test_tango_holds_what_it_promises(discordance, skew):
    rng, n, rounds = np.random.default_rng(3), 200, 4000
    chances = [discordance * skew, discordance * (1 - skew), 1 - discordance]
    truth = chances[0] - chances[1]
    counts = rng.multinomial(n, chances, size=rounds)
    bounds = {pair: tango(*pair, n) for pair in {(int(lost), int(won)) for lost, won, _ in counts}}
    held = [bounds[int(lost), int(won)][0] <= truth <= bounds[int(lost), int(won)][1] for lost, won, _ in counts]
    assert np.mean(held) >= 0.93


@pytest.mark.parametrize("scale", [NATS, PERPLEXITY], ids=["mean", "exp_mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_student_s_intervals_hold_what_they_promise(scale, weighted):
    """Passages of unequal length whose loss depends on the length: the truth is the ratio of expectations."""
    rng, n, rounds = np.random.default_rng(4), 100, 1500

    def draw(size):
        lengths = rng.integers(1, 20, size=size).astype(float)
        dense = rng.gamma(4, 0.4, size=size) + lengths / 40
        return lengths, dense, dense + rng.gamma(2, 0.05, size=size) + lengths / 100

    def mean(scores, lengths):
        value = np.average(scores, weights=lengths if weighted else None)
        return math.exp(value) if scale is PERPLEXITY else value

    lengths, dense, pruned = draw(2_000_000)
    metric, drop = mean(dense, lengths), mean(pruned, lengths) - mean(dense, lengths)
    held = np.zeros((rounds, 2))
    for i in range(rounds):
        lengths, dense, pruned = draw(n)
        weights = lengths if weighted else None
        a, b = metric_estimate(scale, dense, weights), drop_estimate(scale, dense, pruned, weights)
        held[i] = a.low <= metric <= a.high, b.low <= drop <= b.high
    assert (held.mean(axis=0) >= 0.93).all(), held.mean(axis=0)
