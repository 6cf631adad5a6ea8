"""What the runs that tune are asked to do: what is no answerable question is refused in one sentence."""

import pytest

from core import SecateurError
from core.tuning.request import RefineRequest, checked_left, checked_tolerance

NO_NUMBERS = (None, True, "0.5", float("nan"), float("inf"), 0, -1, 10**400)


@pytest.mark.parametrize("given", [*NO_NUMBERS, 1.5])
def test_what_may_be_left_is_a_fraction(given):
    with pytest.raises(SecateurError, match="a fraction in"):
        checked_left(given, "nonzeros")
    assert checked_left(1, "nonzeros") == 1.0


@pytest.mark.parametrize("given", NO_NUMBERS)
def test_a_tolerance_is_a_finite_drop_above_0(given):
    with pytest.raises(SecateurError, match="a tolerance is a drop above 0"):
        checked_tolerance(given)
    assert checked_tolerance(3) == 3.0


@pytest.mark.parametrize("rules", [None, 5, {}, {"verb": "lock"}, "", "lock"])
def test_rules_are_a_list_and_nothing_that_merely_reads_like_one(rules):
    with pytest.raises(SecateurError, match="rules are a list of objects"):
        RefineRequest("m", 0.5, rules=rules)
    assert RefineRequest("m", 0.5, rules=[]).rules == ()
