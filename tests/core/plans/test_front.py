"""The Pareto front of cost and drop, by hand and against the definition."""

from hypothesis import given
from hypothesis import strategies as st

from core.plans.front import front

NUMBERS = st.one_of(st.none(), st.sampled_from([float("nan"), 0.0, -0.0, 0.5, 1.0, 2.0, float("inf")]), st.floats(0, 9))


def test_of_four_plans_the_one_that_another_beats_in_both_is_left_out():
    cheap, middle, beaten, good = (1.0, 0.5), (2.0, 0.2), (3.0, 0.3), (4.0, 0.0)
    assert front([beaten, good, cheap, middle]) == (2, 3, 1)


def test_a_plan_that_costs_the_same_and_drops_less_beats_the_other_and_so_does_one_that_costs_less():
    assert front([(1, 0.2), (1, 0.1)]) == (1,)
    assert front([(2, 0.1), (1, 0.1)]) == (1,)


def test_equal_plans_are_on_the_front_together_or_not_at_all():
    assert front([(1, 0.1), (2, 0.0), (1, 0.1)]) == (0, 2, 1)
    assert front([(1, 0.1), (1, 0.1), (0, 0.1)]) == (2,)


def test_what_was_not_measured_is_not_on_the_front_and_beats_nobody():
    assert front([(None, 0.0), (0.0, None), (float("nan"), 0.0), (5.0, 9.0)]) == (3,)
    assert front([]) == ()


def dominates(a, b):
    return a[0] <= b[0] and a[1] <= b[1] and a != b


@given(points=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12))
def test_the_front_is_exactly_what_nothing_dominates(points):
    known = [i for i, point in enumerate(points) if all(value is not None and value == value for value in point)]
    wanted = {i for i in known if not any(dominates(points[j], points[i]) for j in known)}
    found = front(points)
    assert set(found) == wanted
    assert len(found) == len(wanted)
    assert [points[i] for i in found] == sorted(points[i] for i in wanted)
