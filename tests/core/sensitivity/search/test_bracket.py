"""Which cells of a target are wanted next, by hand."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.sensitivity.search.bracket import bracket, rising
from core.sensitivity.search.curtailment import Look


def looks(*described):
    """`"w"`, `"b"`: decided. A number: undecided, with that forecast, of no error."""
    verdicts = {"w": Look("within", 0.0, 0.0, 500), "b": Look("beyond", 9.0, 0.0, 500)}
    return [verdicts[d] if isinstance(d, str) else Look(None, d, 0.0, 50) for d in described]


def test_both_cells_beside_the_crossing_are_wanted_first():
    found = bracket(looks(0.1, 0.2, 0.6, 1.4, 3.0), 1.0)
    assert (found.answer, found.certain, found.wanted) == (2, False, (2, 3))


def test_at_the_ends_of_the_grid_only_one_cell_is_wanted():
    assert bracket(looks(0.1, 0.2, 0.3), 1.0).wanted == (2,)
    assert bracket(looks(2.0, 3.0), 1.0).wanted == (0,)


def test_a_decided_cell_narrows_the_search_to_its_side():
    assert bracket(looks(0.1, 0.2, 0.6, "w", 3.0, 0.5), 1.0).wanted == (4,)  # pooled with 0.5 it is still beyond
    assert bracket(looks(0.1, 0.2, "b", 0.1, 0.1), 1.0).wanted == (1,)


def test_the_answer_is_certain_when_both_sides_are_decided():
    for seen, answer in ((looks(0.1, "w", "b", 5.0), 1), (looks(0.1, "w"), 1), (looks("b", 0.5), -1), ([], -1)):
        found = bracket(seen, 1.0)
        assert (found.answer, found.certain, found.wanted, found.monotone) == (answer, True, (), True)


def test_a_cell_below_the_answer_that_looks_beyond_is_measured_before_the_answer_is_certain():
    found = bracket(looks(0.1, 2.0, 0.1, 0.2, "w", "b"), 1.0)
    assert (found.answer, found.certain, found.wanted) == (4, False, (1,))


def test_the_cell_beside_the_answer_must_be_within_by_a_standard_error():
    seen = looks(0.1, 0.6, "w", "b")
    assert bracket(seen, 1.0).certain
    seen[1] = Look(None, 0.6, 0.5, 50)
    assert bracket(seen, 1.0).wanted == (1,)
    seen[0], seen[1] = seen[1], seen[0]  # further away its word is taken
    assert bracket(seen, 1.0).certain


def test_a_bump_ends_the_prefix_and_is_reported():
    found = bracket(looks(0.1, "b", 0.1, "w", "b"), 1.0)
    assert (found.answer, found.wanted, found.monotone) == (0, (0,), False)
    assert bracket(looks("w", "b", 0.1, "w", "b"), 1.0).certain


def test_nothing_known_starts_at_the_bottom():
    assert bracket([Look(None, math.inf, 0.0, 1)] * 3, 1.0).wanted == (0,)


def test_pooling_by_hand():
    assert rising([1.0, 3.0, 2.0, 4.0], [1, 1, 1, 1]) == [1.0, 2.5, 2.5, 4.0]
    assert rising([3.0, 0.0], [1, 2]) == [1.0, 1.0]
    assert rising([], []) == []


@given(values=st.lists(st.floats(-5, 5), max_size=12))
def test_a_fit_rises_keeps_the_mean_and_leaves_a_rising_curve_alone(values):
    fitted = rising(values, [1.0] * len(values))
    assert all(a <= b + 1e-9 for a, b in itertools.pairwise(fitted))
    assert sum(fitted) == pytest.approx(sum(values), abs=1e-6)
    assert rising(sorted(values), [1.0] * len(values)) == sorted(values)
