"""Uniform plans take what they were asked for, or say why they cannot."""

from collections import Counter

import pytest
import torch
from torch import nn

from core import SecateurError, uniform_plan
from core.pruning.shrink import shrink
from core.pruning.structure import find_structure
from tests.core.pruning.attentions import llama


def known(n_heads, n_kv):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, ids = llama(n_heads, n_kv).eval(), torch.randint(50, (4, 5))
    return model, ids, find_structure(model, (ids,))


def gone(model, plan):
    """Query heads that go, by attention; a key/value group counts for all of its."""
    found = Counter()
    for cut in plan.cuts:
        if cut.granularity in ("head", "kv_group"):
            path = cut.target.rpartition(":")[0]
            groups = model.get_submodule(path).num_key_value_groups
            found[path] += groups if cut.granularity == "kv_group" else 1
    return sorted(found.values())


@pytest.mark.parametrize(
    ("n_heads", "n_kv", "share", "right"),
    [
        (4, 1, 0.5, 2),
        (4, 1, 0.25, 1),
        (8, 2, 0.25, 2),  # a quarter of two groups rounds to none: one query head of four of each
        (8, 2, 0.5, 4),
        (8, 2, 0.9, 7),  # one group whole, and three of four query heads of the other
        (4, 2, 0.5, 2),
        (4, 4, 0.5, 2),
    ],
)
def test_so_many_query_heads_go_as_were_asked_for(n_heads, n_kv, share, right):
    model, ids, structure = known(n_heads, n_kv)
    plan = uniform_plan(model, structure, heads=share, channels=0.5)
    assert gone(model, plan) == [right, right]
    assert {cut.granularity for cut in plan.cuts} - {"head", "kv_group"} == {"channel"}
    shrunk = shrink(model, plan, (ids,))
    attention = shrunk.inner.model.layers[0].self_attn
    assert attention.q_proj.out_features == (n_heads - right) * 4


def test_a_wish_that_a_plan_cannot_take_is_refused_with_the_reason():
    model, _, structure = known(4, 1)
    with pytest.raises(SecateurError, match=r"nothing of the heads that were asked for: 0\.1 of the 4 heads .* larger"):
        uniform_plan(model, structure, weights=0.5, heads=0.1)
    with pytest.raises(SecateurError, match=r"nothing of the heads .* choose others with --layers"):
        uniform_plan(model, structure, weights=0.5, heads=0.5, layers="mlp")
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    found = find_structure(net, (torch.randn(4, 4),))
    with pytest.raises(SecateurError, match="nothing of the heads that were asked for: the model has none that can go"):
        uniform_plan(net, found, channels=0.5, heads=0.5)
    with pytest.raises(SecateurError, match=r"nothing of the channels .* would leave none"):
        uniform_plan(net, found, weights=0.5, channels=0.99)
    with pytest.raises(SecateurError, match="would cut nothing: it was not said what goes"):
        uniform_plan(net, found)
