"""Neighbours of a plan, what they cost, and the order of the map. No torch."""

from core import Cut, Estimate, SparsityPlan
from core.plans.costs.left import plan_cost
from core.sensitivity.inside import undo_words
from core.sensitivity.inside.report import Moved, RowWorth, UndoReport, first_rows, ordered
from core.sensitivity.inside.rows import cost_between, cost_of, neighbours
from core.workload.description import Description
from core.workload.scale import Scale
from core.workload.target import Target

ACCURACY = Scale("accuracy", "fraction", higher_is_better=True, low=0, high=1)
TARGETS = (
    Target("a", "weight", "Linear", "a.weight", (10, 10), 100),
    Target("b", "weight", "Linear", "b.weight", (30, 10), 300),
    Target("att:0", "head", "Attention", "att.out.weight", (8, 8), 32, layer="att", head=0),
    Target("a", "channel", "Linear", "a.weight", (4, 10), 40, n_units=4),
)
FOUND = Description("m", "m", "x", ACCURACY, 100, None, None, 100, 400, TARGETS[:2], ())
PLAN = SparsityPlan((Cut("a", "weight", 0.5), Cut("b", "weight", 0.9), Cut("att:0", "head")), "m")


def _rows(found):
    """Those of a, b and the head; a plan has an order of its own."""
    of = {one.cut.target: one for one in found}
    return of["a"], of["b"], of["att:0"]


def test_each_row_is_given_back_alone_and_all_else_stays():
    found = neighbours(PLAN, TARGETS)
    assert [one.cut for one in found] == list(PLAN.cuts)
    assert [set(PLAN.cuts) - set(one.without.cuts) for one in found] == [{cut} for cut in PLAN.cuts]
    assert all(len(one.without.cuts) == 2 for one in found)


def test_a_step_further_is_the_next_that_was_swept_else_the_next_that_is_swept_by_default():
    swept = [Cut("a", "weight", s) for s in (0.25, 0.5, 0.75)] + [Cut("a", "weight", 0.6, "random")]
    a, b, head = _rows(neighbours(PLAN, TARGETS, swept))
    assert a.step == Cut("a", "weight", 0.75)
    assert a.further == SparsityPlan((Cut("a", "weight", 0.75), Cut("b", "weight", 0.9), Cut("att:0", "head")), "m")
    assert b.step == Cut("b", "weight", 0.95)
    assert (head.step, head.further) == (None, None)


def test_there_is_nothing_beyond_the_last_level_nor_of_a_pattern_that_says_how_much_goes():
    plan = SparsityPlan((Cut("b", "weight", 0.95), Cut("a", "2:4")))
    assert [one.step for one in neighbours(plan, TARGETS)] == [None, None]
    assert neighbours(PLAN, TARGETS, further=False)[0].further is None


def test_channels_step_to_a_level_that_takes_more_of_them():
    (one,) = neighbours(SparsityPlan((Cut("a", "channel", 0.25),)), TARGETS)
    assert one.step == Cut("a", "channel", 0.4)  # 0.3 of 4 is 1 as well; 0.4 of 4 is 2


def test_what_comes_back_is_a_share_of_the_dense_model():
    a, b, _ = _rows(neighbours(PLAN, TARGETS[:3], further=False))
    found = Description("m", "m", "x", ACCURACY, 100, None, None, 100, 400, TARGETS[:3], ())
    assert cost_between(a.without, PLAN, found)["nonzeros"] == 50 / 400
    assert cost_between(b.without, PLAN, found)["nonzeros"] == 270 / 400
    assert "flops" not in cost_between(b.without, PLAN, found)
    assert plan_cost(a.without, found, "nonzeros").value - plan_cost(PLAN, found, "nonzeros").value == 50


def test_the_cost_that_rows_stand_beside_is_what_the_plan_was_made_for():
    assert cost_of(SparsityPlan((Cut("a", "weight", 0.5), Cut("b", "2:4")))) == "nonzeros"
    assert cost_of(PLAN) == "parameters"


def row(name, value, low, high, cost, state="measured"):
    return RowWorth(Cut(name, "weight", 0.5), Moved(state, Estimate(value, low, high, 100)), {"nonzeros": cost})


ROWS = (
    row("unsure", 0.02, -0.01, 0.05, 0.0001),
    row("dear", 0.05, 0.02, 0.08, 0.5),
    row("cheap", 0.03, 0.01, 0.05, 0.1),
    row("same", 0.0, -0.01, 0.01, 0.1, "no effect"),
    row("harms", -0.05, -0.08, -0.02, 0.1),
    row("free", 0.01, 0.005, 0.02, 0.0),
)


def test_rows_stand_by_what_they_give_back_per_cost_and_luck_comes_after_what_is_sure():
    names = [one.cut.target for one in ordered(ROWS, "nonzeros")]
    assert names == ["free", "cheap", "dear", "unsure", "harms", "same"]


def test_only_rows_that_surely_gain_are_given_back_together():
    tops = first_rows(ROWS, "nonzeros")
    assert [[cut.target for cut in top] for top in tops] == [["free", "cheap"], ["free", "cheap", "dear"]]
    assert first_rows(ROWS[:2], "nonzeros") == ()


def report():
    plan = SparsityPlan(tuple(one.cut for one in ROWS))
    return UndoReport("r", "m", ACCURACY, plan, "nonzeros", None, Estimate(0.1, 0.05, 0.15, 100), True, ROWS)


def test_a_row_in_words():
    said = {one.cut.target: undo_words.worth_text(report(), one) for one in ROWS}
    assert said["cheap"] == "worth 3.00 points [+1.00, +5.00], costs 10 %"
    assert said["unsure"] == "worth 2.00 points (may be 0) [−1.00, +5.00], costs < 0.1 %"
    assert said["same"] == "no effect, costs 10 %"
    assert said["harms"] == "worth −5.00 points [−8.00, −2.00], costs 10 %"
    assert undo_words.change_text(report(), ROWS[0].back) == "+2.00 [−1.00, +5.00]·"
    assert undo_words.change_text(report(), ROWS[1].back) == "+5.00 [+2.00, +8.00]"


def test_a_row_survives_the_trip_to_disk():
    one = RowWorth(
        Cut("a", "weight", 0.5),
        ROWS[0].back,
        {"nonzeros": 0.5},
        Cut("a", "weight", 0.6),
        Moved("failed", reason="why"),
        {"nonzeros": 0.1},
    )
    assert RowWorth.from_json(one.to_json()) == one
    assert RowWorth.from_json(ROWS[1].to_json()) == ROWS[1]
