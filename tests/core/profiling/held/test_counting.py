"""What was found by cutting and watching, against passes of really shrunk models, byte by byte; and by hand."""

import pytest
import torch
from torch import nn

from core import Cut, SparsityPlan
from core.plans.costs.left import plan_cost
from core.plans.costs.memory import at
from core.profiling.held.counting import memory_use
from core.profiling.held.fitting import NotUnderstood, fitted
from core.profiling.memory import Storage, peak_bytes
from core.pruning.masks import MaskMaker
from core.pruning.shrink import shrunk_by
from core.pruning.structure import find_structure
from core.workload.description import BATCH, describe
from core.workload.examples import Examples
from core.workload.metric import accuracy
from core.workload.workload import Workload

pytestmark = pytest.mark.model
CPU = torch.device("cpu")


def of(model, *inputs):
    n = len(inputs[0])
    return Workload("w", model.eval(), Examples(inputs, torch.arange(n) % 2), accuracy())


def described(workload, structure=None):
    few = tuple(tensor[:3] for tensor in workload.evaluation.inputs)
    structure = structure or find_structure(workload.model, few)
    found = describe("w", workload, lambda _: (structure.targets, structure.uncuttable))
    return structure, type(found)(**{**vars(found), "memory": memory_use(workload, structure)})


def assert_exact(workload, *cuts, batches=(1, 4)):
    structure, found = described(workload)
    plan = SparsityPlan(cuts)
    few = tuple(tensor[:3] for tensor in workload.evaluation.inputs)
    maker = MaskMaker(workload.model, structure.targets, structure.groups)
    shrunk = shrunk_by(workload.model, plan, structure, maker, few)
    for batch in batches:
        rows = torch.arange(batch) % len(few[0])
        inputs = tuple(tensor[rows] for tensor in few)
        told = plan_cost(plan, at(found, batch), "memory")
        assert told.exact
        assert told.value == peak_bytes(shrunk, inputs, CPU)
    return found


class TwoLayers(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 8, bias=False), nn.Linear(8, 2, bias=False)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


def test_two_layers_by_hand():
    # weights 4 (24 + 16) B, an example 12 B; most is held when the hidden 8 numbers are there before and after relu
    found = assert_exact(of(TwoLayers(), torch.randn(4, 3)), Cut("first", "channel", 0.5))
    hidden = {n: 4 * (3 * n + 2 * n) + 12 + 2 * 4 * n for n in (8, 6, 4, 2)}
    for n, expected in hidden.items():
        plan = SparsityPlan((Cut("first", "channel", 1 - n / 8),) if n < 8 else ())
        assert plan_cost(plan, found, "memory").value == expected
    assert plan_cost(SparsityPlan(), at(found, 5), "memory").value == 4 * 40 + 5 * (12 + 64)


def test_channels_joined_by_cat_and_flattened_to_an_image_are_followed():
    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = (nn.Conv2d(i, n, 3, padding=1) for i, n in ((1, 6), (1, 4), (10, 8)))
            self.norm, self.out = nn.BatchNorm2d(8), nn.Linear(8 * 16, 3)

        def forward(self, x):
            both = torch.cat([self.a(x), self.b(x)], 1)
            return self.out(self.norm(self.c(both)).relu().flatten(1))

    workload = of(Joined(), torch.randn(4, 1, 4, 4))
    assert_exact(workload, Cut("a", "channel", 0.5), Cut("b", "channel", 0.25), Cut("c", "channel", 0.25))


def test_a_model_whose_inputs_hold_most():
    class Early(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.second(self.first(x.mean(1)))

    found = assert_exact(of(Early(), torch.randn(4, 500, 4)), Cut("first", "channel", 0.5))
    assert plan_cost(SparsityPlan(), at(found, 2), "memory").value > 2 * 500 * 16


def test_one_layer_has_nothing_to_cut_and_is_counted_all_the_same():
    _, found = described(of(nn.Linear(4, 2), torch.randn(4, 4)))
    assert plan_cost(SparsityPlan(), found, "memory").value == 4 * 10 + 16 + 8


def test_heads_take_their_activations_along(encoder):
    structure, found = described(encoder)
    refused = {name: why for name, why in found.memory.refused.items() if name.startswith("heads of ")}
    assert set(found.memory.understood) | set(refused) >= {f"heads of {path}" for path in structure.heads}
    cut = next(target for target in structure.targets if target.granularity == "head")
    told = plan_cost(SparsityPlan((Cut(cut.name, "head"),)), found, "memory")
    assert told.exact != (f"heads of {cut.layer}" in refused)  # torch's own attention becomes a module of ours


def test_a_causal_language_model_keeps_keys_and_values_and_others_keep_none(tied_lm):
    _, other = described(of(TwoLayers(), torch.randn(4, 3)))
    assert other.memory.why_uncached == "it reads no texts"
    _, found = described(tied_lm)
    assert found.memory.cached == ()
    assert found.memory.why_uncached == "no attention is known of it"


def test_a_pass_that_takes_another_way_when_it_is_smaller_is_refused_with_the_reason():
    class Fickle(TwoLayers):
        def forward(self, x):
            hidden = torch.relu(self.first(x))
            return self.second(hidden if hidden.shape[1] == 8 else hidden * 1)

    _, found = described(of(Fickle(), torch.randn(4, 3)))
    assert "first" in found.memory.refused
    assert not plan_cost(SparsityPlan((Cut("first", "channel", 0.5),)), found, "memory").exact


def test_a_pass_that_is_never_alike_is_refused():
    class Growing(TwoLayers):
        n = 0

        def forward(self, x):
            self.n += 1
            return self.second(torch.relu(self.first(x))) + torch.zeros(self.n).sum()

    _, found = described(of(Growing(), torch.randn(4, 3)))
    assert not found.memory.held or found.memory.understood  # refused as a whole, or counted where it is the same


def test_a_dimension_that_follows_no_rule_is_refused():
    from core.profiling.held.fitting import Changed

    def seen(n):
        return (Storage((n,), 4, 0, 1, "aten.x"),)

    alone = [Changed({"a": 2}, seen(6))]
    assert fitted(seen(8), alone, [Changed({"a": 4}, seen(4))])[0].factors == ((8.0, (("a", 1.0),)),)
    with pytest.raises(NotUnderstood, match="8 and then 5, follows a by no rule"):
        fitted(seen(8), alone, [Changed({"a": 4}, seen(5))])
    both = [Changed({"a": 2}, seen(6)), Changed({BATCH: -1}, seen(16))]
    assert fitted(seen(8), both, [Changed({"a": 4, BATCH: -2}, seen(12))])[0].size == 32  # multiplied
    assert fitted(seen(8), both, [Changed({"a": 4, BATCH: -2}, seen(20))])[0].size == 4  # added up


def test_grouped_query_attention_keeps_what_transformers_keeps():
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=20, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=4, max_position_embeddings=32,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).eval()
    ids = torch.randint(0, 20, (4, 9))
    workload = of(model, ids)
    structure, found = described(workload)
    assert found.memory.held, found.memory.refused
    assert found.memory.why_uncached is None
    with torch.no_grad():
        kept = model(ids[:3], use_cache=True).past_key_values
    really = sum(t.nbytes for layer in kept.layers for t in (layer.keys, layer.values))
    told = [plan_cost(SparsityPlan(), at(found, 3, length), "memory").value for length in (None, 9)]
    assert told[1] - told[0] == really == 2 * 2 * (2 * 4) * 9 * 3 * 4  # layers, both, heads × width, …
    group = next(target.name for target in structure.targets if target.granularity == "kv_group")
    plan = SparsityPlan((Cut(group, "kv_group"),))
    less = [plan_cost(plan, at(found, 3, length), "memory").value for length in (None, 9)]
    assert less[1] - less[0] == really * 3 // 4
