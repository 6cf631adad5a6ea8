"""Removing a head, against attention written out by hand in which that head's output is zeroed."""

import math

import pytest
import torch

from core import Cut, SparsityPlan
from core.pruning.masks import MaskMaker
from core.pruning.wearing import replaced
from core.workload.discovery import find_targets


def attention_without(head, attention, x):
    """Self-attention of (n, length, dim) by hand, from `attention`'s weights, `head`'s output zero before out_proj."""
    dim, n_heads = attention.embed_dim, attention.num_heads
    size = dim // n_heads
    packed = x @ attention.in_proj_weight.T + attention.in_proj_bias
    q, k, v = packed[..., :dim], packed[..., dim : 2 * dim], packed[..., 2 * dim :]
    outputs = []
    for h in range(n_heads):
        own = slice(h * size, (h + 1) * size)
        odds = torch.softmax(q[..., own] @ k[..., own].transpose(1, 2) / math.sqrt(size), dim=-1)
        outputs.append(torch.zeros_like(v[..., own]) if h == head else odds @ v[..., own])
    return torch.cat(outputs, dim=-1) @ attention.out_proj.weight.T + attention.out_proj.bias


def without(model, name):
    return replaced(model, MaskMaker(model, find_targets(model)[0]).cut_tensors(SparsityPlan((Cut(name, "head"),))))


@pytest.mark.parametrize("head", [None, 0, 1])
def test_a_removed_head_of_multihead_attention_is_zero_before_the_projection(attentive, head):
    model, (x,) = attentive.model, attentive.evaluation.inputs
    with torch.no_grad():
        expected = model.fc((x + attention_without(head, model.attn, x)).mean(1))
        if head is None:
            found = model(x)
        else:
            with without(model, f"attn:{head}"):
                found = model(x)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def layer_without(head, layer, x):
    x = layer.norm1(x + attention_without(head, layer.self_attn, x))
    return layer.norm2(x + layer.linear2(torch.relu(layer.linear1(x))))


@pytest.mark.parametrize("fast", [True, False], ids=["fast path", "slow path"])
@pytest.mark.parametrize("place", [(None, None), (0, 0), (0, 1), (1, 0), (1, 1)], ids=str)
def test_a_removed_head_of_an_encoder_layer_is_zero_on_both_paths(encoder, place, fast, monkeypatch):
    model, (x,) = encoder.model, encoder.evaluation.inputs
    fused = []
    original = torch._transformer_encoder_layer_fwd
    monkeypatch.setattr(torch, "_transformer_encoder_layer_fwd", lambda *args: (fused.append(1), original(*args))[1])
    expected = x
    with torch.no_grad():
        for i, layer in enumerate(model.layers):
            expected = layer_without(place[1] if i == place[0] else None, layer, expected)
        expected = model.fc(expected.mean(1))
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(fast)
    try:
        with torch.inference_mode():
            if place[0] is None:
                found = model(x)
            else:
                with without(model, f"layers.{place[0]}.self_attn:{place[1]}"):
                    found = model(x)
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
    assert bool(fused) == fast  # the path was the one meant
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_removing_every_head_leaves_the_bias_of_the_projection(attentive):
    model, (x,) = attentive.model, attentive.evaluation.inputs
    cuts = SparsityPlan((Cut("attn:0", "head"), Cut("attn:1", "head")))
    with replaced(model, MaskMaker(model, find_targets(model)[0]).cut_tensors(cuts)), torch.inference_mode():
        out = model.attn(x, x, x)[0]
    assert torch.equal(out, model.attn.out_proj.bias.detach().expand_as(out))
