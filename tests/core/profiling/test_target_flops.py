"""Operations by target, worked out by hand on layers of a few numbers."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from core.profiling.layer_costs import counted_flops, flops_by_module
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


class Recurrent(nn.Module):
    def __init__(self, layer, width):
        super().__init__()
        self.r, self.o = layer, nn.Linear(width, 3)

    def forward(self, x):
        return self.o(self.r(x)[0])


GATES = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}


@pytest.mark.parametrize("kind", GATES)
def test_a_recurrent_layer_multiplies_inputs_and_state_of_every_gate_at_every_step(kind):
    steps, width, hidden, gates = 5, 6, 8, GATES[kind]
    found = flops_by_module(Recurrent(kind(width, hidden, batch_first=True), hidden), (torch.randn(2, steps, width),))
    assert found["r"] == steps * 2 * gates * hidden * (width + hidden)
    assert found["o"] == steps * 2 * hidden * 3


def test_two_layers_of_an_lstm_in_both_directions_with_a_projection():
    steps, width, hidden, given = 5, 6, 8, 4
    layer = nn.LSTM(width, hidden, 2, batch_first=True, bidirectional=True, proj_size=given)
    found = flops_by_module(Recurrent(layer, 2 * given), (torch.randn(2, steps, width),))
    first = 4 * hidden * (width + given) + hidden * given
    second = 4 * hidden * (2 * given + given) + hidden * given
    assert found["r"] == steps * 2 * 2 * (first + second)


def test_what_a_share_of_a_model_with_an_lstm_takes():
    """The rest of the model cut by half: not the whole becomes 1.8 times cheaper, for the LSTM stays."""
    torch.manual_seed(0)
    steps, x = 10, torch.randn(2, 10, 32)

    class Net(nn.Module):
        def __init__(self, middle):
            super().__init__()
            self.i, self.m = nn.Linear(32, middle), nn.Linear(middle, 32)
            self.r, self.o = nn.LSTM(32, 16, batch_first=True), nn.Linear(16, 4)

        def forward(self, x):
            return self.o(self.r(self.m(torch.relu(self.i(x))))[0])

    whole, half = (sum(flops_by_module(Net(n), (x,)).values()) for n in (64, 32))
    lstm, head = 2 * steps * 4 * 16 * (32 + 16), 2 * steps * 16 * 4
    assert whole == 2 * steps * 2 * 32 * 64 + lstm + head
    assert half == 2 * steps * 2 * 32 * 32 + lstm + head


@pytest.mark.parametrize(
    ("layer", "inputs", "right"),
    [
        (nn.LSTMCell(6, 8), ((2, 6),), 2 * 4 * 8 * (6 + 8)),
        (nn.GRUCell(6, 8), ((2, 6),), 2 * 3 * 8 * (6 + 8)),
        (nn.ConvTranspose2d(4, 8, 3, stride=2, groups=2), ((2, 4, 5, 5),), 2 * 25 * 4 * 4 * 9),
        (nn.ConvTranspose1d(4, 6, 5), ((2, 4, 7),), 2 * 7 * 4 * 6 * 5),
        (nn.Conv2d(4, 8, 3, groups=2), ((2, 4, 5, 5),), 2 * 9 * 8 * 2 * 9),
        (nn.Bilinear(3, 4, 5), ((2, 3), (2, 4)), 2 * 5 * (3 * 4 + 4)),
        (nn.Embedding(7, 4), None, 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_layers_by_formula(layer, inputs, right):
    given = (torch.zeros(2, 3, dtype=torch.long),) if inputs is None else tuple(torch.randn(*shape) for shape in inputs)
    assert sum(flops_by_module(layer, given).values()) == right


@pytest.mark.parametrize("backend", ["FLASH_ATTENTION", "MATH", "EFFICIENT_ATTENTION"])
def test_an_attention_counts_the_same_whatever_would_compute_it(backend):
    class Net(nn.Module):
        def forward(self, q, k, v):
            with torch.nn.attention.sdpa_kernel(getattr(torch.nn.attention.SDPBackend, backend)):
                return nn.functional.scaled_dot_product_attention(q, k, v)

    q, k = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 7, 8)
    try:
        found = sum(flops_by_module(Net(), (q, k, k)).values())
    except RuntimeError:
        pytest.skip("this machine has no such kernel")
    assert found == 3 * 2 * 2 * 5 * 7 * 8


def test_the_switches_are_as_they_were():
    before = torch.backends.mkldnn.is_available(), torch._C._get_mkldnn_enabled(), torch._C._get_cudnn_enabled()
    flops_by_module(nn.Linear(3, 3), (torch.randn(2, 3),))
    assert before == (
        torch.backends.mkldnn.is_available(), torch._C._get_mkldnn_enabled(), torch._C._get_cudnn_enabled()
    )  # fmt: skip


@pytest.mark.process
def test_counting_imports_no_compiler():
    """Torch imports its compiler for every mode of its own: a second, and 75 MiB that are never given back."""
    text = """
import sys, torch
from core.profiling.layer_costs import counted_flops
with counted_flops() as counter:
    torch.nn.Conv2d(3, 8, 3)(torch.randn(1, 3, 8, 8))
print(counter.get_total_flops(), "torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(2 * 8 * 3 * 9 * 36), "False"]


def test_counts_are_those_that_torch_makes_by_itself():
    model, x = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.TransformerEncoderLayer(6, 2, 8)).eval(), torch.randn(5, 4)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as theirs:
        torch.backends.mha.set_fastpath_enabled(False)
        model(x)
        torch.backends.mha.set_fastpath_enabled(True)
    with counted_flops() as ours:
        model(x)
    assert ours.get_total_flops() == theirs.get_total_flops() > 0
