"""The tuner's rows, what changes make of a plan, and goals: by hand on three targets."""

import itertools
from dataclasses import replace

import pytest

from core import Cut, SparsityPlan
from core.errors import SecateurError
from core.plans.costs.left import plan_cost
from core.plans.prediction import HarmCurve, Link, Predictor
from core.workload.description import Description, Held, MemoryUse
from core.workload.target import Member, Target
from dashboard.tuner.costs import cost_kinds, costs_left, with_costs
from dashboard.tuner.data import summed, tuner_data
from dashboard.tuner.edits import Edit, Goal, apply_changes, read_edits
from dashboard.tuner.goals import moving, solved, spared
from dashboard.tuner.rows import Hold, tuner_rows
from tests.scales import ACCURACY

SCALE = ACCURACY
A = Target("a", "weight", "Linear", "a.weight", (10, 10), 100)
B = Target("b", "weight", "Linear", "b.weight", (20, 10), 200)
GROUP = Target(
    "a", "channel", "Linear", "a.weight", (10, 10), 300, n_units=10,
    members=(Member("a", "outputs"), Member("b", "inputs")),
)  # fmt: skip
HEAD = Target("attn:0", "head", "Attention", "b.weight", (20, 10), 40, layer="attn", head=0)
FOUND = Description("m.py", "m", "f" * 64, SCALE, 100, None, None, 100, 330, (HEAD, GROUP, A, B), ())


def curve(target, levels, harm, criterion="magnitude"):
    return HarmCurve(target.name, target.granularity, criterion, 1, levels, harm)


CURVES = (
    curve(A, (0.0, 0.5, 0.9), (0.0, 0.1, 1.0)),
    curve(B, (0.0, 0.5, 0.9), (0.0, 0.4, 0.6)),
    curve(HEAD, (0.0, 1.0), (0.0, 0.3), None),
)
# a harm of 1 takes 10 points, of 3 no more than 20
LINK = Link((0.0, 1.0, 3.0), (0.9, 0.8, 0.7), (0.88, 0.75, 0.6), (0.92, 0.85, 0.8))
PREDICTOR = Predictor(SCALE, 0.9, 100, "metric", {one.key: one for one in CURVES}, LINK)
PLAN = SparsityPlan((Cut("a", "weight", 0.5), Cut("attn:0", "head"), Cut("b", "2:4")))


def rows_of(plan=PLAN, predictor=PREDICTOR, holds=None, found=FOUND):
    return with_costs(tuner_rows(found, plan, predictor, holds), cost_kinds(found), found)


def test_a_row_for_every_target_weights_first_and_what_goes_whole_last():
    a, b, group, head = rows_of()
    assert [row.key for row in (a, b, group, head)] == ["weight a", "weight b", "channel a", "head attn:0"]
    assert [row.sparsity for row in (a, b, group, head)] == [0.5, 0.0, 0.0, 1.0]
    assert [row.whole for row in (a, b, group, head)] == [False, False, False, True]
    assert (a.levels, a.harm) == ((0.0, 0.5, 0.9), (0.0, 0.1, 1.0))
    assert a.costs["nonzeros"] == (100.0, 50.0, 10.0)
    assert [(cut.key, cut.text, cut.harm) for cut in b.patterns] == [("2:4 b", "2:4", None)]


def test_what_was_not_measured_has_no_harm_and_still_a_cost():
    _, _, group, _ = rows_of()
    assert group.harm is None
    assert group.choices() == []
    blind = rows_of(predictor=None)
    assert {row.harm for row in blind} == {None}
    assert blind[0].costs["nonzeros"][0] == 100


def test_a_cut_by_another_criterion_keeps_it_and_is_not_predicted_by_the_usual_one():
    plan = SparsityPlan((Cut("a", "weight", 0.5, "wanda"),))
    a = rows_of(plan)[0]
    assert (a.criterion, a.harm) == ("wanda", None)
    assert a.cut(0.9).criterion == "wanda"
    only = Predictor(SCALE, 0.9, 100, "metric", {(c := curve(A, (0.0, 0.5), (0.0, 0.2), "wanda")).key: c}, LINK)
    assert rows_of(SparsityPlan(), only)[0].cut(0.5) == Cut("a", "weight", 0.5, "wanda")


def test_changes_replace_their_own_lines_and_no_other():
    plan = apply_changes(PLAN, rows_of(), {"weight b": 0.3, "head attn:0": 0, "channel a": 0.2})
    assert set(plan.cuts) == {
        Cut("a", "weight", 0.5), Cut("b", "weight", 0.3), Cut("b", "2:4"), Cut("a", "channel", 0.2),
    }  # fmt: skip
    assert apply_changes(plan, rows_of(), {"weight a": 0.0, "2:4 b": 0.0, "weight gone": 0.5}).cuts == tuple(
        sorted({Cut("b", "weight", 0.3), Cut("a", "channel", 0.2)})
    )


def test_a_change_that_is_no_sparsity_is_refused():
    with pytest.raises(SecateurError, match=r"sparsity of a must be a fraction in \[0, 1\)"):
        apply_changes(PLAN, rows_of(), {"weight a": 1.0})


def test_edits_come_in_their_order_and_nonsense_is_refused():
    drawing, edits = read_edits(
        {"drawing": "x", "edits": [{"number": 2, "goal": {"kind": "nonzeros", "value": 0.5}},
                                   {"number": 1, "changes": {"weight a": 0.25}, "holds": {"weight b": [True, 0, 1]}}]}
    )  # fmt: skip
    assert drawing == "x"
    assert edits == (
        Edit(1, {"weight a": 0.25}, {"weight b": Hold(True, 0.0, 1.0)}), Edit(2, goal=Goal("nonzeros", 0.5)),
    )  # fmt: skip
    asked = [{"number": 1, "goal": {"kind": "flops", "value": 0.5, "cost": "flops", "even": True}}]
    assert read_edits({"drawing": "x", "edits": asked})[1][0].goal == Goal("flops", 0.5, "flops", even=True)
    for nonsense in (None, {}, {"drawing": "x", "edits": [{}]}, {"drawing": "x", "edits": [{"number": "one"}]}):
        with pytest.raises(SecateurError, match="reload the page"):
            read_edits(nonsense)


EMPTY = SparsityPlan()


def answer(goal, plan=EMPTY, holds=None, found=FOUND):
    done = solved(goal, rows_of(plan, holds=holds, found=found), plan, PREDICTOR, found)
    return done.plan, done.note


LAYERS = Description("m.py", "m", "f" * 64, SCALE, 100, None, None, 100, 330, (A, B), ())


@pytest.mark.parametrize("left", [0.95, 0.8, 0.6, 0.5, 0.4, 0.25, 0.1])
def test_a_goal_is_met_with_the_least_harm_that_any_choice_of_levels_has(left):
    plan, note = answer(Goal("nonzeros", left), found=LAYERS)
    assert plan_cost(plan, LAYERS, "nonzeros").value <= left * 300 + 1e-9
    assert note.startswith(f"{100 * left:g} % asked, ")
    assert note.endswith(" reached: solved exactly")
    levels = [round(0.05 * i, 2) for i in range(19)]
    harms = [
        CURVES[0].at(a) + CURVES[1].at(b)
        for a, b in itertools.product(levels, levels)
        if 100 * (1 - a) + 200 * (1 - b) <= left * 300 + 1e-9
    ]
    assert PREDICTOR.predict(plan).harm == pytest.approx(min(harms))


def test_a_locked_row_stays_and_counts_and_bounds_hold():
    start = SparsityPlan((Cut("a", "weight", 0.25),))
    plan, _ = answer(Goal("nonzeros", 0.5), start, {"weight a": Hold(True)}, LAYERS)
    assert plan.sparsity_of("a") == 0.25
    assert plan.sparsity_of("b") >= 0.625  # 75 stay in `a`, so at most 75 of the 200 in `b`
    plan, _ = answer(Goal("nonzeros", 0.6), start, {"weight b": Hold(False, 0.0, 0.3)}, LAYERS)
    assert plan.sparsity_of("b") <= 0.3
    assert plan.sparsity_of("a") >= 0.6


def test_a_cut_that_nobody_measured_keeps_its_criterion_and_counts():
    plan, _ = answer(Goal("nonzeros", 0.6), SparsityPlan((Cut("a", "weight", 0.4, "wanda"),)), found=LAYERS)
    assert Cut("a", "weight", 0.4, "wanda") in plan.cuts
    assert plan_cost(plan, LAYERS, "nonzeros").value <= 0.6 * 300


def test_a_goal_out_of_reach_is_answered_with_the_nearest_plan_and_says_so():
    plan, note = answer(Goal("nonzeros", 0.05), found=LAYERS)
    assert (plan.sparsity_of("a"), plan.sparsity_of("b")) == (0.9, 0.9)
    assert note.startswith("5 % asked, 10 % reached: no plan reaches 5 % of the non-zeros: this is the nearest.")
    plan, note = answer(Goal("nonzeros", 0.5), holds={"weight a": Hold(True), "weight b": Hold(True)}, found=LAYERS)
    assert plan.cuts == ()
    assert "this is the nearest" in note


def test_a_tolerance_is_kept_at_the_least_cost_and_the_ends_of_the_control_are_goals():
    plan, _ = answer(Goal("tolerance", 0.098, "nonzeros"), found=LAYERS)  # a harm of 0.6: at worst 0.9 - 0.802
    assert PREDICTOR.predict(plan).drop_bound <= 0.098 + 1e-9
    assert plan_cost(plan, LAYERS, "nonzeros").value <= 100 + 20
    assert answer(Goal("tolerance", 0.0, "nonzeros"), found=LAYERS)[0].cuts == ()
    plan, _ = answer(Goal("tolerance", 0.5, "nonzeros"), found=LAYERS)  # more than any plan is predicted to lose
    assert (plan.sparsity_of("a"), plan.sparsity_of("b")) == (0.9, 0.9)
    assert answer(Goal("nonzeros", 1.0), found=LAYERS)[0].cuts == ()


def stack():
    """Two blocks whose channels hurt unlike: of one a half is as dear as nothing, of the other a tenth."""
    groups = [
        Target(f"blocks.{i}.up", "channel", "Linear", f"blocks.{i}.up.weight", (10, 10), 100, n_units=10,
               members=(Member(f"blocks.{i}.up", "outputs"),))
        for i in range(2)
    ]  # fmt: skip
    harms = ((0.0, 0.01, 0.02, 0.03), (0.0, 1.0, 1.5, 2.0))
    curves = [curve(one, (0.0, 0.2, 0.5, 0.8), harm) for one, harm in zip(groups, harms, strict=True)]
    weights = [Target(one.name, "weight", "Linear", f"{one.name}.weight", (10, 10), 100) for one in groups]
    found = Description("m.py", "m", "f" * 64, SCALE, 100, None, None, 100, 200, (*groups, *weights), ())
    return found, Predictor(SCALE, 0.9, 100, "metric", {one.key: one for one in curves}, LINK)


def test_an_even_goal_takes_the_same_from_every_layer_of_a_kind():
    found, predictor = stack()

    def plan_of(goal, holds=None):
        rows = with_costs(tuner_rows(found, EMPTY, predictor, holds), cost_kinds(found), found)
        answered = solved(goal, rows, EMPTY, predictor, found)
        return {cut.target: cut.sparsity for cut in answered.plan.cuts}, answered.note

    uneven, _ = plan_of(Goal("parameters", 0.7))
    assert uneven["blocks.0.up"] > uneven.get("blocks.1.up", 0.0)
    even, note = plan_of(Goal("parameters", 0.7, even=True))
    assert even["blocks.0.up"] == even["blocks.1.up"] >= 0.3
    assert "reached: solved" in note
    within, _ = plan_of(Goal("tolerance", 0.11, "parameters", even=True))
    assert within["blocks.0.up"] == within["blocks.1.up"]
    bounded, _ = plan_of(Goal("parameters", 0.5, even=True), {"channel blocks.0.up": Hold(False, 0.0, 0.2)})
    assert bounded["blocks.0.up"] == bounded["blocks.1.up"] <= 0.2


def test_one_head_of_every_attention_is_spared_and_zeros_are_made_of_weights():
    assert spared(PREDICTOR, FOUND) == {"head attn:0"}
    assert moving(PREDICTOR)["nonzeros"] == ["weight"]
    assert (spared(None, FOUND), moving(None)) == (frozenset(), {})


def test_the_browser_is_told_the_true_total_beside_the_sum_of_the_rows():
    plan = SparsityPlan((Cut("a", "weight", 0.5), Cut("a", "channel", 0.5)))
    rows, kinds = rows_of(plan), cost_kinds(FOUND)
    left = costs_left(plan, kinds, FOUND)
    data = tuner_data(SCALE, rows, plan, kinds, left, PREDICTOR)
    # channels take half of both layers, and the weights half of what is left of `a`
    assert data["left"]["nonzeros"] == {"left": 125.0, "exact": False, "sum": 300 - 150 - 50}
    assert summed(kinds[0], rows) == 100


def test_the_catalog_is_sent_once_and_a_plan_has_one_revision():
    def told(plan, has=""):
        kinds = cost_kinds(FOUND)
        return tuner_data(SCALE, rows_of(plan), plan, kinds, costs_left(plan, kinds, FOUND), PREDICTOR, has=has)

    first, other = told(PLAN), told(SparsityPlan((*PLAN.cuts, Cut("a", "channel", 0.5))))
    assert first["catalog"] == other["catalog"]
    assert first["revision"] != other["revision"]
    assert first["revision"] == told(PLAN)["revision"]
    assert told(PLAN, has=first["catalog"])["known"] == ""
    assert told(PLAN, has="an older one")["known"] == first["known"]


def test_parameters_are_counted_only_where_something_can_be_taken_out():
    assert [kind.kind for kind in cost_kinds(LAYERS)] == ["nonzeros"]
    assert [kind.kind for kind in cost_kinds(FOUND)] == ["nonzeros", "parameters"]


def test_memory_is_offered_where_it_was_counted_and_its_total_is_the_count():
    use = MemoryUse((Held(0, 1, 4, ((20, (("a", 1.0),)),)), Held(1, 2, 60)), ("a",))
    found = replace(FOUND, memory=use)
    (kind,) = [kind for kind in cost_kinds(found) if kind.kind == "memory"]
    assert (kind.label, kind.unit, kind.dense) == ("memory", "B", 80)
    plan = SparsityPlan((Cut("a", "channel", 0.5),))
    left = {one.kind: one for one in costs_left(plan, cost_kinds(found), found)}["memory"]
    n = FOUND.channel_targets[0].n_units // 2
    assert (left.left, left.exact) == (max(60, 4 * (20 - n)), True)
    assert "memory" not in [kind.kind for kind in cost_kinds(replace(FOUND, memory=MemoryUse((), (), {"": "odd"})))]
