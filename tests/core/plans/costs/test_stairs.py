"""Staircases: where steps end, what noise is not, and milliseconds of plans that narrow several targets."""

import pytest

from core.plans.costs.left import Cost, plan_cost
from core.plans.costs.savings import SavedTime
from core.plans.costs.stairs import EngineTime, LayerTime, Stair, Step, engine_time, met
from core.plans.costs.steps import levels_on, multiples_of, off_blocks, off_blocks_lines, on_steps
from core.plans.costs.table import cost_table
from core.plans.plan import Cut, SparsityPlan
from core.workload.target import Target
from tests.core.plans.costs.test_costs import FOUND


def stair(n, **ratios):
    """`w16=0.9` is a width of 16 at 0.9, known to a hundredth."""
    steps = [Step(int(name[1:]), ratio, ratio - 0.005, ratio + 0.005) for name, ratio in ratios.items()]
    return Stair(n, tuple(sorted(steps, key=lambda step: step.width)))


def group(name, n, kind="Conv2d", parts=1):
    return Target(name, "channel", kind, f"{name}.weight", (n, 4, 3, 3), 100 * n, n_units=n, n_parts=parts)


def test_a_step_ends_at_its_largest_width_and_never_where_the_fast_path_was_left():
    blocks = stair(32, w16=0.8, w17=1.1, w20=0.9, w24=0.9, w30=1.3, w31=1.3)
    assert blocks.held == (True, False, True, True, False, False, True)
    assert blocks.ends() == (16, 24, 32)
    assert blocks.treads == pytest.approx((0.8, 0.825, 0.9, 0.9, 0.975, 0.9875, 1.0))  # the off ones lie between


def test_noise_up_and_down_is_averaged_and_makes_no_step():
    flat = stair(16, w4=1.005, w8=0.995, w12=1.0)
    assert flat.treads == pytest.approx((1.0, 1.0, 1.0, 1.0))
    assert flat.ends() == (16,)
    falling = stair(16, w4=0.815, w8=0.805, w12=0.95)  # the least one was unlucky, or the next lucky
    assert falling.treads == pytest.approx((0.81, 0.81, 0.95, 1.0))
    assert falling.ends() == (8, 12, 16)


def test_a_layer_costs_what_its_inputs_leave_times_what_its_outputs_leave():
    halves = stair(8, w4=0.5)
    time = EngineTime("onnx", 1.0, {"a": halves, "b": halves}, {}, (LayerTime(1.0, ("a", "b")),))
    assert time.seconds({"a": 4}, {}) == pytest.approx(0.5)
    assert time.seconds({"a": 4, "b": 4}, {}) == pytest.approx(0.25)  # added up, nothing were left


def test_two_widths_off_the_fast_path_slow_a_layer_once_and_again_as_far_as_whole_plans_say():
    off = stair(8, w7=1.5)
    time = EngineTime("onnx", 1.0, {"a": off, "b": off}, {}, (LayerTime(1.0, ("a", "b")),))
    assert time.seconds({"a": 7}, {}) == pytest.approx(1.5)
    assert time.seconds({"a": 7, "b": 7}, {}) == pytest.approx(1.5)
    seen = met(time, [({"a": 7, "b": 7}, {}, 2.25)])
    assert seen.meeting == 1.0
    assert seen.seconds({"a": 7, "b": 7}, {}) == pytest.approx(2.25)
    assert seen.off == pytest.approx(0.5)  # nobody else says that 1.5 is 2.25
    twice = met(time, [({"a": 7, "b": 7}, {}, 2.25)] * 2)
    assert (twice.meeting, twice.off) == (1.0, pytest.approx(0.0, abs=1e-9))  # each by what the other says
    assert met(time, []) == time


def test_widths_that_nobody_measured_lie_between_and_are_slow_as_their_power_of_two_is():
    blocks = stair(16, w4=0.4, w8=0.6, w12=0.8, w15=1.2)
    time = EngineTime("onnx", 1.0, {"a": blocks}, {}, (LayerTime(1.0, ("a",)),))
    assert time.seconds({"a": 10}, {}) > time.seconds({"a": 12}, {})  # 10 is no multiple of 4: slow as 15 is
    assert time.seconds({"a": 2}, {}) > 0.39  # below the least that was measured nothing more is saved
    assert time.seconds({"elsewhere": 1}, {}) == 1.0


def test_channels_are_rounded_up_to_where_a_step_ends():
    targets = [group("a", 32), group("b", 32), group("c", 32)]
    plan = SparsityPlan((Cut("a", "channel", 0.4), Cut("b", "channel", 0.1), Cut("c", "channel", 0.5)))
    rounded, notes = on_steps(plan, targets, {"a": (16, 24, 32), "b": (16, 32)})
    assert {cut.target: cut.sparsity for cut in rounded.cuts} == {"a": 0.25, "c": 0.5}  # 19 of 32 -> 24
    assert notes == (
        "b stays whole: 29 of its 32 channels take as long as all",
        "c: no step of it was measured; it is cut as it was asked",
    )


def test_of_the_ends_of_steps_those_count_that_the_cut_s_own_alignment_can_leave():
    plan = SparsityPlan((Cut("a", "channel", 0.6, align=8),))
    rounded, _ = on_steps(plan, [group("a", 32)], {"a": (4, 12, 20, 24, 32)})
    assert [cut.sparsity for cut in rounded.cuts] == [0.25]  # 16 of 32 -> 24, for 20 is no multiple of 8


def test_levels_are_widths_that_a_group_with_parts_can_have():
    assert levels_on(group("a", 16), (4, 8, 16), 1) == (0.0, 0.5, 0.75)
    assert levels_on(group("a", 16, parts=8), (4, 8, 16), 1) == (0.0, 0.5)
    assert multiples_of(8, [group("a", 20)]) == {"a": (8, 16, 20)}


def test_convolutions_off_a_multiple_of_four_are_named_and_others_are_not():
    targets = [group("a", 32), group("b", 30), group("c", 32, "Linear"), group("d", 32)]
    plan = SparsityPlan(
        (Cut("a", "channel", 1 / 32), Cut("b", "channel", 0.1), Cut("c", "channel", 1 / 32), Cut("d", "channel", 0.5))
    )
    assert off_blocks(plan, targets) == {"a": (31, 32)}
    (line,) = off_blocks_lines(off_blocks(plan, targets))
    assert line.startswith("left with no multiple of 4 channels: a 31 of 32; that leaves the blocked layout of ONNX")
    assert "--align auto" in line
    assert off_blocks_lines({}) == []


def test_times_are_laid_out_so_that_each_stair_is_reproduced_and_heads_count_too():
    neurons, heads = stair(8, w2=0.7, w4=0.8), stair(2, w1=0.9)  # neurons: 0.4 of the time, heads: 0.2
    time = engine_time("onnx", 0.010, {"first": neurons}, {"attn": heads}, FOUND)
    assert sum(one.seconds for one in time.layers if "first" in one.groups) == pytest.approx(0.004)
    assert sum(one.seconds for one in time.layers if "attn" in one.attentions) == pytest.approx(0.002)
    saved = SavedTime(0.010, built=time)
    assert cost_of(saved) == Cost(10.0, True, 10.0, 10.0)
    assert cost_of(saved, Cut("first", "channel", 0.5)).value == pytest.approx(8.0)
    assert cost_of(saved, Cut("attn:0", "head")).value == pytest.approx(9.0)
    both = cost_of(saved, Cut("attn:0", "head"), Cut("first", "channel", 0.75))
    assert both.value == pytest.approx(6.0)  # they share no layer, so the savings add up
    assert (both.low, both.high) == (None, None)  # nobody has timed a plan as a whole
    assert cost_of(saved, Cut("attn", "block")).unmeasured == ("attn",)
    assert cost_of(saved, Cut("first", "weight", 0.9)).value == pytest.approx(10.0)  # single zeros save no time


def test_a_solver_is_given_what_each_width_saves_alone():
    time = engine_time("onnx", 0.010, {"first": stair(8, w2=0.7, w4=0.8, w7=1.2)}, {}, FOUND)
    levels = [None, *(Cut("first", "channel", (8 - width) / 8) for width in (7, 4, 2))]
    table = cost_table([levels], FOUND, "milliseconds", SavedTime(0.010, built=time))
    assert [table.left([level]) for level in range(4)] == pytest.approx([10, 12, 8, 7])


def cost_of(saved, *cuts):
    return plan_cost(SparsityPlan(cuts), FOUND, "milliseconds", saved)
