"""The least harm within a budget, where costs add up and where two rows share what they save."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.plans.solver.knapsack import Row
from core.tuning.budget import least_harm_within

A = Row("a", (0.0, 1.0, 3.0), (10.0, 5.0, 0.0))
B = Row("b", (0.0, 2.0, 2.5), (10.0, 5.0, 0.0))


class Counted:
    """What is left of 20, and how often that was asked; where both are cut, `shared` was taken off twice."""

    def __init__(self, shared=0.0):
        self.shared, self.asked = shared, 0

    def __call__(self, levels):
        self.asked += 1
        a, b = levels
        return A.cost[a] + B.cost[b] + (self.shared if a and b else 0.0)


def test_where_costs_add_up_one_step_is_enough():
    count = Counted()
    found = least_harm_within((A, B), 11.0, 11.0, 20.0, count)  # 10 are left by cutting b whole, or both by half
    assert (found.levels, found.harm, found.feasible, count.asked) == ((0, 2), 2.5, True, 1)


def test_where_rows_share_what_they_save_the_budget_is_kept_as_counted():
    found = least_harm_within((A, B), 5.0, 5.0, 20.0, Counted(shared=3.0))
    assert found.feasible
    assert found.levels == (2, 2)  # 0 + 0 + 3; half of a and all of b leave 5 as they add up, and 8 as counted


def test_a_budget_out_of_reach_is_answered_with_the_least_cost_and_says_so():
    found = least_harm_within((A, B), 2.0, 2.0, 20.0, Counted(shared=3.0))
    assert (found.levels, found.feasible) == ((2, 2), False)


def test_only_allowed_levels_are_chosen():
    found = least_harm_within((A, B), 11.0, 11.0, 20.0, Counted(), ((0, 1), (0, 1)))
    assert found.levels == (1, 1)


def test_without_rows_nothing_can_be_chosen_and_the_rest_decides():
    assert least_harm_within((), 5.0, 0.0, 20.0, lambda levels: 4.0).feasible
    assert not least_harm_within((), 3.0, -1.0, 20.0, lambda levels: 4.0).feasible


@given(st.floats(0.0, 20.0), st.floats(0.0, 4.0))
def test_what_is_called_feasible_is_within_and_what_can_be_within_is(budget, shared):
    count = Counted(shared)
    found = least_harm_within((A, B), budget, budget, 20.0, count)
    every = [count(levels) for levels in itertools.product(range(3), range(3))]
    assert found.feasible == (count(found.levels) <= budget * (1 + 1e-9))
    if shared == 0:
        assert found.feasible == (min(every) <= budget * (1 + 1e-9))
        assert found.harm == pytest.approx(
            min((A.harm[a] + B.harm[b] for a, b in itertools.product(range(3), range(3))
                 if count((a, b)) <= budget * (1 + 1e-9)), default=5.5)
        )  # fmt: skip


def test_a_choice_that_stays_the_same_over_a_wide_range_of_limits_is_left_behind_in_one_step():
    """Too dear by 1 as counted; the next one costs 10 less, and a step by what it is off would take hundreds."""
    row = Row("a", (0.0, 1.0, 2.0, 50.0), (1000.0, 900.0, 890.0, 0.0))
    solution = least_harm_within([row], 900.0, 999.0, 1000.0, lambda levels: row.cost[levels[0]] + 1)
    assert solution.levels == (2,)
    assert solution.feasible


def test_a_budget_that_is_met_far_from_where_the_costs_say_is_not_answered_with_the_most_that_can_be_cut():
    row = Row("a", tuple(float(i) for i in range(201)), tuple(1000.0 - 5 * i for i in range(201)))
    counted = [min(1000.0, cost + 400) for cost in row.cost]
    solution = least_harm_within([row], 900.0, 999.0, 1000.0, lambda levels: counted[levels[0]])
    assert solution.feasible
    assert solution.harm <= 101
