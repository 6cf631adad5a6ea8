"""Masks of patterns: exact counts in every group, nesting, and NumPy and torch's own sparsifier as references."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from core import Cut, SecateurError, SparsityPlan
from core.plans.patterns import parse_pattern
from core.pruning.masks import MaskMaker
from core.pruning.patterns import pattern_mask, pattern_places
from core.workload.discovery import find_targets

sides = st.integers(1, 4)
scores = st.sampled_from([0.0, 0.5, 1.0, 2.0])  # few values, so that ties are common


def mask_of(saliency, text, sparsity=0.0):
    pattern = parse_pattern(text)
    return pattern_mask(pattern_places(saliency, pattern), pattern, saliency.shape, sparsity)


def maker_of(model):
    return MaskMaker(model, find_targets(model)[0])


def only(masks):
    (mask,) = masks.values()
    return mask


@st.composite
def weights(draw, row=1, column=1, kernel=True):
    """A saliency whose inputs are a multiple of `column`, and whose outputs one of `row`."""
    shape = [row * draw(sides), column * draw(sides)]
    shape += draw(st.sampled_from([[], [3], [2, 3]])) if kernel else []
    n = int(np.prod(shape))
    return torch.tensor(draw(st.lists(scores, min_size=n, max_size=n))).view(shape)


def test_two_of_four_by_hand():
    saliency = torch.tensor([[4.0, 1.0, 3.0, 2.0, 0.1, 0.4, 0.3, 0.2], [1.0, 1.0, 1.0, 1.0, 9.0, 0.0, 0.0, 8.0]])
    kept = [[1, 0, 1, 0, 0, 1, 1, 0], [0, 0, 1, 1, 1, 0, 0, 1]]  # of equal scores the first go
    assert mask_of(saliency, "2:4").int().tolist() == kept


def test_groups_of_a_convolution_run_along_its_inputs_at_each_place_of_the_kernel():
    saliency = torch.tensor([[[1.0, 9.0], [2.0, 8.0], [3.0, 7.0], [4.0, 6.0]]])  # (1 out, 4 in, kernel of 2)
    assert mask_of(saliency, "2:4").int().tolist() == [[[0, 1], [0, 1], [1, 0], [1, 0]]]


def test_tiles_by_hand():
    saliency = torch.tensor([[1.0, 1.0, 9.0, 0.0], [1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 2.0], [0.0, 3.0, 2.0, 2.0]])
    # tiles of 2x2 sum to 4, 9, 3 and 8
    assert mask_of(saliency, "2x2", 0.25).int().tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert mask_of(saliency, "2x2", 0.5).int().tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]


@given(data=st.data(), n=st.integers(1, 7), m=st.integers(2, 8))
def test_exactly_n_of_every_m_inputs_stay_whatever_ties(data, n, m):
    n = min(n, m - 1)
    saliency = data.draw(weights(column=m))
    before = saliency.clone()
    mask = mask_of(saliency, f"{n}:{m}")
    assert (mask.shape, mask.dtype) == (saliency.shape, torch.bool)
    assert (mask.movedim(1, -1).unflatten(-1, (-1, m)).sum(-1) == n).all()
    assert int((~mask).sum()) == parse_pattern(f"{n}:{m}").n_removed(mask.numel(), 0.0)
    assert torch.equal(saliency, before)


@given(data=st.data(), n=st.integers(1, 7), m=st.integers(2, 8))
def test_n_of_m_is_what_a_loop_over_groups_sorts_out(data, n, m):
    n = min(n, m - 1)
    saliency = data.draw(weights(column=m))
    rows = np.moveaxis(saliency.numpy(), 1, -1).reshape(-1, m)
    expected = np.ones(rows.shape, bool)
    for row, kept in zip(rows, expected, strict=True):
        kept[sorted(range(m), key=lambda i: (row[i], i))[: m - n]] = False
    mask = mask_of(saliency, f"{n}:{m}").movedim(1, -1).reshape(-1, m)
    assert np.array_equal(mask.numpy(), expected)


@given(data=st.data(), row=st.integers(1, 3), column=st.integers(2, 4), sparsity=st.floats(0, 1, exclude_max=True))
def test_exactly_the_rounded_share_of_tiles_goes_and_each_goes_whole(data, row, column, sparsity):
    saliency = data.draw(weights(row, column, kernel=False))
    mask = mask_of(saliency, f"{row}x{column}", sparsity)
    kept = mask.unflatten(1, (-1, column)).unflatten(0, (-1, row)).permute(0, 2, 1, 3).flatten(2)
    assert (kept.all(-1) | ~kept.any(-1)).all()
    n_tiles = kept.shape[0] * kept.shape[1]
    assert int((~kept.any(-1)).sum()) == round(sparsity * n_tiles)
    assert int((~mask).sum()) == parse_pattern(f"{row}x{column}").n_removed(mask.numel(), sparsity)


@given(data=st.data(), a=st.floats(0, 1, exclude_max=True), b=st.floats(0, 1, exclude_max=True))
def test_a_sparser_mask_of_tiles_lies_inside_a_denser_one(data, a, b):
    saliency, (low, high) = data.draw(weights(2, 3, kernel=False)), sorted((a, b))
    assert not (mask_of(saliency, "2x3", high) & ~mask_of(saliency, "2x3", low)).any()


@given(saliency=weights(column=8), a=st.integers(1, 7), b=st.integers(1, 7))
def test_fewer_of_m_lie_inside_more_of_m(saliency, a, b):
    low, high = sorted((a, b))
    assert not (mask_of(saliency, f"{low}:8") & ~mask_of(saliency, f"{high}:8")).any()


def test_two_of_four_of_a_linear_layer_is_that_of_torchs_sparsifier():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is on its way to torchao
        from torch.ao.pruning import WeightNormSparsifier

        model = nn.Sequential(nn.Linear(16, 6))
        ours = only(maker_of(model).masks_of(Cut("0", "2:4")))
        sparsifier = WeightNormSparsifier(sparsity_level=1.0, sparse_block_shape=(1, 4), zeros_per_block=2)
        sparsifier.prepare(model, [{"tensor_fqn": "0.weight"}])
        sparsifier.step()
    reference = model[0].parametrizations.weight[0].mask.bool()
    assert torch.equal(ours, reference)
    assert int(ours.sum()) == 48


def test_a_convolution_is_cut_as_asp_cuts_it_channels_last():
    model = nn.Sequential(nn.Conv2d(8, 5, 3))
    weight = model[0].weight.detach().numpy()
    rows = np.abs(weight.transpose(2, 3, 0, 1)).reshape(-1, 4)  # apex.contrib.sparsity.create_mask, for 2:4
    expected = rows >= np.sort(rows, 1)[:, 2:3]
    expected = expected.reshape(3, 3, 5, 8).transpose(2, 3, 0, 1)
    assert np.array_equal(only(maker_of(model).masks_of(Cut("0", "2:4"))).numpy(), expected)


def test_tiles_of_a_convolution_are_those_of_its_matrix():
    model = nn.Sequential(nn.Conv2d(4, 4, 2))
    mask = only(maker_of(model).masks_of(Cut("0", "2x8", 0.5)))
    sums = model[0].weight.detach().abs().numpy().reshape(2, 2, 2, 8).sum((1, 3))
    least = set(map(tuple, np.argwhere(sums <= np.sort(sums, None)[1])))
    gone = ~mask.numpy().reshape(2, 2, 2, 8).any((1, 3))
    assert set(map(tuple, np.argwhere(gone))) == least


def test_a_mask_does_not_depend_on_what_was_asked_for_before():
    model = nn.Sequential(nn.Linear(8, 8))
    used = maker_of(model)
    for cut in [Cut("0", g, s) for s in (0.75, 0.25) for g in ("2x2", "weight", "4x4")] + [Cut("0", "2:4")]:
        assert torch.equal(only(used.masks_of(cut)), only(maker_of(model).masks_of(cut)))


def test_cuts_of_one_layer_in_several_ways_meet_in_one_mask():
    maker = maker_of(nn.Sequential(nn.Linear(8, 8)))
    cuts = (Cut("0", "2:4"), Cut("0", "4x4", 0.25), Cut("0", "weight", 0.3))
    found = only(maker.masks(SparsityPlan(cuts)))
    assert torch.equal(found, torch.stack([only(maker.masks_of(cut)) for cut in cuts]).all(0))


class Kinds(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = type("Up", (nn.ConvTranspose2d,), {})(8, 8, 2)  # known by what it is, not by its name
        self.tokens = nn.Embedding(8, 8)
        self.both = nn.Bilinear(4, 4, 8)
        self.odd = nn.Linear(6, 6)


@pytest.mark.parametrize(
    ("name", "pattern", "reason"),
    [
        ("up", "2:4", "up is a transposed convolution"),
        ("tokens", "4x4", "tokens is an embedding"),
        ("both", "2:4", "both is bilinear"),
        ("odd", "2:4", "2:4 needs a multiple of 4 inputs, and odd has 6"),
        ("odd", "4x4", "odd is 6 x 6 as outputs x inputs, which tiles of 4x4 do not divide"),
    ],
)
def test_a_plan_with_an_impossible_pattern_is_refused_with_the_reason(name, pattern, reason):
    with pytest.raises(SecateurError, match=f"{reason}.*; choose another pattern, or leave {name} out"):
        maker_of(Kinds()).masks(SparsityPlan((Cut(name, pattern, 0.5),)))


def test_a_tied_embedding_is_cut_for_the_linear_layer_that_reads_it():
    model = nn.ModuleDict({"tokens": nn.Embedding(6, 8), "head": nn.Linear(8, 6, bias=False)})
    model["head"].weight = model["tokens"].weight
    mask = only(maker_of(model).masks_of(Cut("tokens", "2:4")))
    assert (mask.view(6, 2, 4).sum(-1) == 2).all()


def test_a_pattern_of_an_unknown_layer_names_the_layers_there_are():
    with pytest.raises(SecateurError, match="no weight target '1'; there are 1: 0"):
        maker_of(nn.Sequential(nn.Linear(8, 8))).masks_of(Cut("1", "2:4"))
