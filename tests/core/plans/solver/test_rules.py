"""Rules by hand: who wins, what is left of a row, which rows go together."""

import json

import pytest

from core import SecateurError
from core.plans.solver.knapsack import Row, least_harm
from core.plans.solver.problem import posed
from core.plans.solver.rules import Allowed, Bounds, Rule, Rules, allowed_levels

GRID = (0.0, 0.25, 0.5, 0.75)


def allowed(*rules, name="stage1.conv", current=0.5, sparsities=GRID):
    return allowed_levels(name, sparsities, current, Rules(rules))


def test_without_rules_everything_is_allowed():
    assert allowed() == Allowed((0, 1, 2, 3))


def test_a_lock_keeps_the_sparsity_of_the_plan():
    assert allowed(Rule("lock", row="stage1.conv")) == Allowed((2,))
    assert allowed(Rule("lock", row="stage1")) == Allowed((0, 1, 2, 3))  # the name is the whole name


def test_a_lock_at_what_was_not_measured_takes_the_nearest_and_tells():
    found = allowed(Rule("lock", pattern="conv"), current=0.6)
    assert found.levels == (2,)
    assert found.note == "stage1.conv is locked at 0.6, where nothing was measured; 0.5 is nearest"


def test_never_is_no_cut():
    assert allowed(Rule("never", pattern=r"^stage1\.")) == Allowed((0,))


def test_bounds_leave_what_lies_between_and_on_them():
    assert allowed(Rule("bounds", pattern="", least=0.25, most=0.5)) == Allowed((1, 2))
    assert allowed(Rule("bounds", pattern="", least=0.3)) == Allowed((2, 3))


def test_bounds_between_two_levels_take_the_nearest_and_of_two_the_lesser_cut():
    found = allowed(Rule("bounds", pattern="", least=0.3, most=0.4))
    assert found.levels == (1,)
    assert "bound to 0.3 to 0.4, where nothing was measured; 0.25 is nearest" in found.note
    assert allowed(Rule("bounds", pattern="", least=0.375, most=0.375)).levels == (1,)


def test_a_head_goes_or_stays():
    assert allowed(Rule("bounds", pattern="", least=1), sparsities=(0.0, 1.0)) == Allowed((1,))
    assert allowed(Rule("never", pattern=""), sparsities=(0.0, 1.0)) == Allowed((0,))


def test_the_later_rule_wins():
    never, bounds = Rule("never", pattern=""), Rule("bounds", row="stage1.conv", least=0.5)
    assert allowed(never, bounds) == Allowed((2, 3))
    assert allowed(bounds, never) == Allowed((0,))
    assert allowed(bounds, Rule("lock", pattern=""), current=0.25) == Allowed((1,))


def test_of_two_bounds_the_later_end_counts_and_what_contradicts_it_gives_way():
    least, most = Rule("bounds", pattern="", least=0.5), Rule("bounds", pattern="", most=0.25)
    assert Rules((least, most)).bounds_of("a") == Bounds(False, 0.0, 0.25, (0, 1))
    assert Rules((most, least)).bounds_of("a") == Bounds(False, 0.5, 1.0, (0, 1))
    both = Rules((least, Rule("bounds", pattern="", most=0.75)))
    assert (both.bounds_of("a").least, both.bounds_of("a").most) == (0.5, 0.75)


def test_rules_survive_json():
    rules = Rules((Rule("lock", row="a"), Rule("bounds", pattern="b.*", least=0.1, most=1), Rule("tied", pattern="c")))
    assert Rules.from_json(json.loads(json.dumps(rules.to_json()))) == rules
    assert rules.to_json()[0] == {"verb": "lock", "row": "a"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"verb": "lock", "pattern": "("}, r"rule 1: '\(' is not a regular expression: missing \)"),
        ({"verb": "lok", "row": "a"}, "one of lock, never, bounds, tied, even; got 'lok'"),
        ({"verb": "lock"}, "either a row or a pattern"),
        ({"verb": "lock", "row": "a", "pattern": "a"}, "either a row or a pattern"),
        ({"verb": "lock", "row": 3}, "are text; got 3"),
        ({"verb": "bounds", "row": "a"}, "has a least or a most"),
        ({"verb": "lock", "row": "a", "most": 0.5}, "a bounds rule, and no other"),
        ({"verb": "bounds", "row": "a", "most": 50}, "Divide by 100"),
        ({"verb": "bounds", "row": "a", "most": "much"}, r"fractions in \[0, 1\], got 'much'"),
        ({"verb": "bounds", "row": "a", "least": 0.5, "most": 0.25}, "0.5, is above the most, 0.25; exchange them"),
        ({"verb": "lock", "row": "a", "colour": "red"}, "rule 1 must be an object with a verb"),
        ("lock", "rule 1 must be an object"),
    ],
)
def test_what_is_no_rule_is_told_with_its_number(fields, message):
    with pytest.raises(SecateurError, match=message):
        Rules.from_json([fields])


def test_rules_are_a_list():
    with pytest.raises(SecateurError, match="rules are a list"):
        Rules.from_json({"verb": "lock"})


def test_a_rule_that_speaks_of_nothing_is_found():
    rules = Rules((Rule("lock", row="conv1"), Rule("never", pattern="head")))
    assert rules.unused(["conv1", "fc"]) == (1,)


def test_ties_that_overlap_are_one_tie():
    rules = Rules((Rule("tied", pattern="q|k"), Rule("tied", pattern="k|v")))
    assert rules.tied(["q", "x", "v", "k"]) == ((0, 2, 3), (1,))
    assert Rules().tied(["a", "b"]) == ((0,), (1,))


A = Row("a", (0.0, 1.0, 2.0), (8.0, 6.0, 4.0))  # 0, 25, 50 %
B = Row("b", (0.0, 5.0), (20.0, 10.0))  # 0, 50 %
C = Row("c", (0.0, 0.5, 4.0), (8.0, 6.0, 4.0))
SPARSITIES = ((0.0, 0.25, 0.5), (0.0, 0.5), (0.0, 0.25, 0.5))


def test_tied_rows_are_added_up_over_the_sparsities_that_all_have():
    problem = posed([A, B, C], SPARSITIES, [0, 0, 0], Rules((Rule("tied", pattern="a|b"),)))
    assert problem.rows == (Row("a, b", (0.0, 7.0), (28.0, 14.0)), C)
    solved = least_harm(problem.rows, 21, problem.allowed)
    assert solved.levels == (1, 1)
    assert problem.spread(solved.levels) == (2, 1, 1)


def test_a_lock_on_one_of_the_tied_holds_all_of_them():
    rules = Rules((Rule("tied", pattern="a|b"), Rule("lock", row="a")))
    assert posed([A, B, C], SPARSITIES, [0.5, 0, 0], rules).allowed == ((1,), (0, 1, 2))


def test_tied_rows_that_cannot_agree_take_what_is_nearest_and_tell():
    rules = Rules((Rule("tied", pattern="a|b"), Rule("lock", row="a"), Rule("never", row="b")))
    problem = posed([A, B, C], SPARSITIES, [0.5, 0, 0], rules)
    assert problem.allowed[0] == (0,)
    assert problem.notes == ("a, b are tied, and no sparsity suits all; 0 is nearest",)


def test_tied_rows_without_a_common_sparsity_are_refused():
    with pytest.raises(SecateurError, match="a, b are tied and have no sparsity in common"):
        posed([A, B], ((0.0, 0.25, 0.5), (0.3, 0.6)), [0, 0], Rules((Rule("tied", pattern=""),)))


def test_no_rows_are_no_problem():
    assert posed([], [], [], Rules()).spread(()) == ()


def test_a_pattern_has_at_most_two_hundred_characters():
    assert Rule("lock", pattern="a" * 200).is_for("a" * 200)
    with pytest.raises(SecateurError, match="at most 200 characters, got 201: make several rules"):
        Rule("lock", pattern="a" * 201)
