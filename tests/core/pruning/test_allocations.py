"""Allocations against their papers' formulas, torch's own pruning, and by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from core import SecateurError
from core.plans.baselines import SHAPE_ALLOCATIONS, erk, erk_densities, most_removed, uniform
from core.plans.checked import n_removed
from core.plans.costs.left import plan_cost
from core.pruning.allocations import ALLOCATIONS, allocated_plan, global_magnitude, lamp
from core.pruning.masks import MaskMaker
from core.workload.description import Description
from core.workload.discovery import find_targets
from core.workload.metric import accuracy
from core.workload.target import Target


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1), nn.Flatten(), nn.Linear(16, 10), nn.Linear(10, 2))


def described(model, flops=None):
    targets, uncuttable = find_targets(model)
    n = sum(parameter.numel() for parameter in model.parameters())
    return Description(
        "net", "net", "f", accuracy().scale, 1, None, None, 1, n, targets, uncuttable, flops=flops or {}, n_bytes=4 * n
    )


def layer(name, *shape):
    return Target(name, "weight", "Linear", f"{name}.weight", shape, int(np.prod(shape)))


def masks_of(model, found, plan):
    return MaskMaker(model, found.targets).masks(plan)


def removed_by(plan, found):
    sizes = {target.name: target.n_weights for target in found.weight_targets}
    return sum(n_removed(cut.sparsity, sizes[cut.target]) for cut in plan.cuts)


def test_erk_by_hand():
    # sums 20 and 101, products 100 and 100; 60 of 200 stay: scale 60 / 121
    square, line = erk_densities([(10, 10), (100, 1)], 60)
    assert (square, line) == (pytest.approx(60 / 121 * 20 / 100), pytest.approx(60 / 121 * 101 / 100))


def test_erk_leaves_a_layer_whole_that_would_be_denser_than_dense_and_scales_the_rest_again():
    # 150 of 200: the line would have 150 / 121 * 101 > 100, so it is dense, and the square keeps the other 50
    assert erk_densities([(10, 10), (100, 1)], 150) == (0.5, 1.0)
    assert erk([layer("square", 10, 10), layer("line", 100, 1)])(50) == {"square": 50, "line": 0}


def test_erk_of_a_convolution_counts_its_kernel():
    # RigL: 1 - density goes as (n_in + n_out + w + h) / (n_in n_out w h); sums 22 and 30, kept as 22 : 30
    conv, linear = erk_densities([(8, 8, 3, 3), (15, 15)], 52)
    assert (conv * 576, linear * 225) == (pytest.approx(22), pytest.approx(30))


def test_uniform_is_the_same_share_and_leaves_one_of_a_layer():
    assert uniform([layer("a", 10, 10), layer("b", 2, 5)])(55) == {"a": 50, "b": 5}
    assert uniform([layer("a", 10, 10), layer("b", 1, 2)])(101) == {"a": 99, "b": 1}


shapes = st.lists(st.lists(st.integers(1, 12), min_size=2, max_size=4).map(tuple), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(shapes=shapes, share=st.floats(0, 1))
def test_what_erk_keeps_adds_up_and_no_layer_is_emptied(shapes, share):
    targets = [layer(str(i), *shape) for i, shape in enumerate(shapes)]
    removed = round(share * most_removed(targets))
    counts = erk(targets)(removed)
    assert sum(counts.values()) == removed
    assert all(0 <= counts[target.name] < target.n_weights for target in targets)


@pytest.mark.parametrize("budget", [0.9, 0.5, 0.3])
def test_global_magnitude_is_what_torch_prunes_globally(budget):
    model = net()
    found = described(model)
    masks = masks_of(model, found, allocated_plan("global", model, found, budget))
    twin = net()
    n = sum(target.n_weights for target in found.weight_targets)
    layers = [(module, "weight") for module in twin if hasattr(module, "weight")]
    prune.global_unstructured(layers, prune.L1Unstructured, amount=round((1 - budget) * n))
    for target in found.weight_targets:
        theirs = twin.get_submodule(target.name).weight_mask.bool()
        assert theirs.any(), "torch would empty this layer; take another budget"
        assert torch.equal(masks.get(target.parameter, torch.ones_like(theirs)), theirs)


def numpy_lamp(weight):
    """Lee et al. 2021, equation 3, one entry at a time."""
    flat = weight.detach().double().abs().flatten().numpy()
    order = np.argsort(flat, kind="stable")
    scores = np.empty(len(flat))
    for at, i in enumerate(order):
        scores[i] = flat[i] ** 2 / sum(flat[j] ** 2 for j in order[at:])
    return scores


@pytest.mark.parametrize("budget", [0.9, 0.5, 0.1])
def test_lamp_is_the_paper_s_formula_over_all_layers(budget):
    model = net(1)
    found = described(model)
    masks = masks_of(model, found, allocated_plan("lamp", model, found, budget))
    scores = {target.name: numpy_lamp(model.get_parameter(target.parameter)) for target in found.weight_targets}
    every = np.sort(np.concatenate(list(scores.values())))
    removed = round((1 - budget) * len(every))
    threshold = every[removed - 1]
    for target in found.weight_targets:
        kept = masks.get(target.parameter, torch.ones(target.shape, dtype=torch.bool)).flatten().numpy()
        assert (kept == (scores[target.name] > threshold)).all()


def test_the_largest_of_a_layer_stays_even_where_it_is_the_smallest_of_all():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.01, 0.02], [0.03, 0.04]]))
        model[1].weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    targets = find_targets(model)[0]
    assert global_magnitude(model, targets)(4) == {"0": 3, "1": 1}
    assert lamp(model, targets)(4) == {"0": 2, "1": 2}  # the scale of a layer does not matter to LAMP


def test_equal_weights_and_zeros_go_by_position():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[1].weight.fill_(0.0)
    targets = find_targets(model)[0]
    assert global_magnitude(model, targets)(4) == {"0": 1, "1": 3}
    assert lamp(model, targets)(4) == {"0": 1, "1": 3}


@pytest.mark.parametrize("name", ALLOCATIONS)
@pytest.mark.parametrize("budget", [1.0, 0.731, 0.2, 0.05])
def test_every_allocation_keeps_the_budget_and_empties_no_layer(name, budget):
    model = net(2)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = described(model)
    plan = allocated_plan(name, model, found, budget)
    n = sum(target.n_weights for target in found.weight_targets)
    off = len(found.weight_targets) / 2 if name == "uniform" else 0
    assert abs(removed_by(plan, found) - round((1 - budget) * n)) <= off
    assert all(mask.any() for mask in masks_of(model, found, plan).values())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", ALLOCATIONS)
def test_a_budget_of_operations_is_met_or_just_below(name):
    model = net(3)
    flops = {"0": 7776.0, "1": 576.0, "3": 320.0, "4": 40.0, "other": 500.0}
    found = described(model, flops)
    plan = allocated_plan(name, model, found, 0.3, "flops")
    left = plan_cost(plan, found, "flops").value
    limit = 0.3 * sum(flops.values())
    largest_step = 12 * 7776 / 216  # one weight of each layer, or what rounding moves at once
    assert limit - largest_step <= left <= limit


def test_more_goes_where_more_has_to_go():
    model = net(4)
    found = described(model)
    for name in ("global", "lamp"):
        few, many = (masks_of(model, found, allocated_plan(name, model, found, b)) for b in (0.5, 0.2))
        assert all((many[key] <= mask).all() for key, mask in few.items())


def test_shape_allocations_are_among_them():
    assert set(SHAPE_ALLOCATIONS) < set(ALLOCATIONS)


def test_what_cannot_be_is_told():
    model = net()
    found = described(model, {"0": 10.0, "other": 90.0})
    with pytest.raises(SecateurError, match="no allocation 'fair'; choose one of"):
        allocated_plan("fair", model, found, 0.5)
    with pytest.raises(SecateurError, match="nonzeros or flops or bytes; got 'parameters'"):
        allocated_plan("erk", model, found, 0.5, "parameters")
    for wrong in (50, 0, -1, True, "much"):
        with pytest.raises(SecateurError, match=r"share that is left, in \(0, 1\]"):
            allocated_plan("erk", model, found, wrong)
    with pytest.raises(SecateurError, match="fewer than the 4 layers, of which one weight each stays"):
        allocated_plan("erk", model, found, 0.001)
    with pytest.raises(SecateurError, match=r"erk leaves 0\.9 of the operations at least"):
        allocated_plan("erk", model, found, 0.5, "flops")
    with pytest.raises(SecateurError, match="could not be counted"):
        allocated_plan("erk", model, replace(found, flops={}), 0.5, "flops")
