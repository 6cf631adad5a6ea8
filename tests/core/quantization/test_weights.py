"""Quantized weights: numbers by hand, half a step at most, zeros that stay, tied weights once, reasons for the rest."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from core import SecateurError
from core.pruning.ranking import keep_largest
from core.pruning.wearing import cut_weight, put
from core.quantization.bits import SCHEMES, SUFFIXES, checked_bits, checked_scheme
from core.quantization.weights import LeftAlone, largest_code, quantize_tensor, quantize_weights
from tests.tiny_models import ConvNet, TiedLM, seeded


def test_a_row_is_measured_by_its_largest_weight():
    """127 steps to 2.54 are steps of 0.02; of the second row steps of 1."""
    found = quantize_tensor(torch.tensor([[2.54, -0.02, 0.031, 0.0], [-127.0, 63.6, 0.4, -0.0]]), axis=0)
    assert found.codes.tolist() == [[127, -1, 2, 0], [-127, 64, 0, 0]]
    assert found.scales.tolist() == pytest.approx([0.02, 1.0], rel=1e-6)
    assert found.dequantized()[1].tolist() == [-127.0, 64.0, 0.0, 0.0]


@pytest.mark.parametrize(("bits", "largest"), [(8, 127), (4, 7), (3, 3), (2, 1)])
def test_so_many_bits_reach_so_far(bits, largest):
    found = quantize_tensor(torch.linspace(-1, 1, 1001).view(1, -1), axis=0, bits=bits)
    assert largest_code(bits) == largest
    assert found.codes.unique().tolist() == list(range(-largest, largest + 1))


@given(
    rows=st.integers(1, 5),
    columns=st.integers(1, 40),
    bits=st.integers(2, 8),
    size=st.floats(1e-30, 1e30),
    sparsity=st.sampled_from([0.0, 0.5, 0.9]),
    seed=st.integers(0, 1000),
)
def test_no_weight_moves_by_more_than_half_a_step_and_zeros_stay(rows, columns, bits, size, sparsity, seed):
    weight = size * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    weight = cut_weight(weight, keep_largest(weight.abs(), sparsity))
    found = quantize_tensor(weight, axis=0, bits=bits)
    after = found.dequantized()
    half = found.scales.double().view(-1, 1) / 2
    assert ((after.double() - weight.double()).abs() <= half * (1 + 1e-6)).all()
    assert (after[weight == 0].view(torch.int32) == 0).all()  # the bits of +0
    assert torch.equal(found.scales, weight.abs().amax(1) / largest_code(bits))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_largest_number_of_a_type_does_not_become_infinite(dtype):
    weight = torch.tensor([[torch.finfo(dtype).max, 1.0], [torch.finfo(dtype).tiny, 0.0]], dtype=dtype)
    after = quantize_tensor(weight, axis=0).dequantized()
    assert after.dtype == dtype
    assert after.isfinite().all()


def test_a_row_of_zeros_stays_one():
    found = quantize_tensor(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), axis=0)
    assert found.dequantized()[0].tolist() == [0.0, 0.0]


def test_quantizing_what_was_quantized_gives_the_same_codes():
    once = quantize_tensor(torch.randn(6, 50, generator=torch.Generator().manual_seed(0)), axis=0)
    assert torch.equal(quantize_tensor(once.dequantized(), axis=0).codes, once.codes)


def test_torchs_own_quantizer_gives_the_same_codes():
    weight = torch.randn(7, 30, generator=torch.Generator().manual_seed(3))
    found = quantize_tensor(weight, axis=0)
    zeros = torch.zeros(7, dtype=torch.int32)
    theirs = torch.fake_quantize_per_channel_affine(weight, found.scales, zeros, 0, -127, 127)
    assert torch.equal(theirs, found.dequantized())


def test_a_weight_that_is_not_finite_is_refused():
    with pytest.raises(SecateurError, match="NaN or infinite"):
        quantize_tensor(torch.tensor([[1.0, float("nan")]]), axis=0)


@pytest.mark.parametrize("bits", [1, 9, 8.0, True, "8", None])
def test_bits_out_of_range_are_refused(bits):
    with pytest.raises(SecateurError, match="from 2 to 8"):
        checked_bits(bits)


def test_a_transposed_convolution_has_a_scale_for_each_output_channel():
    model = nn.Sequential(nn.ConvTranspose2d(3, 5, 2))
    found = quantize_weights(model).tensors["0.weight"]
    assert found.axis == 1
    assert found.scales.shape == (5,)


def test_tied_weights_are_quantized_once_and_stay_tied():
    model = seeded(TiedLM)
    found = quantize_weights(model)
    assert set(found.tensors) == {"tokens.weight", "mix.weight"}
    assert found.names["head.weight"] == "tokens.weight"
    put(model, found.dequantized())
    assert model.head.weight is model.tokens.weight
    assert torch.equal(model.head.weight, found.tensors["tokens.weight"].dequantized())


def test_every_tensor_of_the_state_is_quantized_or_listed_with_a_reason():
    model = seeded(ConvNet)
    found = quantize_weights(model)
    assert sorted([*found.names, *(one.name for one in found.left)]) == sorted(model.state_dict())
    assert all(one.reason and not one.reason.endswith(".") for one in found.left)


def test_a_weight_that_is_all_scales_is_left_alone():
    """8 rows of one weight: 8 bytes of codes and 32 of scales, where there are 32 bytes now."""
    found = quantize_weights(nn.Linear(1, 8, bias=False))
    assert found.left == (LeftAlone("weight", 8, "its scales would take as much as it saves"),)


def test_what_vanishes_is_counted():
    model = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[127.0, 0.4, -0.3, 0.0]]))
    assert quantize_weights(model).n_vanished == 2


def test_only_named_targets_are_quantized_each_to_its_bits():
    model = seeded(ConvNet)
    found = quantize_weights(model, {"fc": 4})
    assert {name: one.bits for name, one in found.tensors.items()} == {"fc.weight": 4}
    assert "was not asked for" in {one.reason for one in found.left}
    with pytest.raises(SecateurError, match="no weight target 'fx'"):
        quantize_weights(model, {"fx": 4})


def test_schemes_are_known_by_name_and_only_weights_take_other_bits():
    assert set(SCHEMES) == set(SUFFIXES)
    assert checked_scheme("static") == "static"
    with pytest.raises(SecateurError, match="choose one of weight, dynamic, static"):
        checked_scheme("fp4")
    with pytest.raises(SecateurError, match="dynamic is for 8 bits"):
        checked_scheme("dynamic", 4)
