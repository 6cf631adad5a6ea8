"""Batches: some examples in an order drawn by a seed, the first batch smaller than the rest."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from core import Examples, Workload, accuracy
from core.errors import SecateurError
from core.sensitivity.forwards.batches import Batches, batches_of


def examples(n):
    return Examples(torch.arange(n * 2).view(n, 2), torch.arange(n))


@pytest.mark.parametrize(
    ("n", "size", "sizes"),
    [
        (1000, 250, [50, 200, 250, 250, 250]),
        (24, 10, [2, 8, 10, 4]),
        (15, 7, [2, 5, 7, 1]),
        (4, 2, [2, 2]),
        (3, 1, [1, 1, 1]),
        (2, 250, [2]),
        (40, 250, [40]),
        (60, 250, [50, 10]),
        (11, 11, [2, 9]),
    ],
)
def test_a_fifth_of_the_first_batch_comes_first(n, size, sizes):
    batches = Batches(examples(n), n, size, seed=0)
    assert [batches.size(i) for i in range(len(batches))] == sizes


@given(n_all=st.integers(2, 60), size=st.integers(1, 30), seed=st.integers(0, 5), data=st.data())
def test_every_example_is_drawn_once_and_rows_tell_where_a_batch_lies(n_all, size, seed, data):
    n = data.draw(st.integers(2, n_all))
    batches = Batches(examples(n_all), n, size, seed)
    order = torch.cat(batches.positions).tolist()
    assert len(set(order)) == len(order) == n
    assert all(1 <= batches.size(i) <= size or (i == 0 and batches.size(i) == 2) for i in range(len(batches)))
    for i in range(len(batches)):
        rows = order[batches.rows(i)]
        assert batches.labels(i, torch.device("cpu")).tolist() == rows
        assert batches.inputs(i, torch.device("cpu"))[0].tolist() == [[2 * row, 2 * row + 1] for row in rows]
        assert batches[i].fingerprint() == batches.keys[i]


def test_the_order_is_the_seed_s_and_not_the_data_s():
    one, again, other = (Batches(examples(100), 100, 20, seed) for seed in (1, 1, 2))
    order = [torch.cat(batches.positions).tolist() for batches in (one, again, other)]
    assert order[0] == order[1]
    assert order[0] != order[2]
    assert order[0] != sorted(order[0])
    assert one.keys == again.keys
    assert not set(one.keys) & set(other.keys)


@given(n=st.integers(2, 50), size=st.integers(1, 20))
def test_more_examples_begin_with_the_whole_batches_of_fewer(n, size):
    few, more = Batches(examples(60), n, size, 0), Batches(examples(60), 60, size, 0)
    whole = [key for i, key in enumerate(few.keys) if few.size(i) == more.size(i)]
    assert more.keys[: len(whole)] == whole
    assert len(whole) >= len(few) - 1
    assert torch.cat(more.positions).tolist()[:n] == torch.cat(few.positions).tolist()


def test_drawing_leaves_the_random_numbers_of_others_alone():
    before = torch.random.get_rng_state()
    Batches(examples(20), 20, 5, 3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_is_judged_on_follows_what_was_looked_at_and_shares_nothing_with_it():
    workload = Workload("x", nn.Linear(2, 2), examples(90), accuracy(), batch_size=10)
    looked, judged, both = (
        torch.cat(batches_of(workload, n, 3, skip=skip).positions).tolist() for n, skip in ((40, 0), (30, 40), (70, 0))
    )
    assert looked + judged == both
    assert len(set(both)) == 70
    with pytest.raises(SecateurError, match="has 50 more; take fewer"):
        batches_of(workload, 51, 3, skip=40)
    assert batches_of(workload, "all", 3, skip=40).n == 50
