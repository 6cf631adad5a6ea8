"""Masks that training cannot move."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from core.recovery.held_masks import HeldMasks
from core.recovery.settings import FineTuning
from core.recovery.training.training import new_optimiser

OPTIMISERS = {
    "adamw": FineTuning(optimiser="adamw", rate=0.1, weight_decay=0.3),
    "sgd": FineTuning(optimiser="sgd", rate=0.1, momentum=0.9, weight_decay=0.3),
}


def step(model, optimiser, masks=None):
    optimiser.zero_grad()
    model(torch.randn(8, 5)).square().sum().backward()
    if masks:
        masks.hold_gradients()
    optimiser.step()
    if masks:
        masks.hold()


@pytest.mark.parametrize("name", OPTIMISERS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_was_cut_is_plus_zero_after_every_step_even_with_momentum_from_before(name, seed):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2))
    optimiser = new_optimiser(model, OPTIMISERS[name])
    for _ in range(3):
        step(model, optimiser)  # dense: momentum of everything
    kept = {name: torch.rand(p.shape) < 0.5 for name, p in model.named_parameters() if p.ndim == 2}
    masks = HeldMasks(model, kept)
    masks.hold_state(optimiser)
    for _ in range(5):
        step(model, optimiser, masks)
        assert masks.are_held()
        for name_, mask in kept.items():
            gone = model.get_parameter(name_).detach()[~mask]
            assert torch.equal(gone.view(torch.int32), torch.zeros(len(gone), dtype=torch.int32))  # not even -0
            state = optimiser.state[model.get_parameter(name_)]
            for value in state.values():
                if isinstance(value, torch.Tensor) and value.shape == mask.shape:
                    assert not value[~mask].any()


@pytest.mark.parametrize("name", OPTIMISERS)
def test_without_holding_momentum_moves_what_was_cut(name):
    torch.manual_seed(0)
    model = nn.Linear(5, 7)
    optimiser = new_optimiser(model, OPTIMISERS[name])
    step(model, optimiser)
    masks = HeldMasks(model, {"weight": torch.rand(7, 5) < 0.5})
    step(model, optimiser)
    assert not masks.are_held()  # the test above can fail


@pytest.mark.parametrize("name", OPTIMISERS)
def test_what_stays_moves_as_if_nothing_else_had_ever_been_there(name):
    """Of a linear layer the columns of a cut input: the rest trains as the smaller layer does."""
    torch.manual_seed(0)
    large = nn.Linear(5, 3)
    kept = torch.ones(3, 5, dtype=torch.bool)
    kept[:, 4] = False
    masks = HeldMasks(large, {"weight": kept})
    small = nn.Linear(4, 3)
    small.weight.data, small.bias.data = large.weight.data[:, :4].clone(), copy.deepcopy(large.bias.data)
    of_large, of_small = new_optimiser(large, OPTIMISERS[name]), new_optimiser(small, OPTIMISERS[name])
    for _ in range(4):
        x = torch.randn(8, 5)
        for model, optimiser, inputs in ((large, of_large, x), (small, of_small, x[:, :4])):
            optimiser.zero_grad()
            model(inputs).square().sum().backward()
        masks.hold_gradients()
        of_large.step()
        of_small.step()
        masks.hold()
    assert torch.allclose(large.weight[:, :4], small.weight, atol=1e-5)
    assert torch.allclose(large.bias, small.bias, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_whatever_stood_there_is_plus_zero_and_the_rest_keeps_its_bits(dtype):
    model = nn.Linear(4, 3, bias=False).to(dtype)
    kept = torch.tensor([[True, False, True, False]] * 3)
    masks = HeldMasks(model, {"weight": kept})
    odd = torch.tensor([-0.0, float("nan"), float("-inf"), -1.5]).to(dtype).expand(3, 4)
    for layout in (odd.contiguous(), odd.T.contiguous().T):  # also stored the other way round
        model.weight.data = layout.clone()
        masks.hold()
        told = model.weight.detach()
        gone = told[~kept].double()
        assert not gone.any()
        assert not gone.signbit().any()
        stays = told[kept].double().flatten()
        assert stays.isinf().any()
        assert stays[0].signbit()  # -0 stays -0
