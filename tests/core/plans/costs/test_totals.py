"""What a plan removes, counted by hand on two layers and the neurons between them."""

from dataclasses import replace

import pytest

from core import Cut, SparsityPlan
from core.plans.costs.totals import plan_totals, units_removed
from core.workload.description import Description
from core.workload.metric import accuracy
from core.workload.target import Member, Target

# 4 inputs -> 8 neurons -> 2 outputs, and a third layer that nothing is coupled with
FIRST = Target("first", "weight", "Linear", "first.weight", (8, 4), 32)
SECOND = Target("second", "weight", "Linear", "second.weight", (2, 8), 16)
ALONE = Target("alone", "weight", "Linear", "alone.weight", (4, 4), 16)
NEURONS = Target(
    "first", "channel", "Linear", "first.weight", (8, 4), 32 + 8 + 16, n_units=8,
    members=(Member("first", "outputs"), Member("second", "inputs")),
)  # fmt: skip
HEAD = Target("attn:0", "head", "Attention", "alone.weight", (4, 4), 8, layer="attn", head=0)
FOUND = Description(
    "net", "net", "f", accuracy().scale, 10, None, None, 10, 100, (FIRST, SECOND, ALONE, NEURONS, HEAD), ()
)


def totals(*cuts, found=FOUND):
    return plan_totals(SparsityPlan(cuts), found)


def test_an_empty_plan_removes_nothing():
    found = totals()
    assert (found.n_removed, found.n_weights, found.exact) == (0, 64, True)
    assert (found.n_gone, found.gone_exact, found.gone_at_least) == (0, True, False)


def test_half_of_the_neurons_take_their_rows_biases_and_columns_with_them():
    found = totals(Cut("first", "channel", 0.5))
    assert (found.n_removed, found.exact) == (16 + 8, True)
    assert (found.n_gone, found.gone_exact) == (16 + 8 + 4, True)  # of the biases 4


def test_a_weight_is_counted_once_where_channels_of_two_groups_cross():
    reader = Target(
        "second", "channel", "Linear", "second.weight", (2, 8), 16, n_units=2, members=(Member("second", "outputs"),)
    )
    found = replace(FOUND, targets=(*FOUND.targets, reader))
    both = totals(Cut("first", "channel", 0.5), Cut("second", "channel", 0.5), found=found)
    assert (both.n_removed, both.exact) == (16 + 16 - 1 * 4, True)  # of 2 × 8, one row and half of the columns go


def test_weights_and_channels_of_one_layer_are_not_added_up_and_the_sum_is_said_to_be_about_right():
    found = totals(Cut("first", "weight", 0.5), Cut("first", "channel", 0.5))
    assert (found.n_removed, found.exact) == (24 + 8, False)
    assert found.n_gone == 28  # zeros take as much room as other numbers


def test_weights_of_another_layer_stay_exact_beside_channels():
    found = totals(Cut("alone", "weight", 0.25), Cut("first", "channel", 0.5))
    assert (found.n_removed, found.exact) == (24 + 4, True)


def test_heads_take_at_least_what_is_counted_of_them():
    found = totals(Cut("attn:0", "head"))
    assert (found.n_removed, found.exact, found.n_gone, found.gone_at_least) == (8, True, 8, True)


def test_patterns_count_as_they_are_made():
    assert totals(Cut("alone", "2:4")).n_removed == 8
    assert totals(Cut("alone", "2x2", 0.25)).n_removed == 4
    twice = totals(Cut("alone", "2:4"), Cut("alone", "weight", 0.5))
    assert (twice.n_removed, twice.exact) == (12, False)


def test_a_cut_that_cannot_be_made_removes_nothing_and_says_why():
    found = totals(Cut("first", "channel", 0.5, align=16))
    assert (found.n_removed, found.n_gone) == (0, 0)
    assert found.impossible == (units_removed(Cut("first", "channel", 0.5, align=16), NEURONS)[1],)
    assert "fewer than the 16" in found.impossible[0]


def test_a_flattened_image_has_several_columns_for_each_channel():
    reader = replace(SECOND, shape=(2, 16), n_weights=32)
    group = replace(NEURONS, n_weights=32 + 8 + 32)
    found = totals(Cut("first", "channel", 0.5), found=replace(FOUND, targets=(FIRST, reader, group)))
    assert (found.n_removed, found.exact) == (16 + 16, True)


def test_running_statistics_make_what_is_gone_about_right():
    group = replace(NEURONS, members=(*NEURONS.members, Member("bn", "norm")))
    found = totals(Cut("first", "channel", 0.5), found=replace(FOUND, targets=(FIRST, SECOND, ALONE, group)))
    assert (found.exact, found.gone_exact) == (True, False)


@pytest.mark.parametrize("name", ["fashion-resnet", "tiny-gpt"])
def test_on_a_sample_the_count_is_that_of_the_masks_and_of_the_shrunk_model(name):
    from core.pruning.layer_stats import layer_stats
    from core.pruning.masks import MaskMaker
    from core.pruning.structure import find_structure
    from core.pruning.surgery import shrunk_copy
    from core.workload.loading import load_workload

    workload = load_workload(name)
    structure = find_structure(workload.model, tuple(workload.evaluation.inputs))
    maker = MaskMaker(workload.model, structure.targets, structure.groups)
    n = sum(parameter.numel() for parameter in workload.model.parameters())
    found = replace(FOUND, targets=structure.targets, n_parameters=n)
    cuts = tuple(Cut(t.name, "channel", 0.5) for t in structure.targets if t.granularity == "channel")
    counted = totals(*cuts, found=found)
    assert counted.exact
    stats = layer_stats(structure.targets, maker.masks(SparsityPlan(cuts)))
    assert counted.n_removed == sum(layer.pruned_params for layer in stats)
    shrunk = shrunk_copy(workload.model, SparsityPlan(cuts), maker, structure.heads, {})
    gone = n - sum(parameter.numel() for parameter in shrunk.parameters())
    assert counted.n_gone == pytest.approx(gone, rel=0.01)
    assert not counted.gone_exact or counted.n_gone == gone
