"""Schedules: sparsity as a function of the round."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core import Cut, SecateurError, SparsityPlan
from core.plans.schedules import SCHEDULES, Schedule, rounds_for, usual_rounds_of_plan

fractions = st.floats(0, 0.99)


@st.composite
def schedules(draw):
    initial, final = sorted((draw(fractions), draw(fractions)))
    name = draw(st.sampled_from(sorted(SCHEDULES)))
    return Schedule(name, initial, final, 1 if name == "one_shot" else draw(st.integers(1, 30)))


def test_cubic_by_hand():
    # 0.8 - 0.8 (1 - t/4)³: of the way 37/64, 56/64, 63/64, all
    wanted = [0.8 * 37 / 64, 0.8 * 56 / 64, 0.8 * 63 / 64, 0.8]
    assert Schedule("cubic", 0.0, 0.8, 4).sparsities() == pytest.approx(wanted)


def test_linear_by_hand():
    assert Schedule("linear", 0.2, 0.8, 3).sparsities() == pytest.approx([0.4, 0.6, 0.8])


def test_geometric_removes_the_same_share_of_what_remains_in_every_round():
    # a fifth each: 0.8, 0.64 and 0.512 remain
    assert Schedule("geometric", 0.0, 0.488, 3).sparsities() == pytest.approx([0.2, 0.36, 0.488])


def test_one_shot_is_one_round():
    assert Schedule("one_shot", 0.0, 0.9, 1).sparsities() == (0.9,)
    with pytest.raises(SecateurError, match="one_shot prunes in 1 iteration, got num_iterations=3"):
        Schedule("one_shot", 0.0, 0.9, 3)


@pytest.mark.parametrize(("final", "rounds"), [(0.2, 1), (0.36, 2), (0.37, 3), (0.9, 11)])
def test_a_fifth_of_what_remains_takes_so_many_rounds(final, rounds):
    assert rounds_for(0.0, final) == rounds  # 0.8 ** 11 = 0.086: 91 % are gone


@settings(max_examples=500, deadline=None)
@example(Schedule("geometric", 5.389026154605494e-217, 2.220446049250313e-16, 5), 0.0)
@given(schedules(), fractions)
def test_every_schedule_ends_where_it_should_and_never_falls(schedule, own):
    for final in (schedule.final_sparsity, own):
        found = schedule.sparsities(final)
        assert len(found) == schedule.num_iterations
        assert found[-1] == final
        assert all(a <= b for a, b in pairwise(found))
        assert 0 <= found[0] < 1
    shares = schedule.shares()
    assert shares[-1] == 1
    assert all(0 <= share <= 1 for share in shares)


def test_sparsities_of_ones_own_are_followed_in_proportion_by_a_target_that_ends_elsewhere():
    schedule = Schedule("given", given=(0.4, 0.6, 0.8))
    assert (schedule.final_sparsity, schedule.num_iterations) == (0.8, 3)
    assert schedule.sparsities() == (0.4, 0.6, 0.8)
    assert schedule.sparsities(0.4) == pytest.approx((0.2, 0.3, 0.4))


def test_a_target_that_ends_below_the_initial_sparsity_starts_there():
    assert Schedule("linear", 0.5, 0.9, 2).sparsities(0.3) == (0.3, 0.3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "fast"}, "no schedule 'fast'; choose one of"),
        ({"initial_sparsity": 0.9, "final_sparsity": 0.5}, "weights that are gone do not come back; exchange the two"),
        ({"final_sparsity": 90}, "Given a percentage"),
        ({"final_sparsity": float("nan")}, "must be a fraction"),
        ({"num_iterations": 0}, "whole number of at least 1, got 0"),
        ({"num_iterations": True}, "whole number of at least 1, got True"),
        ({"name": "given"}, "needs at least one"),
        ({"name": "given", "given": (0.5, 0.4)}, "fall from 0.5 to 0.4"),
        ({"given": (0.5,)}, "go with the schedule"),
        ({"name": "given", "given": (0.5, "x")}, "must be a fraction"),
    ],
)
def test_what_is_no_schedule_is_refused_with_what_to_do(fields, message):
    with pytest.raises(SecateurError, match=message):
        Schedule(**fields)


def test_a_plan_takes_the_rounds_that_its_sparsest_target_needs():
    plan = SparsityPlan((Cut("a", sparsity=0.1), Cut("b", sparsity=0.5)))
    assert usual_rounds_of_plan("geometric", 0.0, plan) == 4  # 0.8 ** 3 = 0.512, 0.8 ** 4 = 0.41
    assert usual_rounds_of_plan("geometric", 0.3, plan) == 2  # 0.7 * 0.8 = 0.56, 0.7 * 0.8 ** 2 = 0.448
    assert usual_rounds_of_plan("geometric", 0.9, plan) == 1
    assert usual_rounds_of_plan("geometric", 0.0, SparsityPlan((Cut("a:0", "head"),))) == 4
    assert usual_rounds_of_plan("cubic", 0.0, plan) == 5
