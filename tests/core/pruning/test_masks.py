"""Masks: exact counts, ties by position, and torch's own pruning as the independent reference."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from core import Cut, SecateurError, SparsityPlan
from core.pruning.masks import MaskMaker
from core.pruning.ranking import keep_largest
from core.pruning.wearing import cut_weight, put, replaced
from core.workload.discovery import find_targets

# few values, so that ties are common
saliencies = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]) | st.floats(0, 3, width=32), min_size=1, max_size=60).map(
    torch.tensor
)
sparsities = st.floats(0, 1, exclude_max=True)


def only(masks):
    (mask,) = masks.values()
    return mask


def maker_of(model):
    return MaskMaker(model, find_targets(model)[0])


def test_removes_exactly_two_of_four_when_all_scores_tie():
    assert keep_largest(torch.ones(4), sparsity=0.5).tolist() == [False, False, True, True]


def test_removes_the_smallest_by_hand():
    assert keep_largest(torch.tensor([[3.0, 0.1], [0.2, 2.0]]), 0.5).tolist() == [[True, False], [False, True]]


@given(saliency=saliencies, sparsity=sparsities)
def test_exactly_the_rounded_share_goes_whatever_ties(saliency, sparsity):
    assert int((~keep_largest(saliency, sparsity)).sum()) == round(sparsity * saliency.numel())


@given(saliency=saliencies, a=sparsities, b=sparsities)
def test_a_sparser_mask_is_a_subset_of_a_denser_one(saliency, a, b):
    low, high = sorted((a, b))
    assert not (keep_largest(saliency, high) & ~keep_largest(saliency, low)).any()


@given(saliency=saliencies, sparsity=sparsities)
def test_what_goes_ranks_before_what_stays_by_score_then_position(saliency, sparsity):
    keep = keep_largest(saliency, sparsity)
    ranked = sorted(range(len(saliency)), key=lambda i: (saliency[i].item(), i))
    assert {i for i in range(len(saliency)) if not keep[i]} == set(ranked[: round(sparsity * len(saliency))])


@given(saliency=saliencies, sparsity=sparsities)
def test_a_saliency_is_not_modified(saliency, sparsity):
    before = saliency.clone()
    keep_largest(saliency, sparsity)
    assert torch.equal(saliency, before)


@pytest.mark.parametrize("sparsity", [0.1, 0.25, 0.5, 0.9, 0.95])
def test_masks_are_those_of_torch_prune(conv, attentive, tied_lm, sparsity):
    for model in (conv.model, attentive.model, tied_lm.model):
        maker = maker_of(model)
        for target in find_targets(model)[0]:
            if target.granularity == "head":
                continue
            ours = only(maker.masks_of(Cut(target.name, "weight", sparsity, "magnitude")))
            reference = copy.deepcopy(model)
            path, _, name = target.parameter.rpartition(".")
            module = reference.get_submodule(path)
            assert (
                getattr(module, name).abs().unique().numel() == target.n_weights
            )  # no ties: torch breaks them otherwise
            prune.l1_unstructured(module, name, round(sparsity * target.n_weights))
            assert torch.equal(ours, getattr(module, f"{name}_mask").bool()), target.name


def test_a_fresh_norm_like_weight_loses_half_and_not_all():
    model = nn.Sequential(nn.Linear(4, 4, bias=False))
    nn.init.ones_(model[0].weight)
    mask = only(maker_of(model).masks_of(Cut("0", "weight", 0.5)))
    assert mask.flatten().tolist() == [False] * 8 + [True] * 8


def test_a_mask_does_not_depend_on_which_were_asked_for_before(conv):
    cuts = [Cut(name, "weight", s) for s in (0.9, 0.1, 0.5) for name in ("fc", "conv1", "conv2")]
    used = maker_of(conv.model)
    for cut in cuts:
        assert torch.equal(only(used.masks_of(cut)), only(maker_of(conv.model).masks_of(cut)))


def test_cuts_of_a_layer_and_of_its_heads_meet_in_one_mask(attentive):
    maker = maker_of(attentive.model)
    half, head = Cut("attn.out_proj", "weight", 0.5), Cut("attn:1", "head")
    (mask,) = maker.masks(SparsityPlan((half, head))).values()
    assert torch.equal(mask, only(maker.masks_of(half)) & only(maker.masks_of(head)))
    assert not mask[:, 4:].any()


@pytest.mark.parametrize(
    ("cut", "mend"),
    [
        (Cut("conv11", "weight", 0.5), "no weight target 'conv11'; did you mean conv1 or conv2?"),
        (Cut("zzz", "weight", 0.5), "there are 3: conv1, conv2, fc"),
        (Cut("conv1:0", "head"), "no head target 'conv1:0'; there are none"),
        (Cut("conv1.weight", "head"), "no head target"),
    ],
)
def test_a_cut_of_an_unknown_target_names_what_there_is(conv, cut, mend):
    with pytest.raises(SecateurError) as error:
        maker_of(conv.model).masks_of(cut)
    assert mend in str(error.value)


def test_what_is_cut_is_positive_zero_and_the_rest_the_same_bits():
    weight = torch.tensor([-1.0, -0.0, 1e-45, 2.0])
    cut = cut_weight(weight, torch.tensor([False, True, True, True]))
    assert cut.view(torch.int32).tolist() == [0, *weight.view(torch.int32).tolist()[1:]]


def test_a_mask_on_tied_weights_cuts_both_layers(tied_lm):
    model = tied_lm.model
    with replaced(model, maker_of(model).cut_tensors(SparsityPlan((Cut("tokens", "weight", 0.5),)))):
        assert int((model.head.weight == 0).sum()) == 33
        assert torch.equal(model.head.weight, model.tokens.weight)


def test_masks_come_off_after_an_error_with_the_same_storage(conv):
    weight = conv.model.fc.weight
    where, before = weight.data_ptr(), weight.detach().clone()

    def fail_inside():
        with replaced(conv.model, maker_of(conv.model).cut_tensors(SparsityPlan((Cut("fc", "weight", 0.5),)))):
            assert conv.model.fc.weight.data_ptr() != where
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert (weight.data_ptr(), conv.model.fc.weight is weight) == (where, True)
    assert torch.equal(weight, before)


def test_masks_for_good_give_what_masks_for_a_while_give(any_workload):
    model = any_workload.model
    plan = SparsityPlan.uniform(find_targets(model)[0], 0.5)
    tensors = maker_of(model).cut_tensors(plan)
    clone = copy.deepcopy(model)
    put(clone, tensors)
    with replaced(model, tensors), torch.inference_mode():
        assert torch.equal(model(*any_workload.evaluation.inputs), clone(*any_workload.evaluation.inputs))
