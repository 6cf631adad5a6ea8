"""What modules declare of their heads, and the targets that come of it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core import Examples, Workload, cross_entropy, sweep
from core.workload.attention import declared_heads
from core.workload.discovery import find_targets


class Module(nn.Module):
    """Numbers and layers by name."""

    def __init__(self, /, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def separate(n_in=8, n_out=8, n_kv=8, names=("q_proj", "k_proj", "v_proj"), output="out_proj"):
    sizes = (n_out, n_kv, n_kv)
    layers = {name: nn.Linear(n_in, size) for name, size in zip(names, sizes, strict=True)}
    return {**layers, output: nn.Linear(n_out, n_in)}


def said(module):
    found = declared_heads(module)
    return found and (found.n_heads, found.n_kv, found.head_dim, found.output, found.projections, found.reason)


class Grouped(Module):
    """Grouped-query attention as a model: 4 query heads, 2 key/value heads."""

    def __init__(self):
        super().__init__(num_heads=4, num_kv_heads=2, head_dim=2, **separate(n_kv=4))

    def forward(self, x):
        q, k, v = (f(x).unflatten(-1, (-1, 2)).transpose(1, 2) for f in (self.q_proj, self.k_proj, self.v_proj))
        y = F.scaled_dot_product_attention(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1))
        return self.out_proj(y.transpose(1, 2).flatten(2)).mean(1)


THREE = ("q_proj", "k_proj", "v_proj")


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (Module(num_heads=2, head_dim=4, **separate()), (2, 2, 4, "out_proj", THREE)),
        (Module(head_dim=2, **separate(n_kv=4, output="o_proj")), (4, 2, 2, "o_proj", THREE)),
        (Module(n_heads=4, n_kv_heads=1, **separate(n_kv=2, output="wo")), (4, 1, 2, "wo", THREE)),
        (Module(n_head=2, c_attn=nn.Linear(8, 24), c_proj=nn.Linear(8, 8)), (2, 2, 4, "c_proj", ("c_attn",))),
        (
            Module(num_heads=2, head_dim=4, qkv=nn.Linear(8, 24), proj=nn.Linear(8, 8)),
            (2, 2, 4, "proj", ("qkv",)),
        ),
        (
            Module(head_size=4, query_key_value=nn.Linear(8, 24), dense=nn.Linear(8, 8)),
            (2, 2, 4, "dense", ("query_key_value",)),
        ),
        (
            Module(
                heads=2, dim_head=4, to_qkv=nn.Linear(8, 24), to_out=nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1))
            ),
            (2, 2, 4, "to_out.0", ("to_qkv",)),
        ),
        (nn.MultiheadAttention(8, 2), (2, 2, 4, "out_proj", ())),
    ],
)
def test_numbers_and_layers_are_read_off_names_and_sizes(module, expected):
    assert said(module) == (*expected, None)


def bert_attention(inner="self"):
    core = Module(num_attention_heads=2, attention_head_size=4, **separate(names=("query", "key", "value")))
    del core.out_proj
    return Module(**{inner: core, "output": Module(dense=nn.Linear(8, 8))})


@pytest.mark.parametrize("inner", ["self", "attention"])
def test_bert_joins_in_one_part_the_heads_that_another_makes(inner):
    found = said(bert_attention(inner))
    assert found == (2, 2, 4, "output.dense", tuple(f"{inner}.{name}" for name in ("query", "key", "value")), None)
    model = nn.ModuleDict({"attn": bert_attention(inner)})
    targets, uncuttable = find_targets(model)
    assert [t.name for t in targets if t.granularity == "head"] == ["attn:0", "attn:1"]
    assert not [item for item in uncuttable if item.name.startswith("heads of")]


@pytest.mark.parametrize(
    "module",
    [
        Module(num_heads=True, out_proj=nn.Linear(8, 8)),
        Module(head_dim=4, out_proj=nn.Linear(8, 8)),
        nn.Linear(3, 2),
        Module(attention=Module(num_heads=2, head_dim=4, **separate()), output=Module(dense=nn.Linear(8, 8))),
    ],
    ids=["a bool", "no projections", "a layer", "a block around attention"],
)
def test_what_declares_no_heads_has_none(module):
    assert declared_heads(module) is None


def test_two_layers_that_may_join_the_heads_are_not_chosen_among():
    module = Module(num_heads=2, head_dim=4, **separate(), proj=nn.Linear(8, 8))
    assert "any of out_proj, proj may join" in declared_heads(module).reason


def test_of_two_layers_the_one_of_the_right_size_joins_the_heads():
    module = Module(num_heads=2, head_dim=4, **separate(), proj=nn.Linear(9, 8))
    assert (declared_heads(module).output, declared_heads(module).reason) == ("out_proj", None)


def test_key_value_groups_are_targets_of_all_their_query_heads_columns():
    model = nn.ModuleDict({"attn": Module(num_heads=4, num_key_value_heads=2, head_dim=2, **separate(n_kv=4))})
    targets = [t for t in find_targets(model)[0] if t.granularity in ("head", "kv_group")]
    assert [t.name for t in targets] == ["attn:0", "attn:1", "attn:2", "attn:3", "attn:kv0", "attn:kv1"]
    last = targets[-1]
    assert (last.granularity, last.layer, last.head) == ("kv_group", "attn", 1)
    assert (last.parameter, last.shape, last.n_weights) == ("attn.out_proj.weight", (8, 8), 8 * 4)


def test_a_sweep_with_heads_measures_key_value_groups_and_estimates_them():
    attention = Grouped()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in attention.parameters():
            nn.init.normal_(parameter)
        x, more = torch.randn(8, 3, 8), torch.randn(8, 3, 8)
    labels = torch.tensor([0, 1] * 4)
    workload = Workload("grouped", attention, Examples(x, labels), cross_entropy(), Examples(more, labels))
    cells = {cell.cut.target: cell for cell in sweep(workload, heads=True).cells}
    assert cells[":kv1"].n_weights == 2 * cells[":3"].n_weights
    assert cells[":kv1"].state == "measured"
    assert cells[":kv1"].estimate is not None
