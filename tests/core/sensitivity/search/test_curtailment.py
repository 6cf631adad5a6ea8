"""Judging a finite list by its first examples: rarely wrong, early where it is clear, and exact at the end."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import Scale
from core.sensitivity.search.curtailment import LEVEL, decision, look
from core.sensitivity.statistics.intervals import drop_estimate, tango

ACCURACY = Scale("accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)
ERROR = Scale("error", "fraction", higher_is_better=False, low=0.0, high=1.0)
NATS = Scale("loss", "nats", higher_is_better=False, low=0.0, high=None)
PERPLEXITY = Scale("perplexity", "per token", higher_is_better=False, low=1.0, high=None, aggregate="exp_mean")
F1 = Scale("F1", "fraction", True, 0.0, 1.0, "macro_f1")  # type: ignore[arg-type]


def pairs(lost, won, n):
    """Accuracy scores of n examples in a list, of which some are lost and some are won."""
    dense, pruned = np.ones(n), np.ones(n)
    pruned[:lost] = 0
    dense[lost : lost + won] = 0
    return dense, pruned


def verdicts(scale, dense, pruned, tolerance, rounds, step=50, weights=None):
    """The first verdict in each of several random orders, and the mean number of examples it took."""
    rng, n, found, spent = np.random.default_rng(11), len(dense), [], 0
    for _ in range(rounds):
        order = rng.permutation(n)
        for end in (*range(step, n, step), n):
            rows = order[:end]
            w = None if weights is None else weights[rows]
            verdict = decision(scale, dense[rows], pruned[rows], w, n, tolerance)
            if verdict:
                break
        found.append(verdict)
        spent += end
    return found, spent / rounds


@pytest.mark.parametrize("shift", [0.0, -1e-9], ids=["just within", "just beyond"])
def test_a_cell_on_the_very_edge_is_misjudged_no_more_often_than_the_level(shift):
    dense, pruned = pairs(60, 20, 2000)
    tolerance = tango(60, 20, 2000)[1] + shift
    truth = "beyond" if shift else "within"
    found, spent = verdicts(ACCURACY, dense, pruned, tolerance, rounds=120)
    assert np.mean([verdict != truth for verdict in found]) <= LEVEL + 3 * math.sqrt(LEVEL / 120)
    assert spent > 1000  # an honest judge needs most of the examples here


@pytest.mark.parametrize(
    ("lost", "won", "truth", "most"), [(4, 4, "within", 1300), (0, 0, "within", 1000), (600, 100, "beyond", 600)]
)
def test_what_is_clear_is_decided_early_and_never_wrongly(lost, won, truth, most):
    dense, pruned = pairs(lost, won, 10_000)
    found, spent = verdicts(ACCURACY, dense, pruned, 0.01, rounds=20)
    assert set(found) == {truth}
    assert spent < most


@pytest.mark.parametrize("scale", [NATS, PERPLEXITY], ids=["mean", "exp_mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_are_misjudged_no_more_often_than_the_level_and_decided_early_where_it_is_clear(scale, weighted):
    rng, n = np.random.default_rng(12), 1500
    dense = rng.gamma(4, 0.4, size=n)
    pruned = dense + rng.gamma(2, 0.05, size=n) - 0.05
    weights = rng.integers(1, 20, size=n).astype(float) if weighted else None
    full = drop_estimate(scale, dense, pruned, weights)
    for tolerance, truth in ((full.high + 1e-9, "within"), (full.high - 1e-9, "beyond")):
        found, _ = verdicts(scale, dense, pruned, tolerance, rounds=60, weights=weights)
        assert np.mean([verdict != truth for verdict in found]) <= LEVEL + 3 * math.sqrt(LEVEL / 60)
    half = full.high - full.value
    for tolerance, truth in ((full.high + 12 * half, "within"), (full.high - 12 * half, "beyond")):
        found, spent = verdicts(scale, dense, pruned, tolerance, rounds=20, weights=weights)
        assert set(found) == {truth}
        assert spent < n / 4


def test_bounded_scores_that_are_not_0_or_1_are_judged():
    rng, n = np.random.default_rng(13), 2000
    dense = rng.beta(8, 2, size=n)
    pruned = np.clip(dense - rng.normal(0.02, 0.1, size=n), 0, 1)
    full = drop_estimate(ACCURACY, dense, pruned)
    for tolerance, truth in ((full.high + 1e-9, "within"), (full.high - 1e-9, "beyond")):
        found, _ = verdicts(ACCURACY, dense, pruned, tolerance, rounds=60)
        assert np.mean([verdict != truth for verdict in found]) <= LEVEL + 3 * math.sqrt(LEVEL / 60)
    found, spent = verdicts(ACCURACY, dense, pruned, full.high + 0.05, rounds=20)
    assert set(found) == {"within"}
    assert spent < n / 3


counts = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(2, 100))


@given(counts=counts, tolerance=st.floats(-0.5, 0.5), scale=st.sampled_from([ACCURACY, ERROR, NATS, PERPLEXITY]))
def test_all_examples_are_judged_as_the_drop_itself_is(counts, tolerance, scale):
    lost, won, same = counts
    dense, pruned = pairs(lost, won, lost + won + same)
    high = drop_estimate(scale, dense, pruned).high
    seen = look(scale, dense, pruned, None, len(dense), tolerance)
    assert (seen.verdict == "within") == (high <= tolerance)
    assert (seen.high, seen.error, seen.n) == (high, 0, len(dense))


@settings(max_examples=60)
@given(counts=counts, tolerance=st.floats(-0.5, 0.5), more=st.integers(1, 200))
def test_the_direction_makes_no_difference(counts, tolerance, more):
    lost, won, same = counts
    dense, pruned = pairs(lost, won, lost + won + same)
    n = len(dense) + more
    a = look(ACCURACY, dense, pruned, None, n, tolerance)
    b = look(ERROR, pruned, dense, None, n, tolerance)
    if abs(lost - won) > 0 or lost == 0:  # else rounding may decide
        assert a == b


def test_what_cannot_be_averted_any_more_is_certain():
    dense, pruned = pairs(40, 0, 60)
    # 40 of 100 are lost already: even if the other 40 examples were all won, it would be 0
    assert decision(ACCURACY, dense, pruned, None, 100, -0.2) == "beyond"
    assert decision(ACCURACY, *pairs(0, 0, 95), None, 100, 0.3) == "within"


def test_too_few_examples_or_no_spread_decide_nothing():
    for scale in (ACCURACY, NATS, PERPLEXITY):
        one = np.ones(1)
        assert look(scale, one, one, None, 100, 0.01).verdict is None
    same = np.full(10, 0.5)
    assert look(NATS, same, same + 0.1, None, 100, 0.5).verdict is None
    assert look(NATS, same, same + 0.1, None, 100, 0.5).high == pytest.approx(0.1, abs=1e-9)
    assert look(NATS, same, same + 0.1, None, 10, 0.5).verdict == "within"


@pytest.mark.parametrize("scale", [NATS, PERPLEXITY])
def test_a_few_examples_without_a_range_decide_nothing_however_clear_they_are(scale):
    dense = np.random.default_rng(0).gamma(2.0, size=1000)
    pruned = dense + np.random.default_rng(1).normal(0.0, 0.01, 1000)  # whether one of the rest breaks, nobody has seen
    for n in (20, 100, 299):
        assert look(scale, dense[:n], pruned[:n], None, 1000, 5.0).verdict is None
    assert look(scale, dense[:400], pruned[:400], None, 1000, 5.0).verdict == "within"


@pytest.mark.parametrize("tolerance", [0.0, -0.02])
def test_a_tolerance_of_nothing_or_less_can_be_asked_for(tolerance):
    worse, better = pairs(300, 0, 1000), pairs(0, 300, 1000)
    rng = np.random.default_rng(14).permutation(1000)[:300]
    assert decision(ACCURACY, worse[0][rng], worse[1][rng], None, 1000, tolerance) == "beyond"
    assert decision(ACCURACY, better[0][rng], better[1][rng], None, 1000, tolerance) == "within"


def test_the_forecast_is_what_all_examples_say_but_for_its_error():
    rng, n = np.random.default_rng(15), 4000
    dense, pruned = pairs(160, 60, n)
    full = drop_estimate(ACCURACY, dense, pruned).high
    off = []
    for _ in range(200):
        rows = rng.permutation(n)[:1000]
        seen = look(ACCURACY, dense[rows], pruned[rows], None, n, 0.01)
        off.append((seen.high - full) / seen.error)
    assert abs(np.mean(off)) < 0.3
    assert np.std(off) == pytest.approx(1, abs=0.25)
