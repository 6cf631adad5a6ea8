"""Metrics of the set and their bootstrap, against torchmetrics, SciPy, plain resampling and simulation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torchmetrics.functional.classification import multiclass_f1_score

from core import f1, spearman
from core.sensitivity.statistics import bootstrap
from core.sensitivity.statistics.bootstrap import RESAMPLES, UndefinedMetricError
from core.sensitivity.statistics.intervals import drop_estimate, metric_estimate
from core.workload.scale import packed, unpacked

F1, SPEARMAN = f1().scale, spearman().scale


def column(*values):
    return np.array(values, float)


classes = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=40)
numbers = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=40)


def test_macro_f1_by_hand():
    # class 0: 2 hits, 3 labels, 2 predictions: 4/5; class 1: 1 hit, 1 label, 1 prediction: 1; class 2, predicted: 0
    estimate = metric_estimate(F1, column(0, 0, 2, 1), column(0, 0, 0, 1))
    assert estimate.value == pytest.approx((4 / 5 + 1 + 0) / 3)
    assert estimate.n == 4


@given(triples=classes)
def test_macro_f1_is_torchmetrics_s(triples):
    truth, predictions, _ = np.array(triples, float).T
    tensors = (torch.as_tensor(x).long() for x in (predictions, truth))
    reference = multiclass_f1_score(*tensors, num_classes=6, average="macro")
    assert metric_estimate(F1, predictions, truth).value == pytest.approx(reference.item(), abs=1e-6)


@given(triples=numbers)
def test_spearman_is_scipy_s(triples):
    truth, predictions, _ = np.array(triples, float).T
    if len(set(truth)) == 1 or len(set(predictions)) == 1:
        with pytest.raises(UndefinedMetricError, match=f"Spearman is undefined: all {len(truth)} "):
            metric_estimate(SPEARMAN, predictions, truth)
    else:
        reference = stats.spearmanr(predictions, truth).statistic
        assert metric_estimate(SPEARMAN, predictions, truth).value == pytest.approx(reference, abs=1e-9)


@pytest.mark.parametrize("aggregate", bootstrap.STATISTICS)
def test_a_replicate_is_the_statistic_of_the_examples_drawn(aggregate):
    """Counts of examples give what repeating the examples gives."""
    rng, n = np.random.default_rng(0), 60
    truth = rng.integers(4, size=n).astype(float)
    predictions = np.where(rng.random(n) < 0.7, truth, rng.integers(5, size=n)).astype(float)
    if aggregate == "span_f1":
        predictions = packed(predictions, np.minimum(predictions, truth))
    replicates = bootstrap._replicates(aggregate, predictions, truth)
    assert len(replicates) == RESAMPLES
    for draw in (0, 1, RESAMPLES - 1):
        rows = np.repeat(np.arange(n), bootstrap._counts(n, 0)[:, draw].astype(int))
        assert len(rows) == n
        if aggregate == "spearman":
            reference = stats.spearmanr(predictions[rows], truth[rows]).statistic
        elif aggregate == "r2":
            errors = ((predictions[rows] - truth[rows]) ** 2).sum()
            reference = 1 - errors / (n * truth[rows].var())
        elif aggregate == "span_f1":
            predicted, matched = (column[rows].sum() for column in unpacked(predictions))
            reference = 2 * matched / (predicted + truth[rows].sum())
        else:
            tensors = (torch.as_tensor(x[rows]).long() for x in (predictions, truth))
            reference = multiclass_f1_score(*tensors, num_classes=5, average="macro").item()
        assert replicates[draw] == pytest.approx(reference, abs=1e-5)


def test_many_examples_are_drawn_in_parts_and_none_is_short(monkeypatch):
    monkeypatch.setattr(bootstrap, "CHUNK", 300 * 70)  # parts of 300, 300, 300 and 100 draws
    bootstrap._counts.cache_clear()
    parts = [bootstrap._counts(70, chunk) for chunk in range(4)]
    bootstrap._counts.cache_clear()
    assert [part.shape for part in parts] == [(70, 300), (70, 300), (70, 300), (70, 100)]
    assert all((part.sum(0) == 70).all() for part in parts)
    assert not (parts[0] == parts[1]).all()


def example_set(n, seed=0, noise=0.2):
    rng = np.random.default_rng(seed)
    truth = rng.integers(3, size=n).astype(float)
    dense = np.where(rng.random(n) < 0.8, truth, rng.integers(3, size=n))
    return truth, dense, np.where(rng.random(n) < noise, rng.integers(3, size=n), dense)


@pytest.mark.parametrize("scale", [F1, SPEARMAN], ids=lambda scale: scale.name)
def test_the_same_evidence_gives_the_same_interval(scale):
    truth, dense, pruned = example_set(80)
    before = metric_estimate(scale, pruned, truth), drop_estimate(scale, dense, pruned, truth)
    bootstrap._cached_replicates.cache_clear()
    bootstrap._counts.cache_clear()
    assert (metric_estimate(scale, pruned, truth), drop_estimate(scale, dense, pruned, truth)) == before


@pytest.mark.parametrize(("scale", "triples"), [(F1, classes), (SPEARMAN, numbers)], ids=["macro F1", "Spearman"])
def test_a_drop_is_the_difference_of_the_metrics_and_mirrors(scale, triples):
    @given(triples=triples)
    def check(triples):
        truth, dense, pruned = np.array(triples, float).T
        try:
            own = [metric_estimate(scale, x, truth) for x in (dense, pruned)]
        except UndefinedMetricError:
            return
        drop, mirrored = drop_estimate(scale, dense, pruned, truth), drop_estimate(scale, pruned, dense, truth)
        assert drop.value == own[0].value - own[1].value
        assert (mirrored.value, mirrored.low, mirrored.high) == pytest.approx(
            (-drop.value, -drop.high, -drop.low), abs=1e-6
        )  # draws are float32
        span = scale.high - scale.low
        assert -span <= drop.low <= drop.value <= drop.high <= span
        assert all(scale.low <= x.low <= x.value <= x.high <= scale.high for x in own)

    check()


@pytest.mark.parametrize("scale", [F1, SPEARMAN], ids=lambda scale: scale.name)
def test_two_examples_decide_nothing(scale):
    truth = column(0, 1)
    estimate = metric_estimate(scale, truth, truth)
    assert (estimate.value, estimate.low, estimate.high) == (1, scale.low, 1)
    drop = drop_estimate(scale, truth, truth[::-1].copy(), truth)
    assert drop.value == scale.high - scale.low
    same = drop_estimate(scale, truth, truth.copy(), truth)
    assert same.value == 0
    assert math.copysign(1, same.value) == 1  # never "-0.00"
    assert same.low == -same.high < 0


def test_silence_is_not_certainty_when_no_prediction_differs():
    """In even classes three examples of 300 are worth 3/300; ones placed at random cost Spearman's ρ 2/n each."""
    truth = np.tile([0.0, 1, 2], 100)
    drop = drop_estimate(F1, truth, truth.copy(), truth)
    assert (drop.value, drop.low, drop.high) == pytest.approx((0, -0.01, 0.01))
    rare = np.concatenate([np.zeros(294), np.ones(6)])  # three of six examples of one of two classes: 1/2 · 1/2
    assert drop_estimate(F1, rare, rare.copy(), rare).high == pytest.approx(0.25)
    order = np.random.default_rng(0).permutation(300).astype(float)
    drop = drop_estimate(SPEARMAN, order, order**3, order)  # other numbers in the same order
    assert (drop.value, drop.low, drop.high) == pytest.approx((0, -0.02, 0.02), abs=1e-6)


def test_a_class_that_differs_nowhere_keeps_its_doubt_beside_one_that_does():
    truth = np.concatenate([np.zeros(200), np.ones(6)])
    pruned = truth.copy()
    pruned[:20] = 1
    drop = drop_estimate(F1, truth, pruned, truth)
    assert drop.value - drop.low >= 0.25 - 1e-9
    assert drop.high - drop.value >= 0.25 - 1e-9


def test_a_class_absent_from_the_sample_is_left_out_and_one_only_predicted_counts_as_0():
    truth = np.repeat([0.0, 7.0], 20)  # 1 to 6 do not occur
    assert metric_estimate(F1, truth, truth).value == 1
    stray = truth.copy()
    stray[0] = 3
    assert metric_estimate(F1, stray, truth).value == pytest.approx((2 * 19 / 39 + 1 + 0) / 3)


@pytest.mark.parametrize(
    ("predictions", "truth", "what"), [((2, 2, 2), (1, 2, 3), "predictions"), ((1, 2, 3), (4, 4, 4), "labels")]
)
def test_one_rank_for_all_is_a_failure_and_never_0(predictions, truth, what):
    predictions, truth = column(*predictions), column(*truth)
    for call in (
        lambda: metric_estimate(SPEARMAN, predictions, truth),
        lambda: drop_estimate(SPEARMAN, column(1, 2, 3), predictions, truth),
    ):
        with pytest.raises(UndefinedMetricError, match=f"Spearman is undefined: all 3 {what} are equal"):
            call()


def test_draws_on_which_nothing_can_be_compared_are_left_out():
    """One prediction differs from the rest: a third of the draws misses it and has no correlation."""
    truth, predictions = np.arange(50.0), np.zeros(50)
    predictions[49] = 1
    assert 0.3 < np.isnan(bootstrap._replicates("spearman", predictions, truth)).mean() < 0.45
    drop = drop_estimate(SPEARMAN, truth, predictions, truth)
    assert all(math.isfinite(x) for x in (drop.low, drop.value, drop.high))


def held(scale, draw, n, rounds):
    """How often the intervals of metric and drop hold the truth."""
    rng = np.random.default_rng(6)
    truth, dense, pruned = draw(rng, 300_000)
    ones = np.ones((len(truth), 1))
    of = bootstrap.STATISTICS[scale.aggregate].of
    metric = float(of(pruned, truth, ones)[0])
    worse = float(of(dense, truth, ones)[0]) - metric
    found = np.zeros((rounds, 2))
    for i in range(rounds):
        truth, dense, pruned = draw(rng, n)
        a, b = metric_estimate(scale, pruned, truth), drop_estimate(scale, dense, pruned, truth)
        found[i] = a.low <= metric <= a.high, b.low <= worse <= b.high
    return found.mean(0)


EVEN, RARE, TEN = (0.34, 0.33, 0.33), (0.8, 0.15, 0.05), (0.1,) * 10


@pytest.mark.parametrize("changed", [0.02, 0.2])
@pytest.mark.parametrize(("shares", "n"), [(EVEN, 50), (RARE, 50), (RARE, 200), (TEN, 200)])
def test_intervals_of_macro_f1_hold_what_they_promise(shares, n, changed):
    """A dense model that guesses on 15 % of the examples, and a pruned one that guesses again on some."""

    def draw(rng, size):
        guesses = rng.choice(len(shares), size=(3, size), p=shares).astype(float)
        dense = np.where(rng.random(size) < 0.15, guesses[1], guesses[0])
        return guesses[0], dense, np.where(rng.random(size) < changed, guesses[2], dense)

    assert (held(F1, draw, n, rounds=300) >= 0.92).all()  # two standard errors of 300 rounds are 0.025


@pytest.mark.parametrize("n", [20, 100])
@pytest.mark.parametrize(("rho", "noise"), [(0.8, 0.5), (0.8, 0.05), (0.95, 2.0)])
def test_intervals_of_spearman_hold_what_they_promise(rho, noise, n):
    """Normal predictions of correlation rho with the truth, and a pruned model that adds noise to them."""

    def draw(rng, size):
        truth = rng.normal(size=size)
        dense = rho * truth + math.sqrt(1 - rho * rho) * rng.normal(size=size)
        return truth, dense, dense + noise * rng.normal(size=size)

    assert (held(SPEARMAN, draw, n, rounds=300) >= 0.92).all()
