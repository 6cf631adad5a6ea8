"""Heads removed for good: the shrunk model does what the masked one does, and its numbers are right."""

import random
import re
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from core import Cut, SparsityPlan, uniform_plan
from core.pruning.coupling.groups import CannotCutError
from core.pruning.equality import compared
from core.pruning.masks import MaskMaker
from core.pruning.shrink import shrunk_by
from core.pruning.structure import find_structure
from core.pruning.surgery import shrunk_copy
from core.pruning.wearing import pruned_copy
from tests.core.pruning.attentions import ATTENTIONS, DIM, HEADS, Packed, Stack, Torchs, llama, made

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")  # nn.TransformerEncoder uses it


@cache
def known(name):
    model, inputs = made(name)
    return model, inputs, find_structure(model, inputs)


def both(model, structure, plan):
    """The masked and the shrunk copy."""
    maker = MaskMaker(model, structure.targets, structure.groups)
    return pruned_copy(model, maker.cut_tensors(plan)), shrunk_copy(model, plan, maker, structure.heads, {})


def heads_of(structure, granularity="head"):
    found = {}
    for target in structure.targets:
        if target.granularity == granularity:
            found.setdefault(target.layer, []).append(target.name)
    return found


def plan_of(*names, granularity="head"):
    return SparsityPlan(tuple(Cut(name, granularity) for name in names))


@pytest.mark.parametrize("name", ATTENTIONS)
def test_heads_of_every_layer_can_be_removed(name):
    _, _, structure = known(name)
    found = heads_of(structure)
    assert len(found) == 2
    assert set(structure.heads) == set(found)
    assert all(len(names) == HEADS for names in found.values())
    assert not [item for item in structure.uncuttable if item.name.startswith("heads of")]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ATTENTIONS)
def test_a_model_without_some_heads_does_what_the_masked_one_does(name, seed):
    model, inputs, structure = known(name)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    chosen = random.Random(seed)
    cuts = []
    for path, names in heads_of(structure).items():
        layout = structure.heads[path]
        per_kv = layout.n_heads // layout.n_kv
        if per_kv == 1:
            cuts += chosen.sample(names, chosen.randrange(1, HEADS))
        else:  # as many query heads of each key/value head
            n = chosen.randrange(1, per_kv)
            cuts += [h for kv in range(layout.n_kv) for h in chosen.sample(names[kv * per_kv : (kv + 1) * per_kv], n)]
    masked, shrunk = both(model, structure, plan_of(*cuts))
    assert compared(masked, shrunk, [inputs]).largest <= 1e-5
    assert sum(p.numel() for p in shrunk.parameters()) < sum(p.numel() for p in model.parameters())
    after = model.state_dict()
    assert all(torch.equal(tensor, after[key]) for key, tensor in before.items())
    assert compared(model, pruned_copy(model, {}), [inputs]).largest == 0


@pytest.mark.parametrize("name", ["llama", "qwen", "mistral"])
def test_a_key_value_group_goes_with_all_its_query_heads(name):
    model, inputs, structure = known(name)
    found = heads_of(structure, "kv_group")
    assert [len(names) for names in found.values()] == [2, 2]
    first, second = found.values()
    masked, shrunk = both(model, structure, plan_of(first[0], second[1], granularity="kv_group"))
    assert compared(masked, shrunk, [inputs]).largest <= 1e-5
    inner = shrunk.inner.get_submodule("model" if name == "llama" else "").layers[0].self_attn
    assert (inner.q_proj.out_features, inner.k_proj.out_features, inner.v_proj.out_features) == (8, 4, 4)
    assert (inner.o_proj.in_features, inner.head_dim, inner.num_key_value_groups) == (8, 4, 2)
    config = shrunk.inner.config
    assert (config.num_attention_heads, config.num_key_value_heads, config.head_dim) == (2, 1, 4)
    assert model.inner.config.num_attention_heads == HEADS


def test_a_cut_of_all_query_heads_of_a_key_value_head_takes_that_along():
    model, inputs, structure = known("llama")
    path = next(iter(structure.heads))
    masked, shrunk = both(model, structure, plan_of(f"{path}:2", f"{path}:3"))
    assert compared(masked, shrunk, [inputs]).largest <= 1e-5
    assert shrunk.get_submodule(path).k_proj.out_features == 4


def test_query_heads_of_equal_number_leave_the_key_value_heads():
    model, inputs, structure = known("llama")
    path = next(iter(structure.heads))
    masked, shrunk = both(model, structure, plan_of(f"{path}:0", f"{path}:3"))
    assert compared(masked, shrunk, [inputs]).largest <= 1e-5
    attention = shrunk.get_submodule(path)
    assert (attention.q_proj.out_features, attention.k_proj.out_features, attention.num_key_value_groups) == (8, 8, 1)


def test_unequal_query_heads_of_key_value_heads_are_refused_with_the_reason():
    model, _, structure = known("llama")
    path = next(iter(structure.heads))
    with pytest.raises(CannotCutError, match=f"{path} has grouped-query.*leaves them 1, 2; cut whole"):
        both(model, structure, plan_of(f"{path}:0"))


@pytest.mark.parametrize("name", ATTENTIONS)
def test_the_last_head_stays(name):
    model, _, structure = known(name)
    path, names = next(iter(heads_of(structure).items()))
    with pytest.raises(CannotCutError, match=f"all 4 heads of {path}; keep one"):
        both(model, structure, plan_of(*names))


def test_a_configuration_is_left_alone_where_one_number_does_not_fit_all_layers():
    model, _, structure = known("llama")
    path = next(iter(structure.heads))
    _, shrunk = both(model, structure, plan_of(f"{path}:kv1", granularity="kv_group"))
    config = shrunk.inner.config
    assert (config.num_attention_heads, config.num_key_value_heads) == (HEADS, 2)
    assert config.pruned_heads == {0: [2, 3]}


def test_a_model_made_of_the_new_configuration_takes_the_shrunk_weights():
    model, inputs, structure = known("llama")
    plan = uniform_plan(model, structure, channels=0.5, heads=0.5)
    maker = MaskMaker(model, structure.targets, structure.groups)
    shrunk = shrunk_by(model, plan, structure, maker, inputs)
    config = shrunk.inner.config
    assert (config.num_attention_heads, config.num_key_value_heads, config.intermediate_size) == (2, 1, 12)
    fresh = type(shrunk.inner)(config).eval()
    fresh.load_state_dict(shrunk.inner.state_dict())
    assert torch.equal(fresh(*inputs)[0], shrunk(*inputs))
    assert model.inner.config.intermediate_size == 24


def test_a_width_that_does_not_fit_all_layers_stays_in_the_configuration():
    model, inputs, structure = known("bert")
    first = next(iter(structure.groups))
    maker = MaskMaker(model, structure.targets, structure.groups)
    shrunk = shrunk_by(model, SparsityPlan((Cut(first, "channel", 0.5),)), structure, maker, inputs)
    assert shrunk.get_submodule(first).out_features == 12
    assert shrunk.inner.config.intermediate_size == 24


def test_bert_notes_the_heads_that_went_as_transformers_did():
    model, inputs, structure = known("bert")
    first, second = structure.heads
    _, shrunk = both(model, structure, plan_of(f"{first}:1", f"{second}:1", f"{second}:3"))
    core = shrunk.get_submodule(second).self
    assert (core.num_attention_heads, core.attention_head_size, core.all_head_size) == (2, 4, 8)
    assert (shrunk.inner.config.num_attention_heads, shrunk.inner.config.pruned_heads) == (4, {0: [1], 1: [1, 3]})
    assert not getattr(model.inner.config, "pruned_heads", None)
    again = find_structure(shrunk, inputs)  # heads are counted anew, and noted by their first numbers
    _, twice = both(shrunk, again, plan_of(f"{first}:1", f"{second}:0"))
    assert twice.inner.config.pruned_heads == {0: [1, 2], 1: [0, 1, 3]}


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("separate", {"num_heads": 3, "head_dim": 4}),
        ("packed by kind", {"num_heads": 3, "head_dim": 4}),
        ("nanoGPT", {"n_head": 3, "n_embd": 12}),
        ("torch", {"num_heads": 3, "head_dim": 4, "embed_dim": 16}),
        ("distilbert", {"n_heads": 3, "attention_head_size": 4}),
    ],
)
def test_a_module_knows_how_many_heads_it_has_left(name, numbers):
    model, _, structure = known(name)
    path = next(iter(structure.heads))
    _, shrunk = both(model, structure, plan_of(f"{path}:1"))
    assert {key: getattr(shrunk.get_submodule(path), key) for key in numbers} == numbers


def test_an_encoder_layer_without_some_heads_trains():
    model, (x,), structure = known("encoder layers")
    paths = list(structure.heads)
    _, shrunk = both(model, structure, plan_of(f"{paths[0]}:1", f"{paths[1]}:0", f"{paths[1]}:2"))
    shrunk.train()
    optimizer = torch.optim.SGD(shrunk.parameters(), 0.1)
    losses = []
    for _ in range(2):
        loss = F.cross_entropy(shrunk(x), torch.tensor([0, 1, 2, 0]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(parameter.grad is not None for parameter in shrunk.parameters())
    assert all(loss == loss for loss in losses)


def test_neurons_of_encoder_layers_are_groups():
    _, _, structure = known("encoder layers")
    assert list(structure.groups) == ["blocks.0.linear1", "blocks.1.linear1"]


@pytest.mark.parametrize("name", ATTENTIONS)
def test_channels_of_queries_keys_and_values_are_not_offered_one_by_one(name):
    _, _, structure = known(name)
    inside = [group for group in structure.groups if any(f"{path}." in f"{group}." for path in structure.heads)]
    assert inside == []


class Reshaping(nn.Module):
    """Joins its heads to the width of what came in, so it cannot have fewer."""

    def __init__(self):
        super().__init__()
        self.num_heads, self.head_dim = HEADS, DIM // HEADS
        self.qkv, self.proj = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)

    def forward(self, x):
        n, length, dim = x.shape
        packed = self.qkv(x).view(n, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(*packed).transpose(1, 2).reshape(n, length, dim))


class Mixing(Packed):
    """Every head of which reads what the next one's queries ask."""

    def forward(self, x):
        n, length, _ = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q.roll(1, 1), k, v)
        return x + self.proj(y.transpose(1, 2).flatten(2))


class Unknown(Packed):
    """Of which the layer that makes queries, keys and values goes by a name of its own."""

    def __init__(self):
        super().__init__(False)
        self.mine, self.out_proj = self.qkv, self.proj
        del self.qkv, self.proj

    def forward(self, x):
        n, length, _ = x.shape
        packed = self.mine(x).view(n, length, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        return x + self.out_proj(F.scaled_dot_product_attention(*packed).transpose(1, 2).flatten(2))


class Named(nn.MultiheadAttention):
    """A class of one's own that does what torch's does."""


class Own(Named):
    def forward(self, x):
        return super().forward(x, x, x, need_weights=False)[0]


class AttendsItself(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = Named(DIM, HEADS, batch_first=True)

    def forward(self, x):
        return self.attn(x, x, x, need_weights=False)[0]


class Weights(nn.Module):
    """Gives the mean of all heads' attention, which changes when there are fewer."""

    def __init__(self):
        super().__init__()
        self.attn = nn.MultiheadAttention(DIM, HEADS, batch_first=True)

    def forward(self, x):
        y, weights = self.attn(x, x, x)
        return y + weights @ x


def test_heads_of_a_torch_attention_with_a_forward_of_its_own_are_not_offered():
    structure = find_structure(Stack(Own(DIM, HEADS, batch_first=True)).eval(), (torch.randn(2, 5, DIM),))
    assert not heads_of(structure)
    (item,) = (item for item in structure.uncuttable if item.name.startswith("heads of"))
    assert "Own is an nn.MultiheadAttention with a forward of its own" in item.reason


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (Reshaping, "reshapes or splits to sizes that do not follow"),
        (lambda: Mixing(False), "outputs up to .* apart"),
        (Unknown, "which of its layers make queries, keys and values"),
        (AttendsItself, "Named is not torch's own nn.MultiheadAttention"),
        (Weights, "outputs up to .* apart"),
    ],
    ids=["reshape", "mixed heads", "no projections", "subclass", "uses the weights"],
)
def test_heads_of_attention_that_cannot_be_taken_apart_are_masked_and_not_removed(block, reason):
    torch.manual_seed(0)
    model, x = Stack(block()).eval(), torch.randn(2, 5, DIM)
    structure = find_structure(model, (x,))
    assert structure.heads == {}
    (item,) = (item for item in structure.uncuttable if item.name.startswith("heads of"))
    assert re.search(reason, item.reason)
    ((path, names),) = heads_of(structure).items()
    with pytest.raises(CannotCutError, match=f"heads of {path} can be masked, not removed"):
        both(model, structure, plan_of(names[0]))


def shared_output():
    first, second = Packed(False), Packed(False)
    second.proj = first.proj
    return first, second


def twice():
    attention = Torchs(True)
    return attention, attention


def integers():
    attention = Torchs(True)
    attention.attn.out_proj.weight = nn.Parameter(torch.eye(DIM, dtype=torch.int8), requires_grad=False)
    attention.forward = lambda x: x
    return (attention,)


@pytest.mark.parametrize("blocks", [shared_output, twice, integers])
def test_attention_whose_heads_cannot_be_masked_is_listed_once_and_not_tried(blocks):
    structure = find_structure(Stack(*blocks()).eval(), (torch.randn(2, 5, DIM),))
    assert structure.heads == {}
    listed = [item.name for item in structure.uncuttable if item.name.startswith("heads of")]
    assert listed
    assert len(set(listed)) == len(listed)


class Grouped(nn.Module):
    """Grouped-query attention of any sizes; `strided`: key/value heads take turns among the query heads."""

    def __init__(self, n_kv, per_kv, size, strided=False):
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_dim, self.strided = n_kv * per_kv, n_kv, size, strided
        self.q_proj = nn.Linear(DIM, n_kv * per_kv * size)
        self.k_proj, self.v_proj = nn.Linear(DIM, n_kv * size, bias=False), nn.Linear(DIM, n_kv * size)
        self.out_proj = nn.Linear(n_kv * per_kv * size, DIM)

    def forward(self, x):
        q, k, v = (
            f(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for f in (self.q_proj, self.k_proj, self.v_proj)
        )
        times = self.num_heads // self.num_kv_heads
        repeat = (lambda t: t.repeat(1, times, 1, 1)) if self.strided else (lambda t: t.repeat_interleave(times, 1))
        return self.out_proj(F.scaled_dot_product_attention(q, repeat(k), repeat(v)).transpose(1, 2).flatten(2))


def test_key_value_heads_that_take_turns_are_not_cut_as_if_they_stood_in_a_row():
    torch.manual_seed(0)
    structure = find_structure(Stack(Grouped(2, 2, 4, strided=True)).eval(), (torch.randn(2, 5, DIM),))
    assert structure.heads == {}


@settings(max_examples=25, deadline=None)
@given(data=st.data(), n_kv=st.integers(1, 4), per_kv=st.integers(1, 3), size=st.integers(1, 4))
def test_any_heads_of_any_sizes_can_go_as_long_as_equally_many_stay(data, n_kv, per_kv, size):
    if n_kv * per_kv == 1:
        return
    torch.manual_seed(0)
    model, x = Stack(Grouped(n_kv, per_kv, size)).eval(), torch.randn(2, 5, DIM)
    structure = find_structure(model, (x,))
    stay = data.draw(st.integers(1, per_kv))
    kept = data.draw(st.sets(st.integers(0, n_kv - 1), min_size=1))
    cut = []
    for kv in range(n_kv):
        order = data.draw(st.permutations(range(per_kv)))
        cut += [f"blocks.0:{kv * per_kv + h}" for h in (order[stay:] if kv in kept else order)]
    masked, shrunk = both(model, structure, plan_of(*cut))
    assert compared(masked, shrunk, [(x,)]).largest <= 1e-5
    block = shrunk.blocks[0]
    assert (block.num_heads, block.num_kv_heads) == (len(kept) * stay, len(kept))


def test_one_shared_key_value_head_loses_query_heads_only():
    torch.manual_seed(0)
    model, x = llama(4, 1).eval(), torch.randint(50, (2, 5))
    structure = find_structure(model, (x,))
    path = next(iter(structure.heads))
    masked, shrunk = both(model, structure, plan_of(f"{path}:0"))
    assert compared(masked, shrunk, [(x,)]).largest <= 1e-5
    assert shrunk.get_submodule(path).num_key_value_groups == 3
