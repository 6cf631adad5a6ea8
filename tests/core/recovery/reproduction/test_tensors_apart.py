"""How far tensors are apart, to the bit."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.recovery.reproduction.parting import Parting
from core.recovery.reproduction.tensors_apart import parting_of


def test_by_hand():
    written = {"a": torch.tensor([1.0, 2.0, 3.0]), "b": torch.tensor([[1, 2]]), "c": torch.tensor(True)}
    again = {"a": torch.tensor([1.0, 2.5, 3.0]), "b": torch.tensor([[1, 5]]), "c": torch.tensor(True)}
    assert parting_of(written, again, "here") == Parting("here", "a", None, 2, 2, 3.0)
    assert parting_of(written, written, "here") is None


@pytest.mark.parametrize(
    ("written", "again", "name", "difference"),
    [
        ({}, {"a": torch.ones(2)}, "a", "it is missing from the bundle"),
        ({"a": torch.ones(2)}, {}, "a", "only the bundle has it"),
        (
            {"a": torch.ones(2)},
            {"a": torch.ones(1, 2)},
            "a",
            "(2,) of float32 in the bundle, (1, 2) of float32 when made again",
        ),
        (
            {"a": torch.ones(2)},
            {"a": torch.ones(2, dtype=torch.float64)},
            "a",
            "(2,) of float32 in the bundle, (2,) of float64 when made again",
        ),
    ],
)
def test_what_cannot_be_compared_entry_by_entry_is_said_in_words(written, again, name, difference):
    assert parting_of(written, again, "x") == Parting("x", name, difference, 1, 0, None)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_difference_that_is_no_finite_number_is_none(value):
    found = parting_of({"a": torch.tensor([value, 1.0])}, {"a": torch.tensor([0.0, 1.0])}, "x")
    assert (found.entries, found.largest) == (1, None)


def test_a_nan_of_the_same_bits_is_the_same_and_one_of_others_is_not():
    one = torch.tensor([0x7FC00000, 0], dtype=torch.int32).view(torch.float32)
    other = torch.tensor([0x7FC00001, 0], dtype=torch.int32).view(torch.float32)
    assert parting_of({"a": one}, {"a": one.clone()}, "x") is None
    assert parting_of({"a": one}, {"a": other}, "x").entries == 1


@pytest.mark.parametrize(
    "dtype",
    [torch.float16, torch.bfloat16, torch.float64, torch.complex64, torch.uint8, torch.bool, torch.float8_e4m3fn],
)
def test_every_dtype_can_be_compared(dtype):
    one, other = torch.tensor([0, 1, 1]).to(dtype), torch.tensor([0, 1, 0]).to(dtype)
    found = parting_of({"a": one}, {"a": other}, "x")
    assert (found.entries, found.largest) == (1, 1.0)
    assert parting_of({"a": one}, {"a": one.clone()}, "x") is None


def test_tensors_without_entries_and_of_no_dimension_are_the_same():
    both = {"none": torch.empty(0, 3), "one": torch.tensor(2.0)}
    assert parting_of(both, {name: tensor.clone() for name, tensor in both.items()}, "x") is None


floats = st.lists(st.floats(-10, 10, width=32), min_size=4, max_size=4)


@given(one=floats, other=floats)
def test_entries_and_largest_difference_are_numpy_s(one, other):
    a, b = np.array(one, np.float32), np.array(other, np.float32)
    differ = a.view(np.uint32) != b.view(np.uint32)
    found = parting_of({"a": torch.from_numpy(a)}, {"a": torch.from_numpy(b)}, "x")
    if not differ.any():
        assert found is None
    else:
        assert found.entries == differ.sum()
        assert found.largest == np.abs(a.astype(np.float64) - b.astype(np.float64)).max()
