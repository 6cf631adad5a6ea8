"""Units of recurrent layers: rows of every gate and columns of the next step, masked and taken out."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from core import Cut, Examples, SparsityPlan, Workload, cross_entropy, find_structure, shrink
from core.plans.costs.left import plan_cost
from core.plans.criteria import FACTS, why_not
from core.profiling.layer_costs import flops_by_module
from core.profiling.target_flops import flops_by_target
from core.pruning.criteria.calibration import Calibration
from core.pruning.masks import MaskMaker
from core.workload.description import describe
from core.workload.metric import class_loss

pytestmark = pytest.mark.model
X = torch.randn(6, 5, 6, generator=torch.Generator().manual_seed(3))
LENGTHS = torch.tensor([5, 3, 4, 2, 5, 1])


class Parts(nn.Module):
    """Layers by name, and a forward pass over them."""

    def __init__(self, forward, **parts):
        super().__init__()
        self._run = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *given):
        return self._run(self, *given)


def tagged(model, x):
    return model.o(model.r(x)[0])


def packed(model, x):
    packed = pack_padded_sequence(x, LENGTHS[: len(x)], batch_first=True, enforce_sorted=False)
    return model.o(pad_packed_sequence(model.r(packed)[0], batch_first=True, total_length=5)[0])


def packed_last(model, x):
    state = model.r(pack_padded_sequence(x, LENGTHS[: len(x)], batch_first=True, enforce_sorted=False))[1]
    state = state[0] if isinstance(state, tuple) else state
    return model.o(torch.cat([state[-2], state[-1]], 1))


def translated(model, x):
    return model.o(model.d(x.flip(1), model.r(x)[1])[0])


def stepped(model, x):
    state = None
    for step in range(x.shape[1]):
        state = model.r(x[:, step], state)
    return model.o(state[0] if isinstance(state, tuple) else state)


def layer(kind, *sizes, **options):
    return kind(*sizes, batch_first=True, **options)


# of each the model, and how many units each layer and direction has in how many parts
CASES = {
    "lstm": (tagged, {"r": layer(nn.LSTM, 6, 8), "o": nn.Linear(8, 3)}, 8, 1),
    "gru": (tagged, {"r": layer(nn.GRU, 6, 8), "o": nn.Linear(8, 3)}, 8, 1),
    "tanh": (tagged, {"r": layer(nn.RNN, 6, 8), "o": nn.Linear(8, 3)}, 8, 1),
    "relu": (tagged, {"r": layer(nn.RNN, 6, 8, nonlinearity="relu"), "o": nn.Linear(8, 3)}, 8, 1),
    "no bias": (tagged, {"r": layer(nn.GRU, 6, 8, bias=False), "o": nn.Linear(8, 3)}, 8, 1),
    "steps first": (
        lambda m, x: m.o(m.r(x.transpose(0, 1))[0]).transpose(0, 1), {"r": nn.GRU(6, 8), "o": nn.Linear(8, 3)}, 8, 1,
    ),
    "one by one": (
        lambda m, x: torch.stack([m.o(m.r(e)[0][-1]) for e in x]), {"r": nn.LSTM(6, 8), "o": nn.Linear(8, 3)}, 8, 1,
    ),
    "both directions": (tagged, {"r": layer(nn.LSTM, 6, 8, bidirectional=True), "o": nn.Linear(16, 3)}, 16, 2),
    "stacked": (tagged, {"r": layer(nn.GRU, 6, 8, 3, bidirectional=True), "o": nn.Linear(16, 3)}, 48, 6),
    "last state": (lambda m, x: m.o(m.r(x)[1][-1]), {"r": layer(nn.GRU, 6, 8), "o": nn.Linear(8, 3)}, 8, 1),
    "last cell too": (
        lambda m, x: m.o(torch.cat(m.r(x)[1], -1)[0]), {"r": layer(nn.LSTM, 6, 8), "o": nn.Linear(16, 3)}, 8, 1,
    ),
    "last states": (
        lambda m, x: m.o(torch.cat([(h := m.r(x)[1])[-2], h[-1]], 1)),
        {"r": layer(nn.GRU, 6, 8, 2, bidirectional=True), "o": nn.Linear(16, 3)}, 8, 1,
    ),
    "packed": (packed, {"r": layer(nn.LSTM, 6, 8, 2, bidirectional=True), "o": nn.Linear(16, 3)}, 32, 4),
    "packed, last states": (packed_last, {"r": layer(nn.LSTM, 6, 8, bidirectional=True), "o": nn.Linear(16, 3)}, 8, 1),
    "batch norm": (
        lambda m, x: m.o(m.n(m.r(x)[0].transpose(1, 2)).transpose(1, 2)),
        {"r": layer(nn.LSTM, 6, 8), "n": nn.BatchNorm1d(8), "o": nn.Linear(8, 3)}, 8, 1,
    ),
    "mean and largest": (
        lambda m, x: m.o(torch.cat([(h := m.r(x)[0]).mean(1), h.amax(1)], 1)),
        {"r": layer(nn.GRU, 6, 8, bidirectional=True), "o": nn.Linear(32, 3)}, 16, 2,
    ),
    "a state handed on": (
        translated, {"r": layer(nn.LSTM, 6, 8, 2), "d": layer(nn.LSTM, 6, 8, 2), "o": nn.Linear(8, 3)}, 8, 1,
    ),
    "a state of zeros": (
        lambda m, x: m.o(m.r(x, x.new_zeros(1, len(x), m.r.hidden_size))[0]),
        {"r": layer(nn.GRU, 6, 8), "o": nn.Linear(8, 3)}, 8, 1,
    ),
    "a state that is learnt": (
        lambda m, x: m.o(m.r(x, m.first.expand(-1, len(x), -1).contiguous())[0]),
        {"r": layer(nn.GRU, 6, 8), "first": nn.Parameter(torch.ones(1, 1, 8)), "o": nn.Linear(8, 3)}, 8, 1,
    ),
    "a state that is made": (
        lambda m, x: m.o(m.r(x, m.q(x[:, 0]).unsqueeze(0))[0]),
        {"r": layer(nn.GRU, 6, 8), "q": nn.Linear(6, 8), "o": nn.Linear(8, 3)}, 8, 1,
    ),
    "gru cell": (stepped, {"r": nn.GRUCell(6, 8), "o": nn.Linear(8, 3)}, 8, 1),
    "lstm cell": (stepped, {"r": nn.LSTMCell(6, 8), "o": nn.Linear(8, 3)}, 8, 1),
    "rnn cell": (stepped, {"r": nn.RNNCell(6, 8), "o": nn.Linear(8, 3)}, 8, 1),
}  # fmt: skip


def model_of(name):
    torch.manual_seed(0)
    run, parts, n_units, n_parts = CASES[name]
    model = Parts(run, **copy.deepcopy(parts)).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model, n_units, n_parts


def silenced(model, small):
    """A copy in which, in plain torch, every gate of the units that the small model has not is zero."""
    dense, less, twin = model.r, small.r, copy.deepcopy(model)
    n, n_left = dense.hidden_size, less.hidden_size
    for name, weight in twin.r.named_parameters():
        if not name.startswith("weight_ih"):
            continue
        suffix = name.removeprefix("weight_ih")
        mark = f"bias_ih{suffix}" if dense.bias else name  # of no layer without biases is the input smaller here
        rows, left = getattr(dense, mark)[:n], getattr(less, mark)[:n_left]
        gone = [i for i in range(n) if not any(torch.equal(rows[i], row) for row in left)]
        assert len(gone) == n - n_left
        where = [gate * n + i for gate in range(len(weight) // n) for i in gone]
        with torch.no_grad():
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                if hasattr(twin.r, f"{kind}{suffix}"):
                    getattr(twin.r, f"{kind}{suffix}")[where] = 0
    return twin


@pytest.mark.parametrize("name", CASES)
def test_a_unit_goes_with_its_rows_of_every_gate(name):
    model, n_units, n_parts = model_of(name)
    found = find_structure(model, (X,))
    group = next(g for g in found.groups.values() if any(s.tensor.startswith("r.weight_hh") for s in g.slices))
    assert (group.target.n_units, group.target.n_parts) == (n_units, n_parts)
    small = shrink(model, SparsityPlan((Cut(group.target.name, "channel", 0.5),)), (X,))
    assert small.r.hidden_size == 4
    for path, parameter in small.named_parameters():
        if path.startswith("r.weight_hh"):
            assert parameter.shape[1] == 4
    if name in ("a state handed on", "a state that is learnt", "a state that is made", "batch norm"):
        return  # what it begins with stays in a unit of which only the rows are zero; a norm shifts it
    torch.testing.assert_close(small(X), silenced(model, small)(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_what_is_left_of_costs_is_what_the_smaller_model_has(name):
    model, _, _ = model_of(name)
    labels = torch.zeros(len(X), dtype=torch.long)
    workload = Workload(name, model, Examples((X,), labels), cross_entropy(), batch_size=6)
    found = find_structure(model, (X,))
    told = describe(name, workload, lambda _: (found.targets, found.uncuttable), count_flops=flops_by_target)
    for sparsity in (0.25, 0.5):
        plan = SparsityPlan(tuple(Cut(group, "channel", sparsity) for group in found.groups))
        small = shrink(model, plan, (X,))
        left = plan_cost(plan, told, "parameters").value
        assert left == pytest.approx(sum(p.numel() for p in small.parameters()), abs=0 if name != "batch norm" else 16)
        flops = sum(flops_by_module(small, (X[:2],)).values())  # of sequences of several lengths: of these
        assert plan_cost(plan, told, "flops").value == pytest.approx(flops, rel=1e-9)


def test_a_projection_is_a_group_of_its_own():
    torch.manual_seed(0)
    model = Parts(tagged, r=layer(nn.LSTM, 6, 8, 2, bidirectional=True, proj_size=4), o=nn.Linear(8, 3)).eval()
    found = find_structure(model, (X,))
    assert {name: (g.target.n_units, g.target.n_parts) for name, g in found.groups.items()} == {
        "r": (32, 4), "r.weight_hr_l0": (16, 4),
    }  # fmt: skip
    plan = SparsityPlan((Cut("r", "channel", 0.25), Cut("r.weight_hr_l0", "channel", 0.5)))
    small = shrink(model, plan, (X,))
    assert (small.r.hidden_size, small.r.proj_size, small.o.in_features) == (6, 2, 4)


def test_channels_that_a_recurrent_layer_reads_go_with_its_columns():
    torch.manual_seed(0)
    model = Parts(
        lambda m, x: m.o(m.r(F.relu(m.i(x)))[0]), i=nn.Linear(6, 10), r=layer(nn.LSTM, 10, 8, bidirectional=True),
        o=nn.Linear(16, 3),
    ).eval()  # fmt: skip
    found = find_structure(model, (X,))
    assert [(m.layer, m.role) for m in found.groups["i"].target.members] == [
        ("i", "outputs"), ("r.weight_ih_l0", "inputs"), ("r.weight_ih_l0_reverse", "inputs"),
    ]  # fmt: skip
    small = shrink(model, SparsityPlan((Cut("i", "channel", 0.5), Cut("r", "channel", 0.5))), (X,))
    assert (small.r.input_size, small.r.hidden_size) == (5, 4)


def test_what_is_added_to_units_goes_with_them():
    torch.manual_seed(0)
    model = Parts(
        lambda m, x: m.o((h := m.i(x)) + m.r(h)[0]), i=nn.Linear(6, 8), r=layer(nn.GRU, 8, 8), o=nn.Linear(8, 3)
    )
    found = find_structure(model.eval(), (X,))
    small = shrink(model, SparsityPlan((Cut("i", "channel", 0.5),)), (X,))
    assert list(found.groups) == ["i"]
    assert (small.r.input_size, small.r.hidden_size) == (4, 4)


REFUSED = {
    "its output is the model's": (
        lambda m, x: m.r(x)[0], {"r": layer(nn.LSTM, 6, 8, 2)}, "they are what the model gives",
    ),
    "its output is one of the model's": (
        lambda m, x: (m.o(h := m.r(x)[0]), h), {"r": layer(nn.LSTM, 6, 8), "o": nn.Linear(8, 3)},
        "are what the model gives",
    ),
    "a first state of a written width": (
        lambda m, x: m.o(m.r(x, torch.zeros(1, len(x), 8))[0]), {"r": layer(nn.GRU, 6, 8), "o": nn.Linear(8, 3)},
        "leave it out where it is zero, or make it as wide as the layer's own hidden_size",
    ),
    "a cell's first state of a written width": (
        lambda m, x: m.o(m.r(x[:, 0], torch.zeros(len(x), 8))), {"r": nn.GRUCell(6, 8), "o": nn.Linear(8, 3)},
        "leave it out where it is zero",
    ),
    "it reads its own output and the input": (
        lambda m, x: m.o(m.r(m.r(x)[0])[0]), {"r": layer(nn.GRU, 6, 6), "o": nn.Linear(6, 3)},
        "also reads what keeps all its entries",
    ),
    "a norm over units": (
        lambda m, x: m.o(m.n(m.r(x)[0])), {"r": layer(nn.GRU, 6, 8), "n": nn.LayerNorm(8), "o": nn.Linear(8, 3)},
        "LayerNorm n takes the mean of its channels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_units_that_cannot_go_say_why(name):
    torch.manual_seed(0)
    run, parts, words = REFUSED[name]
    found = find_structure(Parts(run, **copy.deepcopy(parts)).eval(), (X,))
    assert "r" not in found.groups
    assert words in next(item.reason for item in found.uncuttable if item.name == "channels of r")


def test_a_layer_that_reads_what_a_view_makes_of_a_written_width_names_the_view():
    """As Silero's: half of the channels are taken for half of the examples."""

    class Viewed(nn.Module):
        def __init__(self):
            super().__init__()
            self.c, self.q, self.o = nn.Conv1d(6, 8, 1), layer(nn.GRU, 8, 4), nn.Linear(4, 3)

        def forward(self, x):
            made = self.c(x.flatten(0, 1).unsqueeze(2))
            return self.o(self.q(made.view(-1, x.shape[1], 8))[0])

    found = find_structure(Viewed().eval(), (X,))
    reason = next(item.reason for item in found.uncuttable if item.name == "channels of c")
    assert "view to a fixed number" in reason


def test_two_layers_that_share_a_weight_are_refused():
    first, second = layer(nn.GRU, 8, 8), layer(nn.GRU, 8, 8)
    second.weight_hh_l0 = first.weight_hh_l0
    model = Parts(lambda m, x: m.o(m.s(m.r(m.i(x))[0])[0]), i=nn.Linear(6, 8), r=first, s=second, o=nn.Linear(8, 3))
    found = find_structure(model.eval(), (X,))
    assert not {"r", "s"} & set(found.groups)
    assert any("are one tensor" in item.reason for item in found.uncuttable)


def test_a_model_that_looks_into_its_layer_is_followed_without_it():
    """A stand-in has no `all_weights`: what does not touch the layer is offered all the same."""
    model = Parts(
        lambda m, x: m.o(m.r(m.b(F.relu(m.a(x))))[0]) * (len(m.r.all_weights) > 0), a=nn.Linear(6, 8),
        b=nn.Linear(8, 6), r=layer(nn.GRU, 6, 8), o=nn.Linear(8, 3),
    ).eval()  # fmt: skip
    found = find_structure(model, (X,))
    assert list(found.groups) == ["a"]
    assert "reads its channels, and Secateur does not cut" in str([item.reason for item in found.uncuttable])


def maker_of(model, found):
    calibration = Calibration(model, Examples((X,), torch.arange(6) % 3), class_loss)
    return MaskMaker(model, found.targets, found.groups, calibration)


@pytest.mark.parametrize("criterion", FACTS)
def test_every_criterion_ranks_or_says_why_not(criterion):
    torch.manual_seed(0)
    model = Parts(
        lambda m, x: m.o(F.relu(m.r(x)[0][:, -1])), r=layer(nn.LSTM, 6, 8, 2, bidirectional=True), o=nn.Linear(16, 3)
    ).eval()
    found = find_structure(model, (X,))
    maker = MaskMaker(
        model, found.targets, found.groups, Calibration(model, Examples((X,), torch.arange(6) % 3), class_loss)
    )
    for target in found.targets:
        cut = Cut(target.name, target.granularity, 0.5, criterion)
        if (reason := why_not(criterion, target)) or (reason := maker.prepare([cut]).get(cut)):
            assert len(reason.split()) > 4
            continue
        masks = maker.masks_of(cut)
        if target.granularity == "weight":
            assert int((~masks[target.parameter]).sum()) == target.n_weights // 2
        else:
            gone = [(~mask).all(1).sum() for name, mask in masks.items() if name.startswith("r.weight_ih")]
            assert [int(n) for n in gone] == [4 * 4] * 4


def test_wanda_looks_at_what_the_first_layer_reads():
    torch.manual_seed(0)
    model = Parts(tagged, r=layer(nn.GRU, 6, 8, 2), o=nn.Linear(8, 3)).eval()
    found = find_structure(model, (X,))
    maker = MaskMaker(
        model, found.targets, found.groups, Calibration(model, Examples((X,), torch.arange(6) % 3), class_loss)
    )
    mask = maker.masks_of(Cut("r.weight_ih_l0", "weight", 0.5, "wanda"))["r.weight_ih_l0"]
    score = model.r.weight_ih_l0.detach().abs() * X.reshape(-1, 6).norm(dim=0)
    right = score > score.kthvalue(3, dim=1, keepdim=True).values
    assert torch.equal(mask, right)
    target = next(t for t in found.targets if t.name == "r.weight_hh_l0")
    assert "what its own layer has made" in why_not("wanda", target)
