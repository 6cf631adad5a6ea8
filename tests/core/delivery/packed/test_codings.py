"""Codings give every entry back, and cost what one counts by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from core.delivery.packed.codings import CODINGS, coded, joined, positions_of

ENTRIES = st.integers(1, 8).flatmap(
    lambda width: arrays.arrays(
        np.uint8,
        st.tuples(st.integers(0, 900), st.just(width)),
        elements=st.one_of(st.just(0), st.just(0), st.just(0), st.integers(0, 255)),
    )
)


def read_back(entries, coding):
    found = coded(entries, coding)
    stream = None if found.positions is None else found.positions.data
    positions = positions_of(coding, len(entries), len(found.values[0].data), stream)
    return joined(len(entries), positions, [one.data for one in found.values])


@pytest.mark.parametrize("coding", CODINGS)
@given(entries=ENTRIES)
def test_every_coding_gives_every_entry_back(coding, entries):
    assert np.array_equal(read_back(entries, coding), entries)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("zeros", [0, 1, 254, 255, 256, 509, 510, 511, 1000])
def test_values_far_apart_are_found_again(coding, zeros):
    entries = np.zeros((zeros + 2, 1), np.uint8)
    entries[zeros] = entries[zeros + 1] = 7
    assert np.array_equal(read_back(entries, coding), entries)


def test_a_mask_has_its_first_entry_in_the_highest_bit():
    entries = np.array([[5], [0], [0], [0], [0], [0], [0], [6], [0], [7]], np.uint8)
    found = coded(entries, "bitmask")
    assert found.positions.data.tolist() == [0b10000001, 0b01000000]
    assert found.values[0].data.tolist() == [5, 6, 7]


def test_gaps_count_the_zeros_before_each_value():
    entries = np.zeros((300, 1), np.uint8)
    entries[[0, 3, 299]] = [[1], [2], [3]]  # 0 zeros, 2 zeros, 295 = 255 + 40 zeros
    assert coded(entries, "gaps").positions.data.tolist() == [0, 2, 255, 40]


def test_values_of_two_bytes_are_written_byte_by_byte():
    entries = np.array([[1, 2], [0, 0], [0, 4]], np.uint8)  # the last is a value although its first byte is 0
    assert [one.data.tolist() for one in coded(entries, "bitmask").values] == [[1, 0], [2, 4]]


@pytest.mark.parametrize(
    ("coding", "n", "kept", "stream"),
    [
        ("every", 5, 4, None),
        ("bitmask", 9, 1, [0b10000000]),  # a mask of 8 entries
        ("bitmask", 4, 1, [0b00001000]),  # a bit behind the last entry
        ("bitmask", 4, 2, [0b10000000]),
        ("gaps", 4, 1, [255]),  # a gap without an end
        ("gaps", 4, 1, [4]),  # a value behind the last entry
        ("gaps", 4, 2, [0]),
    ],
)
def test_positions_that_cannot_be_are_refused(coding, n, kept, stream):
    with pytest.raises(ValueError, match=r"values|mask|gap|entries"):
        positions_of(coding, n, kept, None if stream is None else np.array(stream, np.uint8))
