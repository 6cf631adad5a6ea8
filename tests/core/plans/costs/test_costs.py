"""What is left after a plan, by hand on two layers, a third one and an attention; and against real models."""

from dataclasses import replace

import pytest

from core import Cut, SecateurError, SparsityPlan
from core.plans.costs.left import KINDS, Cost, plan_cost
from core.plans.costs.savings import Saved, SavedTime, saved_at
from core.plans.costs.table import cost_table
from core.workload.description import Description, products_of
from core.workload.target import Member, Target, skip_name
from tests.scales import ACCURACY

# 4 inputs -> 8 neurons -> 2 outputs; an attention of 2 heads of 2, whose q, k, v and output are 4 x 4; each counts once
FIRST = Target("first", "weight", "Linear", "first.weight", (8, 4), 32)
SECOND = Target("second", "weight", "Linear", "second.weight", (2, 8), 16)
NEURONS = Target(
    "first", "channel", "Linear", "first.weight", (8, 4), 32 + 8 + 16, n_units=8,
    members=(Member("first", "outputs"), Member("second", "inputs")),
)  # fmt: skip
Q, K, V, OUT = (Target(f"attn.{n}", "weight", "Linear", f"attn.{n}.weight", (4, 4), 16) for n in ("q", "k", "v", "out"))
HEADS = tuple(
    Target(f"attn:{h}", "head", "Attention", OUT.parameter, (4, 4), 8, layer="attn", head=h) for h in range(2)
)
BLOCK = Target("attn", "block", "Attention", skip_name("attn"), (), 64)
FLOPS = {"first": 64.0, "second": 32.0, products_of("attn"): 40.0} | {t.name: 32.0 for t in (Q, K, V, OUT)}
COUNTED = tuple(kind for kind in KINDS if kind != "memory")  # of which test_memory.py tells
FOUND = Description(
    "net", "net", "f", ACCURACY, 10, None, None, 10, 130,  # 32 + 8, 16 + 2, 4 × 16, and 8 of a norm
    (FIRST, SECOND, Q, K, V, OUT, NEURONS, *HEADS, BLOCK), (), flops=FLOPS, n_bytes=130 * 4,
)  # fmt: skip
SAVED = SavedTime(
    0.010,
    {"first": (Saved(0.25, 0.001, 0.0005, 0.0015), Saved(0.75, 0.004, 0.003, 0.005))},
    {"attn": (Saved(0.5, 0.002, 0.001, 0.003),)},
)


def left(kind, *cuts, found=FOUND):
    cost = plan_cost(SparsityPlan(cuts), found, kind, SAVED)
    return cost.value, cost.exact


def test_of_an_empty_plan_everything_is_left():
    assert [left(kind) for kind in COUNTED] == [(112, True), (130, True), (264, True), (520, True), (10, True)]


def test_single_zeros_take_operations_but_no_parameters_and_no_time():
    half = Cut("first", "weight", 0.5)
    assert left("nonzeros", half) == (112 - 16, True)
    assert left("parameters", half) == (130, True)
    assert left("flops", half) == (264 - 32, True)
    assert left("milliseconds", half) == (10, False)


def test_a_layer_of_zeros_takes_a_bit_for_each_place_and_four_bytes_for_each_other_number():
    assert left("bytes", Cut("first", "weight", 0.5)) == (520 - 32 * 4 + 32 / 8 + 16 * 4, True)


def test_zeros_that_would_need_more_room_than_they_spare_are_stored_as_numbers():
    one_of_32 = Cut("first", "weight", 1 / 32)  # 4 bytes of places for 4 bytes of a number
    assert left("bytes", one_of_32) == (520, True)


def test_channels_take_rows_columns_and_biases_with_them():
    half = Cut("first", "channel", 0.5)
    assert left("nonzeros", half) == (112 - 16 - 8, True)
    assert left("parameters", half) == (130 - 16 - 8 - 4, True)
    assert left("flops", half) == (264 - 32 - 16, True)
    assert left("bytes", half) == (520 - 28 * 4, True)


def test_a_head_takes_its_rows_of_the_projections_and_its_share_of_the_products():
    head = Cut("attn:1", "head")
    assert left("nonzeros", head) == (112 - 8, True)  # the mask is on the output projection alone
    assert left("parameters", head) == (130 - 4 * 8, False)  # and biases, which nobody counted
    assert left("flops", head) == (264 - 4 * 16 - 20, True)


def test_a_skipped_block_takes_all_that_is_in_it():
    block = Cut("attn", "block")
    assert left("nonzeros", block) == (112 - 64, True)
    assert left("parameters", block) == (130 - 64, True)
    assert left("flops", block) == (264 - 128 - 40, True)
    assert left("flops", block, Cut("attn:1", "head"), Cut("attn.q", "weight", 0.5)) == (264 - 128 - 40, True)


def test_where_channels_and_zeros_meet_the_number_is_about_right_and_says_so():
    assert left("flops", Cut("first", "weight", 0.5), Cut("first", "channel", 0.5)) == (264 - 48 - 16, False)


def test_time_is_added_up_from_what_single_cuts_save_with_the_interval():
    cost = plan_cost(SparsityPlan((Cut("first", "channel", 0.5), Cut("attn:0", "head"))), FOUND, "milliseconds", SAVED)
    assert cost.value == pytest.approx(10 - 2.5 - 2)  # half-way between 1 and 4
    assert (cost.low, cost.high) == (pytest.approx(10 - 3.25 - 3), pytest.approx(10 - 1.75 - 1))
    assert (cost.exact, cost.unmeasured) == (False, ())


def test_cuts_whose_time_nobody_measured_are_named():
    plan = SparsityPlan((Cut("first", "channel", 0.5), Cut("attn", "block")))
    cost = plan_cost(plan, FOUND, "milliseconds", SavedTime(0.01))
    assert cost == Cost(10.0, False, 10.0, 10.0, ("attn", "first"))


def test_between_measured_sparsities_time_is_linear_and_beyond_the_last_it_is_the_last():
    measured = SAVED.channels["first"]
    assert saved_at(measured, 0).seconds == 0
    assert saved_at(measured, 0.125).seconds == pytest.approx(0.0005)
    assert saved_at(measured, 0.75) == measured[-1]
    assert saved_at(measured, 0.9).seconds == 0.004


def test_what_is_not_known_is_told():
    with pytest.raises(SecateurError, match="operations of net could not be counted"):
        left("flops", found=replace(FOUND, flops={}))
    with pytest.raises(SecateurError, match="how many bytes net takes is not known"):
        left("bytes", found=replace(FOUND, n_bytes=None))
    with pytest.raises(SecateurError, match="milliseconds need a profile"):
        plan_cost(SparsityPlan(), FOUND, "milliseconds")
    with pytest.raises(SecateurError, match="no cost 'joules'; choose one of nonzeros,"):
        plan_cost(SparsityPlan(), FOUND, "joules")


WEIGHTS = [[None, *(Cut(t.name, "weight", s) for s in (0.25, 0.5, 0.75))] for t in FOUND.weight_targets]


@pytest.mark.parametrize("kind", COUNTED)
@pytest.mark.parametrize("levels", [(0,) * 6, (1, 2, 3, 0, 1, 2), (3,) * 6])
def test_of_single_weights_the_table_adds_up_to_the_plan(kind, levels):
    table = cost_table(WEIGHTS, FOUND, kind, SAVED)
    cuts = tuple(cut for row, i in zip(WEIGHTS, levels, strict=True) if (cut := row[i]))
    assert table.left(levels) == pytest.approx(plan_cost(SparsityPlan(cuts), FOUND, kind, SAVED).value)
    assert all(cost >= 0 for row in table.rows for cost in row)


def test_of_single_weights_a_row_holds_what_the_layer_has_left():
    assert cost_table(WEIGHTS, FOUND, "nonzeros").rows[0] == (32, 24, 16, 8)
    assert cost_table(WEIGHTS, FOUND, "flops").rows[1] == (32, 24, 16, 8)


@pytest.mark.parametrize("kind", COUNTED)
def test_every_cut_alone_is_what_the_table_says(kind):
    rows = [
        [None, Cut("first", "channel", 0.25), Cut("first", "channel", 0.5)],
        [None, Cut("attn:0", "head")],
        [None, Cut("attn:1", "head")],
        [None, Cut("attn", "block")],
        [None, Cut("unknown", "weight", 0.5)],
    ]
    table = cost_table(rows, FOUND, kind, SAVED)
    for i, row in enumerate(rows):
        for level, cut in enumerate(row):
            levels = [level if at == i else 0 for at in range(len(rows))]
            alone = plan_cost(SparsityPlan((cut,) if cut else ()), FOUND, kind, SAVED).value
            assert table.left(levels) == pytest.approx(alone)


@pytest.mark.parametrize("name", ["fashion-resnet", "fashion-vit", "tiny-gpt"])
def test_on_a_sample_it_is_what_torch_counts_of_the_shrunk_model(name):
    from core import load_workload, uniform_plan
    from core.profiling.layer_costs import flops_by_module
    from core.profiling.target_flops import flops_by_target
    from core.pruning.masks import MaskMaker
    from core.pruning.structure import find_structure
    from core.pruning.surgery import shrunk_copy
    from core.workload.description import describe

    workload = load_workload(name)
    inputs = tuple(tensor[:4] for tensor in workload.evaluation.inputs)
    structure = find_structure(workload.model, inputs)
    found = describe(name, workload, lambda _: (structure.targets, structure.uncuttable), count_flops=flops_by_target)
    assert sum(found.flops.values()) == sum(flops_by_module(workload.model, inputs).values())
    plan = uniform_plan(workload.model, structure, channels=0.5, heads=0.0 if name == "fashion-resnet" else 0.5)
    shrunk = shrunk_copy(
        workload.model, plan, MaskMaker(workload.model, structure.targets, structure.groups), structure.heads, {}
    )
    cost = plan_cost(plan, found, "flops")
    assert cost.value == pytest.approx(sum(flops_by_module(shrunk, inputs).values()), rel=1e-9)
    assert cost.exact
    parameters = plan_cost(plan, found, "parameters")
    # running statistics are counted with the group that they go with, biases of heads with nothing
    assert parameters.value == pytest.approx(sum(p.numel() for p in shrunk.parameters()), rel=0.02)
    assert not parameters.exact
