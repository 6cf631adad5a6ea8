"""What can be cut, and what cannot with the reason."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from core.workload.discovery import WEIGHT_LAYERS, find_targets

A_LAYER = {
    nn.Linear: lambda: nn.Linear(3, 2),
    nn.Bilinear: lambda: nn.Bilinear(3, 4, 2),
    nn.Conv1d: lambda: nn.Conv1d(2, 4, 3),
    nn.Conv2d: lambda: nn.Conv2d(2, 4, 3, groups=2),
    nn.Conv3d: lambda: nn.Conv3d(1, 2, 3),
    nn.ConvTranspose1d: lambda: nn.ConvTranspose1d(2, 4, 3),
    nn.ConvTranspose2d: lambda: nn.ConvTranspose2d(2, 4, 3),
    nn.ConvTranspose3d: lambda: nn.ConvTranspose3d(1, 2, 3),
    nn.Embedding: lambda: nn.Embedding(5, 3),
    nn.EmbeddingBag: lambda: nn.EmbeddingBag(5, 3),
}


def names_of(model, granularity="weight"):
    return [target.name for target in find_targets(model)[0] if target.granularity == granularity]


def reasons_of(model):
    return {item.name: item.reason for item in find_targets(model)[1]}


def check_partition(model):
    """Every parameter stands in exactly one of the two lists, once."""
    targets, uncuttable = find_targets(model)
    listed = [t.parameter for t in targets if t.granularity == "weight"] + [u.name for u in uncuttable]
    by_name = dict(model.named_parameters(remove_duplicate=False))
    for parameter in set(by_name.values()):
        names = {name for name, other in by_name.items() if other is parameter}
        assert len([name for name in listed if name in names]) == 1, names


@pytest.mark.parametrize("layer", WEIGHT_LAYERS, ids=lambda layer: layer.__name__)
def test_every_kind_of_layer_is_one_target_of_its_weight(layer):
    model = nn.Sequential(nn.ReLU(), A_LAYER[layer]())
    (target,) = find_targets(model)[0]
    weight = model[1].weight
    assert (target.name, target.kind, target.parameter) == ("1", layer.__name__, "1.weight")
    assert (target.shape, target.n_weights) == (tuple(weight.shape), weight.numel())
    check_partition(model)


def test_a_subclass_of_a_layer_is_a_target_too():
    class MyLinear(nn.Linear):
        pass

    (target,) = find_targets(nn.Sequential(MyLinear(3, 2)))[0]
    assert target.kind == "MyLinear"


def test_a_bare_layer_is_a_model_of_one_target():
    assert names_of(nn.Linear(3, 2)) == ["model"]


def test_targets_come_in_network_order_and_heads_after_layers(encoder):
    assert names_of(encoder.model) == [
        f"layers.{i}.{part}"
        for i in range(2)
        for part in ("self_attn.in_proj", "self_attn.out_proj", "linear1", "linear2")
    ] + ["fc"]
    assert names_of(encoder.model, "head") == [f"layers.{i}.self_attn:{head}" for i in range(2) for head in range(2)]


def test_a_head_owns_its_columns_of_the_output_projection(attentive):
    head = find_targets(attentive.model)[0][-1]
    assert (head.name, head.layer, head.head) == ("attn:1", "attn", 1)
    assert (head.parameter, head.shape, head.n_weights) == ("attn.out_proj.weight", (8, 8), 8 * 4)


def test_tied_weights_are_one_target_that_names_the_others(tied_lm):
    assert names_of(tied_lm.model) == ["tokens", "mix"]
    assert find_targets(tied_lm.model)[0][0].shared_with == ("head.weight",)


def test_attention_with_other_key_and_value_sizes_has_three_separate_projections():
    model = nn.MultiheadAttention(8, 2, kdim=5, vdim=6)
    assert names_of(model) == ["model.q_proj", "model.k_proj", "model.v_proj", "out_proj"]
    assert names_of(model, "head") == [":0", ":1"]
    check_partition(model)


def test_the_packed_projection_of_attention_is_one_target():
    (target, _) = (t for t in find_targets(nn.MultiheadAttention(8, 2))[0] if t.granularity == "weight")
    assert (target.name, target.parameter, target.shape) == ("model.in_proj", "in_proj_weight", (24, 8))


def test_each_parameter_is_in_exactly_one_list(any_workload):
    check_partition(any_workload.model)


def pruned_layer():
    layer = nn.Linear(3, 2)
    prune.l1_unstructured(layer, "weight", 0.5)
    return layer


def int_layer():
    layer = nn.Linear(3, 2)
    layer.weight = nn.Parameter(torch.zeros(2, 3, dtype=torch.int8), requires_grad=False)
    return layer


def sparse_layer():
    layer = nn.Linear(3, 2)
    layer.weight = nn.Parameter(torch.eye(2, 3).to_sparse(), requires_grad=False)
    return layer


REFUSED = {
    "prune'd": (pruned_layer, "prune.remove"),
    "parametrized": (lambda: parametrizations.weight_norm(nn.Linear(3, 2)), "remove the parametrization"),
    "lazy": (lambda: nn.LazyLinear(2), "run one batch"),
    "meta": (lambda: nn.Linear(3, 2, device="meta"), "load the weights"),
    "integers": (int_layer, "prune before quantizing"),
    "sparse": (sparse_layer, "to_dense"),
    "empty": (lambda: nn.Embedding(0, 3), "empty"),
}


@pytest.mark.parametrize(("make", "mend"), REFUSED.values(), ids=REFUSED)
def test_a_weight_that_cannot_be_cut_is_refused_with_its_reason(make, mend):
    model = nn.Sequential(make())
    assert names_of(model) == []
    assert mend in reasons_of(model)["0.weight"]
    check_partition(model)


def test_a_tied_weight_that_cannot_be_cut_is_refused_once():
    model = nn.Sequential(nn.Linear(3, 3, device="meta"), nn.Linear(3, 3, device="meta"))
    model[1].weight = model[0].weight
    check_partition(model)


def test_a_spectral_norm_is_not_taken_for_a_mask_of_torch_prune():
    model = nn.Sequential(nn.utils.spectral_norm(nn.Linear(3, 2)))
    assert "prune.remove" not in reasons_of(model)["0.weight"]


def test_parameters_on_the_same_memory_are_refused_since_a_mask_would_cut_both():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = nn.Parameter(model[0].weight.data.t())
    assert names_of(model) == []
    assert "shares memory" in reasons_of(model)["0.weight"]
    check_partition(model)


def test_norms_and_biases_are_listed_with_the_reason():
    model = nn.ModuleDict({"norm": nn.LayerNorm(3), "fc": nn.Linear(3, 2), "bn": nn.BatchNorm1d(3)})
    reasons = reasons_of(model)
    assert "normalisation" in reasons["norm.weight"]
    assert "normalisation" in reasons["bn.bias"]
    assert "bias" in reasons["fc.bias"]
    check_partition(model)


def test_weights_of_recurrent_layers_are_targets_each():
    model = nn.ModuleDict(
        {"rnn": nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2), "gru": nn.GRU(3, 2), "cell": nn.RNNCell(3, 2)}
    )
    names = names_of(model)
    parts = [f"_l{layer}{turn}" for layer in (0, 1) for turn in ("", "_reverse")]
    right = {f"rnn.weight_{kind}{part}" for kind in ("ih", "hh", "hr") for part in parts}
    right |= {f"{path}.weight_{kind}" for path in ("cell",) for kind in ("ih", "hh")}
    assert set(names) == right | {"gru.weight_ih_l0", "gru.weight_hh_l0"}
    shapes = {t.name: t.shape for t in find_targets(model)[0]}
    assert shapes["rnn.weight_ih_l1"] == (16, 4)
    assert shapes["rnn.weight_hr_l0"] == (2, 4)
    check_partition(model)


def test_a_recurrent_weight_that_is_computed_says_so():
    model = nn.ModuleDict({"rnn": nn.GRU(3, 2)})
    parametrizations.weight_norm(model["rnn"], "weight_hh_l0")
    assert "computed from other parameters" in reasons_of(model)["rnn.weight_hh_l0"]
    assert names_of(model) == ["rnn.weight_ih_l0"]
    check_partition(model)


class MyAttention(nn.Module):
    def __init__(self, out_proj, num_heads=2, head_dim=4):
        super().__init__()
        self.num_heads, self.head_dim, self.out_proj = num_heads, head_dim, out_proj


@pytest.mark.parametrize(
    ("attention", "mend"),
    [
        (MyAttention(nn.Conv1d(8, 8, 1)), "its out_proj is a Conv1d, and only an nn.Linear"),
        (MyAttention(nn.Linear(12, 8)), "columns are unknown"),
        (MyAttention(nn.Linear(8, 8), head_dim=None), "columns are unknown"),
        (MyAttention(pruned_layer(), num_heads=1, head_dim=3), "cannot be cut"),
    ],
)
def test_heads_of_an_unknown_layout_are_listed_not_guessed(attention, mend):
    model = nn.ModuleDict({"attn": attention})
    assert names_of(model, "head") == []
    assert mend in reasons_of(model)["heads of attn"]


def test_heads_of_one_s_own_attention_are_found():
    assert names_of(nn.ModuleDict({"attn": MyAttention(nn.Linear(8, 5))}), "head") == ["attn:0", "attn:1"]


def test_heads_behind_a_shared_output_projection_are_refused():
    shared = nn.Linear(8, 8)
    model = nn.ModuleDict({"a": MyAttention(shared), "b": MyAttention(shared)})
    assert names_of(model, "head") == []
    assert set(reasons_of(model)) >= {"heads of a", "heads of b"}


def test_a_thousand_small_layers_are_listed_quickly_and_in_order():
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(1000)))
    assert names_of(model) == [str(i) for i in range(1000)]


class Block(nn.Module):
    """Keeps the number of heads that it gave to its attention."""

    def __init__(self, attention):
        super().__init__()
        self.num_heads, self.attn = 2, attention


def test_a_parent_that_only_keeps_the_number_of_heads_is_not_listed():
    model = nn.ModuleDict({"block": Block(MyAttention(nn.Linear(8, 8)))})
    assert names_of(model, "head") == ["block.attn:0", "block.attn:1"]
    assert not [name for name in reasons_of(model) if name.startswith("heads of")]
    check_partition(model)


def test_of_a_parent_and_a_child_of_unknown_layout_the_child_is_listed():
    reasons = reasons_of(nn.ModuleDict({"block": Block(MyAttention(nn.Conv1d(8, 8, 1)))}))
    assert [name for name in reasons if name.startswith("heads of")] == ["heads of block.attn"]


def test_a_parent_whose_child_has_no_heads_is_listed():
    reasons = reasons_of(nn.ModuleDict({"block": Block(nn.Linear(8, 8))}))
    assert "which of its linear layers joins them is not known" in reasons["heads of block"]
