"""Allocations of channels: uniform, ERK and LAMP over coupled groups, worked out by hand."""

import pytest
import torch
from torch import nn

from core.errors import SecateurError
from core.plans.baselines import Units, erk_units, uniform_units
from core.plans.plan import Cut, SparsityPlan
from core.pruning.allocations import CHANNEL_ALLOCATIONS, allocated_channels, lamp_units
from core.pruning.masks import MaskMaker
from core.pruning.structure import find_structure

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def net():
    """Two hidden layers of 4 and 8; every channel of the first has norm 1, 2, 3, 4, of the second 8 times 1."""
    model = nn.Sequential(
        nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 8, bias=False), nn.ReLU(), nn.Linear(8, 2)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.5)
        model[0].weight.zero_()[:, 0] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    structure = find_structure(model, (torch.ones(2, 3),))
    maker = MaskMaker(model, structure.targets, structure.groups)
    shapes = {"0": (4, 3), "2": (8, 4)}
    groups = [Units(t, (shapes[t.name],)) for t in structure.targets if t.granularity == "channel"]
    assert [(one.target.name, one.n) for one in groups] == [("0", 4), ("2", 8)]
    return maker, groups


def test_uniform_takes_the_same_share_and_leaves_one(net):
    counts = uniform_units(net[1])
    assert counts(0.5) == {"0": 2, "2": 4}
    assert counts(1.0) == {"0": 3, "2": 7}


def test_erk_keeps_shares_as_dimensions_over_their_product(net):
    # raw densities 7/12 and 12/32: the first group is kept 1.5556 times as densely as the second
    counts = erk_units(net[1])
    assert counts(0.0) == {"0": 0, "2": 0}
    assert counts(0.5) == {"0": round(4 * (1 - 0.5 * (7 / 12) / (12 / 32))), "2": 4}
    assert counts(0.5)["0"] == 1


def test_lamp_ranks_channels_of_all_groups_by_their_share_of_those_not_smaller(net):
    maker, groups = net
    norms = {g.target.name: maker.unit_scores("l2", g.target).double() for g in groups}
    scored = []
    for name, squares in norms.items():
        ascending = squares.sort().values
        scored += [(float(ascending[i] / ascending[i:].sum()), name) for i in range(len(ascending) - 1)]
    for gone in (0.0, 0.3, 0.5, 0.8, 1.0):
        expected = [name for _, name in sorted(scored)[: round(gone * len(scored))]]
        assert lamp_units(maker, groups)(gone) == {name: expected.count(name) for name in norms}


@pytest.mark.parametrize("name", CHANNEL_ALLOCATIONS)
def test_every_allocation_meets_its_limit_with_as_few_channels_as_it_takes(net, name):
    maker, groups = net

    def cost(plan):
        left = {one.target.name: one.n for one in groups}
        for cut in plan.cuts:
            left[cut.target] -= round(cut.sparsity * left[cut.target])
        return 3 * left["0"] + left["0"] * left["2"] + 2 * left["2"]

    asked = [(one, Cut(one.target.name, "channel", 0.5, "l2")) for one in groups]
    plans = [allocated_channels(name, maker, asked, "m", cost, share * cost(SparsityPlan())) for share in (0.8, 0.5)]
    for plan, share in zip(plans, (0.8, 0.5), strict=True):
        assert cost(plan) <= share * cost(SparsityPlan())
        assert {cut.criterion for cut in plan.cuts} == {"l2"}
    assert cost(plans[1]) < cost(plans[0])
    with pytest.raises(SecateurError, match=f"{name} leaves .* at least; the budget is 0.01"):
        allocated_channels(name, maker, asked, "m", cost, 0.01 * cost(SparsityPlan()))
    with pytest.raises(SecateurError, match="no allocation of channels 'fair'; choose one of"):
        allocated_channels("fair", maker, asked, "m", cost, 1.0)


def test_a_cost_that_rises_again_is_met_where_it_is_met_first(net):
    """Times go so: 3 of 4 channels may take longer than all, 2 of them less, and 1 again longer."""
    maker, groups = net
    asked = [(groups[0], Cut("0", "channel", 0.5))]
    seconds = {4: 1.0, 3: 1.5, 2: 0.6, 1: 0.9}

    def cost(plan):
        return seconds[4 - sum(round(cut.sparsity * 4) for cut in plan.cuts)]

    plan = allocated_channels("uniform", maker, asked, "m", cost, 0.7)
    assert [cut.sparsity for cut in plan.cuts] == [0.5]
    with pytest.raises(SecateurError, match=r"uniform leaves 0\.6 at least; the budget is 0\.5"):
        allocated_channels("uniform", maker, asked, "m", cost, 0.5)
