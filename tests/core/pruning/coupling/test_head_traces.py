"""Heads are found by tracing where their outputs go: a row is what zeroing by hand gives, or it is not there."""

import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core import Cut, Examples, SecateurError, SparsityPlan, Workload, cosine_to_dense, sweep
from core.pruning.coupling.head_traces import traced_targets
from core.pruning.masks import MaskMaker
from core.pruning.structure import find_structure
from core.pruning.wearing import pruned_copy

DIM, HEADS, SIZE = 16, 4, 4


class Attention(nn.Module):
    """Self-attention of which `off`, a head, is zeroed where it is made, by hand."""

    def __init__(self, n_kv=HEADS):
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_dim, self.off = HEADS, n_kv, SIZE, None
        self.q_proj, self.out_proj = nn.Linear(DIM, DIM), nn.Linear(DIM, DIM)
        self.k_proj, self.v_proj = nn.Linear(DIM, SIZE * n_kv), nn.Linear(DIM, SIZE * n_kv)

    def split(self, x):
        return x.unflatten(-1, (-1, SIZE)).transpose(1, 2)  # (n, heads, length, size)

    def qkv(self, x):
        return self.split(self.q_proj(x)), self.split(self.k_proj(x)), self.split(self.v_proj(x))

    def heads(self, x):
        return F.scaled_dot_product_attention(*self.qkv(x))

    def join(self, y):
        return y.transpose(1, 2).flatten(2)

    def forward(self, x):
        y = self.heads(x)
        if self.off is not None:
            y = torch.cat([torch.zeros_like(h) if i == self.off else h for i, h in enumerate(y.split(1, 1))], 1)
        return self.give(self.join(y))

    def give(self, joined):
        return self.out_proj(joined)


class Grouped(Attention):
    def __init__(self):
        super().__init__(2)

    def heads(self, x):
        q, k, v = self.qkv(x)
        return F.scaled_dot_product_attention(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1))


class Tiled(Grouped):
    """Query head h uses key/value head h % 2, so key/value groups do not stand side by side."""

    def heads(self, x):
        q, k, v = self.qkv(x)
        return F.scaled_dot_product_attention(q, k.repeat(1, 2, 1, 1), v.repeat(1, 2, 1, 1))


class OneKey(Attention):
    def __init__(self):
        super().__init__(1)

    def heads(self, x):
        q, k, v = self.qkv(x)
        return F.scaled_dot_product_attention(q, k.expand_as(q), v.expand_as(q))


class NormOfEach(Attention):
    """A norm of every head's output, as in differential attention: values do not add up behind it."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(SIZE)

    def heads(self, x):
        return self.norm(super().heads(x))


class Gated(Attention):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(DIM, DIM)

    def heads(self, x):
        return super().heads(x) * self.split(self.gate(x).sigmoid())


class OverChannels(Attention):
    """Channels attend to channels, as in XCiT."""

    def heads(self, x):
        q, k, v = self.qkv(x)
        weights = (F.normalize(q, dim=2).transpose(2, 3) @ F.normalize(k, dim=2)).softmax(-1)
        return (weights @ v.transpose(2, 3)).transpose(2, 3)


class NormOfAllQueries(Attention):
    """As OLMo-2."""

    def __init__(self):
        super().__init__()
        self.norm = nn.RMSNorm(DIM)

    def qkv(self, x):
        return self.split(self.norm(self.q_proj(x))), self.split(self.k_proj(x)), self.split(self.v_proj(x))


class OtherNames(Attention):
    """Queries apart, keys and values in one: by names nobody knows what makes the values."""

    def __init__(self):
        super().__init__()
        del self.q_proj, self.k_proj, self.v_proj
        self.ask, self.both = nn.Linear(DIM, DIM), nn.Linear(DIM, 2 * DIM)

    def qkv(self, x):
        k, v = self.both(x).chunk(2, -1)
        return self.split(self.ask(x)), self.split(k), self.split(v)


class SizeFirst(Attention):
    """Heads joined as (size, heads)."""

    def join(self, y):
        return y.permute(0, 2, 3, 1).flatten(2)


class SizeFirstThroughout(SizeFirst):
    def split(self, x):
        return x.unflatten(-1, (SIZE, HEADS)).permute(0, 3, 1, 2)


class NoTranspose(Attention):
    """The transpose that people forget: each head's outputs end up at other positions."""

    def join(self, y):
        return y.reshape(len(y), -1, DIM)


class MoreThanDeclared(Attention):
    """Says 2 heads, has 4."""

    def __init__(self):
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_dim = 2, 2, 8


class FewerThanDeclared(Attention):
    """Says 4 heads, has 2."""

    def split(self, x):
        return x.unflatten(-1, (2, 8)).transpose(1, 2)


class Mixed(Attention):
    """Every head's output is a mixture of all."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Parameter(torch.randn(HEADS, HEADS))

    def join(self, y):
        return super().join(torch.einsum("nhls,hg->ngls", y, self.mix))


class NormOfAll(Attention):
    """A norm between the heads and what reads them."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(DIM)

    def join(self, y):
        return self.norm(super().join(y))


class NoHeads(Attention):
    def forward(self, x):
        return self.out_proj(self.v_proj(x).tanh())


class Handed(Attention):
    """Hands the weight of its output projection to a function, as torchvision's Swin does."""

    def give(self, joined):
        return F.linear(joined, self.out_proj.weight, self.out_proj.bias)


class HandedByName(Attention):
    """The same by name, as timm's BEiT does with its queries, keys and values."""

    def give(self, joined):
        return F.linear(bias=self.out_proj.bias, weight=self.out_proj.weight, input=joined)


class NotCalled(Attention):
    def give(self, joined):
        return joined @ self.out_proj.weight.T + self.out_proj.bias


class Net(nn.Module):
    def __init__(self, attention):
        super().__init__()
        self.i, self.at, self.o = nn.Linear(6, DIM), attention, nn.Linear(DIM, 5)

    def forward(self, x):
        h = self.i(x)
        return self.o((h + 3 * self.at(h)).mean(1))


def net(attention, length=6, n=20):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net(attention()).eval(), torch.randn(n, length, 6)


def heads_of(targets, granularity="head"):
    return [target.name for target in targets if target.granularity == granularity]


RIGHT = (
    Attention, Grouped, Tiled, OneKey, NormOfEach, Gated, OverChannels, NormOfAllQueries, OtherNames, Handed,
    HandedByName,
)  # fmt: skip


@pytest.mark.parametrize("attention", RIGHT)
def test_a_head_that_is_offered_is_the_head_that_is_zeroed_by_hand(attention):
    model, x = net(attention)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    targets, _ = traced_targets(model, (x[:2],))
    assert heads_of(targets) == [f"at:{head}" for head in range(HEADS)]
    maker = MaskMaker(model, targets)
    for head in range(HEADS):
        masked = pruned_copy(model, maker.cut_tensors(SparsityPlan((Cut(f"at:{head}", "head"),))))
        with torch.no_grad():
            model.at.off = head
            torch.testing.assert_close(masked(x), model(x), rtol=1e-5, atol=1e-5)
            model.at.off = None
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert not model.at._forward_pre_hooks


@pytest.mark.parametrize(
    ("attention", "reason"),
    [
        (SizeFirst, r"joined as \(size, heads\): head 0 is columns 0, 4, 8… of out_proj, not the first 4; join"),
        (SizeFirstThroughout, r"joined as \(size, heads\)"),
        (NoTranspose, "could not be traced to 4 columns each of out_proj"),
        (MoreThanDeclared, "its 2 heads could not be traced to 8 columns each"),
        (FewerThanDeclared, "could not be traced to 4 columns each"),
        (Mixed, "could not be traced"),
        (NormOfAll, "or a norm or projection lies between"),
        (NoHeads, "its 4 heads"),
        (NotCalled, "out_proj is called 0 times in one pass"),
    ],
)
def test_what_is_no_head_is_no_row(attention, reason):
    model, x = net(attention)
    found = find_structure(model, (x,))
    assert not heads_of(found.targets) + heads_of(found.targets, "kv_group")
    assert not found.heads
    (item,) = (item for item in found.uncuttable if item.name == "heads of at")
    assert re.search(reason, item.reason)
    workload = Workload("w", model, Examples(x), cosine_to_dense())
    with pytest.raises(SecateurError, match="leaves out"):
        sweep(workload, sparsities=(), heads=True)


def test_key_value_groups_are_offered_where_their_query_heads_stand_side_by_side():
    for attention, groups in ((Grouped, ["at:kv0", "at:kv1"]), (OneKey, ["at:kv0"]), (Tiled, [])):
        model, x = net(attention)
        targets, uncuttable = traced_targets(model, (x[:2],))
        assert heads_of(targets, "kv_group") == groups
        assert ("key/value groups of at" in {item.name for item in uncuttable}) == (not groups)


def test_of_a_single_position_heads_are_not_told_apart():
    model, x = net(Attention, length=1)
    (item,) = (item for item in traced_targets(model, (x[:2],))[1] if item.name == "heads of at")
    assert "a single position?" in item.reason


def test_an_attention_that_is_not_run_is_not_traced():
    model, x = net(Attention)
    model.spare = Attention()
    targets, uncuttable = traced_targets(model, (x[:2],))
    assert heads_of(targets) == [f"at:{head}" for head in range(HEADS)]
    assert "does not call it" in next(item.reason for item in uncuttable if item.name == "heads of spare")


@pytest.mark.parametrize("make", [lambda m: m.bfloat16(), lambda m: m.double(), lambda m: m.train()])
def test_heads_are_traced_whatever_the_type_and_mode(make):
    model, x = net(Attention)
    make(model)
    targets, _ = traced_targets(model, (x[:2].to(model.i.weight.dtype),))
    assert len(heads_of(targets)) == HEADS


def test_heads_of_weights_that_are_next_to_nothing_are_traced():
    model, x = net(Attention)
    for parameter in model.at.parameters():
        nn.init.zeros_(parameter)
    assert len(heads_of(traced_targets(model, (x[:2],))[0])) == HEADS


def test_a_norm_over_all_heads_is_the_reason_why_they_are_masked_and_not_removed():
    model, x = net(NormOfAllQueries)
    found = find_structure(model, (x,))
    (item,) = (item for item in found.uncuttable if item.name == "heads of at")
    assert "at.norm, a RMSNorm, is a norm over all heads together" in item.reason
    assert len(heads_of(found.targets)) == HEADS
