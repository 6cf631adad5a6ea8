"""A plan made better by measuring around it, on joint harms that are known."""

from itertools import product

import pytest

from core.plans.solver.knapsack import least_harm
from core.tuning.refine import refine

COSTS = [(4.0, 3.0, 2.0, 1.0)] * 3
EVERY = [range(4)] * 3


def choose_within(budget):
    return lambda rows, windows: least_harm(rows, budget, windows).levels


def cost(levels):
    return sum(row[level] for row, level in zip(COSTS, levels, strict=True))


def interacting(levels):
    """The first two rows do harm only together, the third alone: as single cuts, the first two would be free."""
    return float(levels[0] * levels[1] + 0.6 * levels[2])


def test_leaves_a_plan_that_single_cuts_call_free():
    found = refine(COSTS, (3, 2, 0), EVERY, choose_within(7.0), interacting)
    assert interacting((3, 2, 0)) == 6
    assert cost(found.levels) <= 7
    assert found.harm == interacting(found.levels)
    best = min(interacting(levels) for levels in product(range(4), repeat=3) if cost(levels) <= 7)
    assert found.harm == pytest.approx(best)


def test_never_becomes_worse_whatever_is_measured():
    def jumpy(levels):
        return float((7 * levels[0] + 3 * levels[1] + 5 * levels[2]) % 11)

    for start in ((1, 1, 1), (3, 0, 1), (2, 2, 2)):
        found = refine(COSTS, start, EVERY, choose_within(cost(start)), jumpy, rounds=6)
        assert found.harm == jumpy(found.levels) <= jumpy(start)
        assert min(found.harms) == found.harm


def test_rows_that_may_not_move_stay():
    found = refine(COSTS, (3, 2, 0), [(3,), (0, 1, 2, 3), (0, 1, 2, 3)], choose_within(8.0), interacting)
    assert found.levels[0] == 3


def test_a_neighbour_that_cannot_run_is_not_chosen():
    def measure(levels):
        return None if levels[2] > 0 else interacting(levels)

    found = refine(COSTS, (2, 1, 0), EVERY, choose_within(9.0), measure)
    assert found.levels[2] == 0
    assert refine(COSTS, (0, 0, 1), EVERY, choose_within(9.0), measure) is None


def test_a_plan_that_is_the_best_already_ends_the_search():
    told = []
    found = refine(
        COSTS, (0, 0, 0), EVERY, choose_within(12.0), interacting, 10, lambda done, harm, at: told.append(harm)
    )
    assert found.levels == (0, 0, 0)
    assert len(told) == 2  # the reach is halved from two levels to none
