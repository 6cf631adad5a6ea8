"""What is taken off the gain of rows that were chosen for looking good. No torch."""

import numpy as np
import pytest

from core.sensitivity.inside.flattered import flattery


def drawn(rng, truth, n=400):
    """Gains of one example, -1, 0 or 1, of which each row has a mean of its own."""
    return np.stack([rng.choice([-1.0, 0.0, 1.0], n, p=[0.1, 0.8 - m, 0.1 + m]) for m in truth])


def said_and_true(seed, truth):
    """By how much the two rows that look best gain more than they truly do, and what is taken off; rows add up here."""
    gains = drawn(np.random.default_rng(seed), truth)
    chosen = [int(at) for at in np.argsort(-gains.mean(axis=1))[:2]]
    together = gains[chosen].sum(axis=0)
    off = flattery(gains, [0.1] * len(truth), together, chosen)
    return together.mean() - sum(truth[at] for at in chosen), off


def test_of_rows_that_are_alike_most_of_what_luck_adds_is_taken_off():
    found = np.array([said_and_true(seed, [0.1] * 10) for seed in range(60)])
    surplus, off = found.mean(axis=0)
    assert surplus > 0.05  # the curse is there
    assert off == pytest.approx(surplus, rel=0.35)


def test_rows_that_are_far_apart_were_not_chosen_by_luck():
    found = np.array([said_and_true(seed, [0.5, 0.4, 0.02, 0.01]) for seed in range(20)])
    assert abs(found[:, 0].mean()) < 0.03
    assert found[:, 1].max() < 0.003


def test_what_does_not_go_along_with_the_rows_alone_is_not_taken_off():
    gains = drawn(np.random.default_rng(0), [0.1] * 10)
    assert flattery(gains, [0.1] * 10, np.zeros(400), [0, 1]) == 0.0
    assert flattery(gains, [0.1] * 10, gains[0] + gains[1], [0, 1]) > 0.0
