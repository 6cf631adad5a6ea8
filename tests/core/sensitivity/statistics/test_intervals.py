"""Intervals, against SciPy, brute force and simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from core import Scale
from core.sensitivity.statistics.intervals import Z, drop_estimate, metric_estimate, tango, wilson

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


def by_hand(x):
    """Ends of the mean's interval, straight from the formula of `reach.py`."""
    n, u = len(x), x - x.mean()
    t = stats.t.ppf(0.975, n - 1)
    second, third, fourth = ((u**power).sum() for power in (2, 3, 4))
    k = second**2 / fourth
    skew, floor = third / second * (1 + 4 / math.sqrt(k)), np.ptp(x) * math.exp(-k / 5)
    below, above = (t**2 * max(way * skew, floor) / (2 * n) for way in (-1, 1))
    return tuple(
        x.mean() + way * (tail + math.sqrt(stats.sem(x) ** 2 * t**2 + tail**2))
        for way, tail in ((-1, below), (1, above))
    )


def test_the_mean_of_real_scores_reaches_further_on_the_side_of_its_tail():
    scores = np.array([0.3, 1.7, 2.2, 0.4, 0.9])
    estimate = metric_estimate(SCORE, scores)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((scores.mean(), *by_hand(scores)))
    long = np.array([0.0, 0.1, 0.2, 0.1, 5.0] * 4)
    estimate = metric_estimate(SCORE, long)
    assert estimate.high - estimate.value > 1.5 * (estimate.value - estimate.low)


def test_a_drop_of_real_scores_has_the_interval_of_the_pairs():
    dense, pruned = np.array([0.3, 1.7, 2.2, 0.4]), np.array([0.5, 1.6, 2.9, 1.4])
    drop = drop_estimate(NATS, dense, pruned)
    assert (drop.value, drop.low, drop.high) == pytest.approx((0.45, *by_hand(pruned - dense)))
    better = drop_estimate(SCORE, dense, pruned)
    assert (better.value, better.low, better.high) == pytest.approx((-0.45, -drop.high, -drop.low))


@pytest.mark.parametrize("n", [30, 100, 1000])
def test_no_interval_of_a_mean_is_narrower_than_student_s_and_light_ones_are_hardly_wider(n):
    rng = np.random.default_rng(6)
    for draw in (rng.standard_normal, rng.standard_exponential, lambda n: rng.lognormal(0, 2, n)):
        scores = draw(n)
        low, high = stats.t.interval(0.95, n - 1, loc=scores.mean(), scale=stats.sem(scores))
        estimate = metric_estimate(SCORE, scores)
        assert estimate.low <= low + 1e-12
        assert estimate.high >= high - 1e-12
        if draw == rng.standard_normal and n >= 100:
            assert estimate.high - estimate.low < 1.15 * (high - low)


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


def coverage(draw, n, rounds=4000):
    """How often the interval of a drop of perplexity holds the truth."""
    rng = np.random.default_rng(5)
    dense, pruned = draw(rng, 2_000_000)
    truth = math.exp(pruned.mean()) - math.exp(dense.mean())
    held = 0
    for _ in range(rounds):
        drop = drop_estimate(PERPLEXITY, *draw(rng, n))
        held += drop.low <= truth <= drop.high
    return held / rounds


@pytest.mark.parametrize(
    ("n", "spread", "worse"),
    [(100, 0.4, 0.0), (100, 0.4, 0.05), (100, 0.6, 0.3), (100, 0.6, 1.0), (20, 0.3, 0.0), (20, 0.3, 0.3), (20, 0.3, 1)],
)
def test_a_drop_of_perplexity_holds_what_it_promises_for_alike_models_and_for_ruined_ones(n, spread, worse):
    """Losses of examples are lognormal; the pruned model's are theirs times a lognormal factor."""

    def draw(rng, size):
        dense = rng.lognormal(0.3, spread, size=size)
        return dense, dense * rng.lognormal(worse, spread / 2, size=size)

    assert coverage(draw, n) >= 0.93  # three standard errors of 4000 rounds are 0.010


@pytest.mark.parametrize("n", [20, 100])
def test_a_drop_of_perplexity_holds_what_it_promises_when_nothing_is_left_of_the_pairing(n):
    def draw(rng, size):
        return rng.lognormal(0.5, 0.4, size=size), rng.lognormal(1.5, 0.4, size=size)

    assert coverage(draw, n) >= 0.93


def test_worse_on_every_example_is_decided():
    """By 1.8 nats on each of eight passages of very different losses: the delta method would call it undecided."""
    dense = np.array([0.5, 0.8, 1.1, 1.4, 2.0, 3.0, 4.5, 7.0])
    drop = drop_estimate(PERPLEXITY, dense, dense + 1.8)
    assert 0 < drop.low < drop.value < drop.high
    assert drop_estimate(PERPLEXITY, dense + 1.8, dense).high < 0
    assert drop.value == pytest.approx(math.exp(dense.mean() + 1.8) - math.exp(dense.mean()))
    # the factor is certain, so the interval is that of the dense perplexity, times exp(1.8) - 1
    own = metric_estimate(PERPLEXITY, dense)
    assert drop.high == pytest.approx(own.high * math.expm1(1.8))
    slope = (math.exp(1.8) - 1) * math.exp(dense.mean())  # of the drop by the mean loss: the delta method
    assert slope * stats.t.ppf(0.975, 7) * stats.sem(dense) > drop.value


losses = st.lists(st.tuples(st.floats(0.01, 9), st.floats(0.01, 9)), min_size=2, max_size=30)


@given(pairs=losses)
def test_a_drop_of_perplexity_is_decided_just_when_the_paired_loss_is(pairs):
    dense, pruned = np.array(pairs).T
    drop, loss = drop_estimate(PERPLEXITY, dense, pruned), drop_estimate(SCORE, pruned, dense)
    assert drop.low <= drop.value <= drop.high
    assert math.isfinite(drop.low)
    assert math.isfinite(drop.high)
    if abs(loss.low) > 1e-9 and abs(loss.high) > 1e-9:  # else rounding decides
        assert (drop.low <= 0 <= drop.high) == (loss.low <= 0 <= loss.high)


@given(pairs=losses)
def test_a_drop_of_perplexity_mirrors_when_dense_and_pruned_change_places(pairs):
    dense, pruned = np.array(pairs).T
    drop, mirrored = drop_estimate(PERPLEXITY, dense, pruned), drop_estimate(PERPLEXITY, pruned, dense)
    assert (mirrored.value, mirrored.low, mirrored.high) == pytest.approx(
        (-drop.value, -drop.high, -drop.low), abs=1e-9
    )


def test_losses_beyond_all_numbers_give_numbers_still():
    for dense, pruned in (([1.0, 1.5], [700.0, 701.0]), ([900.0, 1.0], [1.0, 2.0]), ([1.0, 900.0], [1.0, 900.0])):
        drop = drop_estimate(PERPLEXITY, np.array(dense), np.array(pruned))
        assert all(math.isfinite(x) for x in (drop.low, drop.value, drop.high))
        assert drop.low <= drop.value <= drop.high


F1 = Scale("F1", "fraction", higher_is_better=True, low=0.0, high=1.0)


@pytest.mark.parametrize(("n", "width"), [(2, 1.0), (3, 1.0), (6, 0.5), (300, 0.01)])
def test_bounded_scores_that_all_agree_get_the_rule_of_three(n, width):
    scores = np.full(n, 0.5)
    estimate = metric_estimate(F1, scores)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx(
        (0.5, max(0, 0.5 - width), min(1, 0.5 + width))
    )
    drop = drop_estimate(F1, scores, scores.copy())
    assert (drop.value, drop.low, drop.high) == pytest.approx((0, -width, width))
    other = Scale("grade", "points", higher_is_better=True, low=0.0, high=100.0)
    assert drop_estimate(other, scores, scores.copy()).high == pytest.approx(100 * width)


def test_scores_that_all_agree_and_have_no_bound_say_nothing_of_their_spread():
    drop = drop_estimate(NATS, np.full(5, 0.5), np.full(5, 0.75))
    assert (drop.value, drop.low, drop.high) == (0.25, 0.25, 0.25)
