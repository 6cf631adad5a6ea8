"""How many of a list are marked: bounds that hold at every moment of a random order."""

from itertools import pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.sensitivity.statistics.urn import FEW, bounds


def test_is_the_ratio_of_a_belief_to_each_number_by_hand():
    total, drawn, marked, alpha = 6, 4, 1, 0.2
    belief = np.array([FEW / (k + 1) ** 2 for k in range(total + 1)])
    belief = belief / belief.sum() * FEW + (1 - FEW) / (total + 1)
    # chance that the first four draws are as they were, of one order, with k marked among six
    chance = [comb(total - drawn, k - marked) / comb(total, k) if 0 <= k - marked <= 2 else 0.0 for k in range(7)]
    evidence = float(belief @ chance)
    left = [k for k in range(7) if chance[k] > 0 and evidence / chance[k] < 1 / alpha]
    assert bounds(drawn, marked, total, alpha) == (min(left), max(left))


@given(total=st.integers(1, 400), data=st.data())
def test_holds_what_was_seen_and_ends_at_the_truth(total, data):
    marked = data.draw(st.integers(0, total))
    drawn = data.draw(st.integers(0, total))
    seen = data.draw(st.integers(max(0, drawn - (total - marked)), min(marked, drawn)))
    least, most = bounds(drawn, seen, total, 0.05)
    assert seen <= least <= most <= total - (drawn - seen)
    assert bounds(total, marked, total, 0.05) == (marked, marked)


@pytest.mark.parametrize("marked", [0, 3, 40, 500])
def test_lies_outside_at_any_moment_no_more_often_than_promised(marked):
    rng, total, alpha, missed = np.random.default_rng(marked), 1000, 0.1, 0
    for _ in range(300):
        order = rng.permutation(total) < marked
        for n in range(20, total, 70):
            least, most = bounds(n, int(order[:n].sum()), total, alpha)
            if not least <= marked <= most:
                missed += 1
                break
    assert missed / 300 <= alpha + 0.05  # three standard errors


def test_of_a_list_of_which_nothing_marked_was_drawn_it_is_little_wider_than_one_test():
    drawn, total, alpha = 400, 2000, 0.02
    _, most = bounds(drawn, 0, total, alpha)
    alone = max(k for k in range(total - drawn) if comb(total - k, drawn) / comb(total, drawn) > alpha)
    assert alone <= most <= 1.3 * alone


def test_more_draws_without_a_mark_only_lower_it():
    most = [bounds(n, 0, 500, 0.03)[1] for n in range(0, 501, 25)]
    assert all(a >= b for a, b in pairwise(most))
    assert most[-1] == 0
