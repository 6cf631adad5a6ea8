"""Bounds of paired drops: by hand, by simulation, and against the sum that they are said to take."""

import math

import numpy as np
import pytest

from core import Scale, SecateurError
from core.certificates.bound import (
    check_bounded,
    examples_to_see,
    least_examples,
    level,
    lower_bound,
    more_examples,
    unit_drops,
    upper_bound,
)

ACCURACY = Scale("accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)
ERROR = Scale("error", "fraction", higher_is_better=False, low=0.0, high=1.0)
GRADE = Scale("grade", "points", higher_is_better=True, low=-50.0, high=50.0)
NATS = Scale("loss", "nats", higher_is_better=False, low=0.0, high=None)
LOOKS = (50, 100, 200, 400, 800, 1600)


def pairs(rng, n, lost, won):
    u = rng.random(n)
    return (u >= won) * 1.0, (u < 1 - lost) * 1.0


@pytest.mark.parametrize(("lost", "won"), [(0.03, 0.01), (0.2, 0.18), (0.005, 0.005)])
def test_the_bound_is_below_the_truth_at_any_look_in_five_histories_of_a_hundred_at_most(lost, won):
    rng, truth, missed, rounds = np.random.default_rng(3), lost - won, 0, 200
    for _ in range(rounds):
        dense, pruned = pairs(rng, LOOKS[-1], lost, won)
        missed += any(upper_bound(ACCURACY, dense[:n], pruned[:n], 0.05) < truth for n in LOOKS)
    assert missed / rounds <= 0.05


def test_bounds_of_either_side_mirror_each_other_and_the_direction_of_the_metric():
    dense, pruned = pairs(np.random.default_rng(0), 500, 0.1, 0.02)
    high, low = (of(ACCURACY, dense, pruned, 0.05) for of in (upper_bound, lower_bound))
    assert low < (dense - pruned).mean() < high
    assert upper_bound(ACCURACY, pruned, dense, 0.05) == pytest.approx(-low)
    assert upper_bound(ERROR, 1 - dense, 1 - pruned, 0.05) == pytest.approx(high)
    assert upper_bound(GRADE, 100 * dense - 50, 100 * pruned - 50, 0.05) == pytest.approx(100 * high)


def test_levels_of_all_certificates_together_take_what_one_alone_would():
    levels = [level(0.95, number) for number in range(1, 20_001)]
    assert sum(levels) == pytest.approx(0.05, rel=1e-4)
    assert sum(levels) < 0.05
    assert levels[0] == pytest.approx(0.05 * 6 / math.pi**2)
    assert level(0.95, 2) == pytest.approx(level(0.95, 1) / 4)


def test_fewer_examples_than_the_least_certify_nothing_even_where_nothing_changed():
    alpha = level(0.95, 1)
    least = least_examples(ACCURACY, 0.02, alpha)
    same = np.ones(least)
    assert upper_bound(ACCURACY, same, same, alpha) <= 0.02 + 1e-6
    few = np.ones(least // 2)
    assert upper_bound(ACCURACY, few, few, alpha) > 0.02
    assert least_examples(ACCURACY, 0.01, alpha) == pytest.approx(2 * least, rel=0.1)


def test_as_many_more_examples_as_it_says_certify_nine_times_in_ten():
    rng, within, alpha = np.random.default_rng(5), 0.03, 0.05
    dense, pruned = pairs(rng, 4000, 0.02, 0.01)
    more = more_examples(ACCURACY, unit_drops(ACCURACY, dense[:200], pruned[:200]), within, alpha)
    assert more is not None
    assert more > 0
    first = unit_drops(ACCURACY, dense[:200], pruned[:200])
    done = 0
    for _ in range(200):  # as it says: if what comes is like these
        drawn = np.concatenate([first, rng.choice(first, more)])
        done += upper_bound(ACCURACY, np.ones(len(drawn)), np.ones(len(drawn)) - (2 * drawn - 1), alpha) <= within
    assert done / 200 >= 0.9


def test_no_number_of_examples_is_named_where_they_are_on_the_wrong_side():
    dense, pruned = pairs(np.random.default_rng(1), 500, 0.1, 0.0)
    drops = unit_drops(ACCURACY, dense, pruned)
    assert more_examples(ACCURACY, drops, 0.01, 0.05) is None
    assert more_examples(ACCURACY, drops, 0.01, 0.05, below=False) == 0
    same = unit_drops(ACCURACY, dense, dense)
    assert more_examples(ACCURACY, same, 0.5, 0.05) == 0


def test_a_planted_loss_is_seen_at_the_n_that_is_announced():
    rng, alpha = np.random.default_rng(2), 0.05
    dense, other = pairs(rng, 1000, 0.02, 0.02)
    n = examples_to_see(ACCURACY, unit_drops(ACCURACY, dense, other), 0.02, 0.01, alpha)
    found = 0
    for _ in range(200):
        ours, theirs = pairs(rng, n, 0.04, 0.02)  # a true loss of two points
        found += lower_bound(ACCURACY, ours, theirs, alpha) > 0.01
    assert found / 200 >= 0.85  # of 0.9 in the long run


@pytest.mark.parametrize(
    ("scale", "weighted", "words"),
    [
        (NATS, False, "as bad as it likes"),
        (Scale("perplexity", "per token", False, 1.0, None, "exp_mean"), False, "as bad as it likes"),
        (Scale("macro F1", "fraction", True, 0.0, 1.0, "macro_f1"), False, "number of the whole set"),
        (ACCURACY, True, "have weights"),
    ],
)
def test_what_has_no_bound_is_refused_with_what_would_have_one(scale, weighted, words):
    with pytest.raises(SecateurError, match=words) as refusal:
        check_bounded(scale, weighted)
    assert "such as accuracy" in str(refusal.value)


def test_accuracy_is_not_refused():
    check_bounded(ACCURACY, weighted=False)
