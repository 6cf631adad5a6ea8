"""Operations by target, worked out by hand on layers of a few numbers."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from core.profiling.report import Machine, ProfileReport, Saving, Size, Timing
from core.profiling.saved_time import saved_time
from core.profiling.target_flops import flops_by_target
from core.workload.description import Description, describe, products_of
from core.workload.discovery import find_targets
from core.workload.target import Target


def counted(hand, model, *inputs):
    workload = replace(hand, model=model, evaluation=replace(hand.evaluation, inputs=inputs))
    return flops_by_target(workload, find_targets(model)[0])


def test_a_linear_layer_multiplies_and_adds_once_for_each_weight(hand):
    assert counted(hand, nn.Sequential(nn.Linear(3, 5), nn.ReLU()), torch.randn(4, 3)) == {"0": 2 * 3 * 5}


def test_a_convolution_does_it_at_every_place(hand):
    found = counted(hand, nn.Sequential(nn.Conv2d(2, 3, 3)), torch.randn(4, 2, 6, 6))
    assert found == {"0": 2 * (2 * 3 * 9) * 16}


def test_products_of_an_attention_are_kept_apart_from_its_packed_projections(hand):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            return self.attn(x, x, x, need_weights=False)[0]

    tokens = 5
    assert counted(hand, Net(), torch.randn(4, tokens, 8)) == {
        "attn.in_proj": 2 * tokens * 8 * 24,
        "attn.out_proj": 2 * tokens * 8 * 8,
        products_of("attn"): 2 * (2 * tokens * tokens * 8),  # queries with keys, and what they choose of the values
    }


def test_a_tied_weight_counts_where_it_is_multiplied(hand):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, x):
            return self.head(self.embed(x))

    assert counted(hand, Tied(), torch.zeros(4, 3, dtype=torch.long)) == {"embed": 2 * 3 * 4 * 7}


def test_what_belongs_to_no_target_keeps_the_name_of_its_module(hand):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix = nn.Parameter(torch.randn(3, 3))

        def forward(self, x):
            return x @ self.mix

    assert counted(hand, Odd(), torch.randn(4, 3)) == {"model": 18}


def test_a_model_that_cannot_be_counted_is_described_all_the_same(hand):
    class Broken(nn.Linear):
        def forward(self, x):
            raise RuntimeError("no")

    workload = replace(hand, model=Broken(2, 2))
    assert describe("x", workload, count_flops=flops_by_target).flops == {}


def test_a_description_survives_json_with_its_operations(hand):
    import json

    found = describe("x", hand, count_flops=flops_by_target)
    assert found.flops
    assert found.n_bytes == 4 * found.n_parameters
    assert Description.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_an_earlier_description_lends_its_operations(hand):
    def count(workload, targets):
        raise AssertionError("counted again")

    first = describe("x", hand, lambda w: find_targets(w.model), count_flops=flops_by_target)
    assert describe("x", hand, lambda w: find_targets(w.model), first, count).flops == first.flops


def test_a_profile_s_savings_become_a_table_by_target(hand):
    group = Target("conv", "channel", "Conv2d", "conv.weight", (4, 4), 16, n_units=4)
    head = Target("attn:0", "head", "Attention", "out.weight", (4, 4), 8, layer="attn", head=0)
    found = replace(describe("x", hand), targets=(group, head))
    report = ProfileReport(
        "x", Machine("cpu", 1, "linux", "cpu", "2"), (Size("dense", 1, 1, None, 4, 4, None, 1),),
        (Timing("dense", "onnx", 1, 1, 9, 1, 9.0, 9.0, 9.0), Timing("dense", "eager", 1, 1, 9, 1, 0.5, 0.4, 0.6)),
        (), (), (),
        (
            Saving("conv", 0.75, 1, 1, 0.3, 0.2, 0.4, 9), Saving("conv", 0.25, 1, 1, 0.1, 0.0, 0.2, 9),
            Saving("attn", 0.5, 1, 1, 0.05, 0.04, 0.06, 9), Saving("conv", 0.25, 64, 1, 7.0, 7.0, 7.0, 9),
        ),
    )  # fmt: skip
    table = saved_time(report, found)
    assert table is not None
    assert table.dense == 0.5
    assert [(one.sparsity, one.seconds) for one in table.channels["conv"]] == [(0.25, 0.1), (0.75, 0.3)]
    assert [one.low for one in table.heads["attn"]] == [0.04]
    assert saved_time(report, found, batch=64) is None  # the dense model was not timed there
    assert saved_time(replace(report, savings=()), found) is None


@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_the_mode_as_it_was(hand, training):
    hand.model.train(training)
    flops_by_target(hand, find_targets(hand.model)[0])
    assert hand.model.training == training
