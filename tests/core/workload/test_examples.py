"""Examples keep their order and know their content."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core import Examples, SecateurError


@given(n=st.integers(1, 40), size=st.integers(1, 50))
def test_batches_are_the_examples_in_order_each_once(n, size):
    examples = Examples(torch.arange(n).float(), torch.arange(n))
    batches = list(examples.batches(size))
    assert torch.cat([batch.labels for batch in batches]).tolist() == list(range(n))
    assert all(len(batch) == size for batch in batches[:-1])


def test_a_single_input_needs_no_tuple():
    assert isinstance(Examples(torch.zeros(3, 2), torch.zeros(3)).inputs, tuple)


def test_labels_left_out_are_nothing_for_each_example():
    examples = Examples((torch.arange(6.0).view(3, 2), torch.zeros(3)))
    assert examples.labels.shape == (3, 0)
    assert len(examples) == 3
    assert [len(batch) for batch in examples.batches(2)] == [2, 1]
    assert examples.first(2).labels.shape == (2, 0)
    assert examples.fingerprint() == Examples(examples.inputs, torch.empty(3, 0)).fingerprint()
    assert examples.fingerprint() != Examples(examples.inputs, torch.zeros(3)).fingerprint()


@pytest.mark.parametrize("inputs", [(), ([1.0, 2.0],)])
def test_without_labels_too_inputs_must_be_there_and_tensors(inputs):
    with pytest.raises(SecateurError, match="got neither" if not inputs else "must be tensors, got list"):
        Examples(inputs)


def test_inputs_and_labels_of_different_lengths_are_refused():
    with pytest.raises(SecateurError, match=r"\[2, 3\]; the first dimension"):
        Examples(torch.zeros(3), torch.zeros(2))


@pytest.mark.parametrize(
    "other",
    [
        Examples(torch.tensor([1.0, 2.5]), torch.tensor([0, 1])),
        Examples(torch.tensor([1.0, 2.0]), torch.tensor([0, 0])),
        Examples(torch.tensor([1.0, 2.0], dtype=torch.float64), torch.tensor([0, 1])),
        Examples(torch.tensor([[1.0], [2.0]]), torch.tensor([0, 1])),
    ],
    ids=["value", "label", "dtype", "shape"],
)
def test_a_fingerprint_changes_with_anything_in_the_data(other):
    assert Examples(torch.tensor([1.0, 2.0]), torch.tensor([0, 1])).fingerprint() != other.fingerprint()


def test_a_view_and_its_copy_have_the_same_fingerprint():
    base = torch.arange(12.0).view(4, 3)
    view, copy = base.t(), base.t().contiguous()
    labels = torch.zeros(3)
    assert Examples(view, labels).fingerprint() == Examples(copy, labels).fingerprint()


def test_an_example_is_the_same_whatever_it_is_called():
    a, b = Examples(torch.tensor([1.0]), torch.tensor([0])), Examples(torch.tensor([1.0]), torch.tensor([7]))
    assert a.example_hashes() == b.example_hashes()


def test_a_dataset_of_pairs_becomes_examples():
    dataset = [(torch.tensor([float(i)]), i) for i in range(5)]
    examples = Examples.from_dataset(dataset, limit=3)
    assert examples.inputs[0].tolist() == [[0.0], [1.0], [2.0]]
    assert examples.labels.tolist() == [0, 1, 2]
    with pytest.raises(SecateurError, match="empty"):
        Examples.from_dataset([])


class Drawn(torch.utils.data.Dataset):
    """Items that `change` may make others of."""

    def __init__(self, change):
        self.change = change

    def __len__(self):
        return 200

    def __getitem__(self, i):
        x = torch.randn(8, generator=torch.Generator().manual_seed(i))
        return self.change(x, i)


def noisy(x, i):
    return x + 0.1 * torch.randn(8), 1


def flipped_half_of_the_time(x, i):
    return (x.flip(0) if torch.rand(()) < 0.5 else x), 1


def other_labels(x, i):
    return x, int(torch.randint(1_000_000, ()))


def one_of_numpy(x, i):
    return x.numpy() * np.random.default_rng().uniform(0.9, 1.1, 8).astype("f4"), 1


@pytest.mark.parametrize("change", [noisy, flipped_half_of_the_time, other_labels, one_of_numpy])
@pytest.mark.parametrize("limit", [None, 40])
def test_items_that_are_others_when_they_are_drawn_again_are_refused(change, limit):
    with pytest.raises(SecateurError, match=r"another when it is drawn again .*augments at random.*Workload\(augment="):
        Examples.from_dataset(Drawn(change), limit)


def test_items_that_stay_what_they_are_are_taken():
    found = Examples.from_dataset(Drawn(lambda x, i: (x, i % 3)), 50)
    right = torch.stack([torch.randn(8, generator=torch.Generator().manual_seed(i)) for i in range(50)])
    assert torch.equal(found.inputs[0], right)
    assert found.labels.tolist() == [i % 3 for i in range(50)]


def test_items_that_are_no_numbers_are_compared_bit_for_bit():
    found = Examples.from_dataset(Drawn(lambda x, i: (x.masked_fill(x < 0, float("nan")), 1)), 10)
    assert found.inputs[0].isnan().any()


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.float32, torch.bool])
def test_common_examples_are_those_of_which_all_bytes_are_the_same(kind):
    generator = torch.Generator().manual_seed(0)
    for width in (1, 3, 8, 13):
        a, b = (torch.randint(2, (40, width), generator=generator).to(kind) for _ in range(2))
        one, other = Examples(a, torch.zeros(40)), Examples((b,), torch.ones(40))
        rows = [{tuple(row) for row in x.tolist()} for x in (a, b)]
        assert one.n_common(other) == len(rows[0] & rows[1])
        assert one.n_common(Examples(b.double(), torch.ones(40))) == len(
            one.example_hashes() & Examples(b.double(), torch.ones(40)).example_hashes()
        )


def test_examples_of_two_inputs_are_common_only_if_both_are():
    a, b = torch.arange(6).view(6, 1), torch.zeros(6, 2)
    one = Examples((a, b), torch.zeros(6))
    assert one.n_common(Examples((a, b + 1), torch.zeros(6))) == 0
    assert one.n_common(Examples((a.flip(0), b), torch.zeros(6))) == 6
    assert one.n_common(Examples((a[:2], b[:2]), torch.zeros(2))) == 2
