"""A shrunk model is smaller and gives what the masked one gives; what cannot be cut is listed with the reason."""

import copy
import random
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from core import Cut, SecateurError, SparsityPlan, find_structure, load_workload, shrink, uniform_plan
from core.pruning.coupling.groups import CannotCutError
from core.pruning.equality import NotEqualError, compared
from core.pruning.masks import MaskMaker
from core.pruning.shrink import shrunk_by
from core.pruning.wearing import pruned_copy
from tests.core.pruning.networks import random_network


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def n_parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def random_plan(structure, draw):
    """Some channels of some groups, some heads of some attentions, some weights."""
    cuts = []
    for name, group in structure.groups.items():
        if draw.random() < 0.8:
            align = draw.choice([1, 1, 2])
            cuts.append(Cut(name, "channel", draw.choice([0.2, 0.34, 0.5, 0.7]), align=align))
        assert len(set(group.parts)) == group.target.n_parts
    for path in structure.heads:
        heads = [t.name for t in structure.targets if t.granularity == "head" and t.layer == path]
        cuts += [Cut(name, "head") for name in draw.sample(heads, draw.randint(0, len(heads) - 1))]
    weights = [t.name for t in structure.targets if t.granularity == "weight"]
    cuts += [Cut(name, "weight", 0.5) for name in draw.sample(weights, draw.randint(0, 2))]
    draw.shuffle(cuts)
    return cuts


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_random_plans_on_random_networks_shrink_to_what_masks_do(seed):
    model, inputs = random_network(seed)
    before = state_of(model)
    structure = find_structure(model, inputs)
    maker = MaskMaker(model, structure.targets, structure.groups)
    cuts = random_plan(structure, random.Random(seed))
    try:
        tensors = maker.cut_tensors(SparsityPlan(tuple(cuts)))
    except CannotCutError:  # more than a small group has to lose; that it says so is what we want
        return
    shrunk = shrunk_by(model, SparsityPlan(tuple(cuts)), structure, maker, inputs)
    compared(pruned_copy(model, tensors), shrunk, [inputs])
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    goes = [c.granularity == "head" or (c.granularity == "channel" and maker.units(c)[1]) for c in cuts]
    assert (n_parameters(shrunk) < n_parameters(model)) == any(goes)
    again = shrunk_by(model, SparsityPlan(tuple(reversed(cuts))), structure, maker, inputs)
    assert all(
        torch.equal(a, b) for a, b in zip(shrunk.state_dict().values(), again.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("seed", range(60))
def test_nothing_that_a_convolutional_network_couples_is_missed(seed):
    model, inputs = random_network(3 * seed + 1)
    structure = find_structure(model, inputs)
    wrong = [u for u in structure.uncuttable if not u.shape and "fc" not in u.name and "out" not in u.name]
    known = ("parts of one", "unequal", "several channels", "a single channel")
    odd = [u.reason for u in wrong if not any(text in u.reason for text in known)]
    assert not odd


class Net(nn.Module):
    """Layers and a forward pass given from outside."""

    def __init__(self, forward, **layers):
        super().__init__()
        torch.manual_seed(0)
        self.run = forward
        for name, layer in layers.items():
            if isinstance(layer, nn.Parameter):
                self.register_parameter(name, layer)
            else:
                setattr(self, name, layer())
        self.eval()

    def forward(self, *inputs):
        return self.run(self, *inputs)


def pair(forward, **more):
    return Net(forward, a=lambda: nn.Linear(6, 8), b=lambda: nn.Linear(8, 3), **more)


REFUSED = {
    "a softmax over channels": (lambda m, x: m.b(torch.softmax(m.a(x), -1)), "channels of a", "apart"),
    "a mean of channels": (lambda m, x: m.b(m.a(x) - m.a(x).mean(-1, keepdim=True)), "channels of a", "apart"),
    "sizes written out": (
        lambda m, x: m.b(m.a(x).view(-1, 2, 4).flatten(1)),
        "channels of a",
        "b, a Linear, multiplies them with a matrix of full size",
    ),
    "channels that are given as well": (lambda m, x: (m.b(m.a(x)), m.a(x)), "channels of a", "another shape"),
    "sorted channels": (lambda m, x: m.b(m.a(x).sort(-1).values), "channels of a", "apart"),
    "channels by number": (lambda m, x: m.b(m.a(x) * torch.arange(8.0)), "channels of a", "size"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_mixes_channels_is_refused_with_the_reason(name):
    forward, what, reason = REFUSED[name]
    structure = find_structure(pair(forward), (torch.randn(4, 6),))
    assert not structure.groups
    assert reason in next(u.reason for u in structure.uncuttable if u.name == what)


def test_a_norm_over_channels_needs_the_whole_mask_and_gets_it():
    net, x = pair(lambda m, x: m.b(F.normalize(m.a(x), dim=-1))), torch.randn(4, 6)
    structure = find_structure(net, (x,))
    assert not structure.groups["a"].readers_decide
    maker = MaskMaker(net, structure.targets, structure.groups)
    plan = SparsityPlan((Cut("a", "channel", 0.5),))
    assert maker.parameters(plan) == {"a.weight", "a.bias", "b.weight"}
    compared(pruned_copy(net, maker.cut_tensors(plan, reading=True)), shrink(net, plan, (x,)), [(x,)])


def test_one_bad_group_takes_no_good_one_with_it():
    net = Net(
        lambda m, x: m.d(torch.softmax(m.c(torch.relu(m.b(torch.relu(m.a(x))))), -1)),
        a=lambda: nn.Linear(6, 8), b=lambda: nn.Linear(8, 8), c=lambda: nn.Linear(8, 8), d=lambda: nn.Linear(8, 3),
    )  # fmt: skip
    structure = find_structure(net, (torch.randn(4, 6),))
    assert list(structure.groups) == ["a", "b"]
    assert "the first layer that differs is d" in next(
        u.reason for u in structure.uncuttable if u.name == "channels of c"
    )


def test_a_norm_over_channels_is_named():
    net = Net(
        lambda m, x: m.b(m.n(m.a(x))), a=lambda: nn.Linear(6, 8), n=lambda: nn.LayerNorm(8), b=lambda: nn.Linear(8, 3)
    )
    reasons = {u.name: u.reason for u in find_structure(net, (torch.randn(4, 6),)).uncuttable}
    assert reasons["channels of a"].startswith("LayerNorm n takes the mean of its channels")
    assert "no layer" in reasons["channels of b"]


def test_tied_weights_are_not_cut_in_one_place():
    def tie(m):
        m.b.weight = m.a.weight
        return m

    net = tie(
        Net(
            lambda m, x: m.c(m.b(m.a(x))),
            a=lambda: nn.Linear(6, 6),
            b=lambda: nn.Linear(6, 6),
            c=lambda: nn.Linear(6, 2),
        )
    )
    structure = find_structure(net, (torch.randn(4, 6),))
    assert not structure.groups
    assert any("are one tensor" in u.reason for u in structure.uncuttable)


def test_a_model_that_cannot_be_followed_says_so_and_has_no_groups():
    net = pair(lambda m, x: m.b(m.a(x)).detach())
    structure = find_structure(net, (torch.randn(4, 6),))
    assert not structure.groups
    assert "were not looked into" in next(u.reason for u in structure.uncuttable if u.name == "channels")


def test_a_single_channel_cannot_go():
    net = Net(lambda m, x: m.b(m.a(x)), a=lambda: nn.Linear(6, 1), b=lambda: nn.Linear(1, 3))
    assert "a single channel" in next(
        u.reason for u in find_structure(net, (torch.randn(4, 6),)).uncuttable if u.name == "channels of a"
    )


def test_a_scale_per_channel_that_is_a_bare_parameter_goes_along():
    net = pair(lambda m, x: m.b(torch.cos(m.a(x) * m.gamma)), gamma=nn.Parameter(torch.randn(8)))
    x = torch.randn(4, 6)
    smaller = shrink(net, SparsityPlan((Cut("a", "channel", 0.5),)), (x,))
    assert smaller.gamma.shape == (4,)
    assert (smaller.a.out_features, smaller.b.in_features) == (4, 4)


@pytest.fixture(scope="module")
def resnet():
    workload = load_workload("fashion-resnet")
    return workload.model, tuple(tensor[:50] for tensor in workload.evaluation.inputs)


def test_the_residual_stream_is_one_row_with_all_its_members(resnet):
    structure = find_structure(*resnet)
    stem = structure.groups["stem"].target
    makers = [member.layer for member in stem.members if member.role == "outputs"]
    assert makers == ["stem", "stage1.0.conv2", "stage1.1.conv2", "stage1.2.conv2"]
    assert [m.layer for m in stem.members if m.role == "inputs"][-2:] == ["stage2.0.conv1", "stage2.0.shortcut.0"]
    assert stem.n_units == 16


def test_half_of_the_channels_leave_a_quarter_of_the_parameters(resnet):
    model, inputs = resnet
    before, training = state_of(model), model.training
    plan = uniform_plan(model, find_structure(model, inputs), channels=0.5)
    smaller = shrink(model, plan, inputs)
    assert 0.25 <= n_parameters(smaller) / n_parameters(model) < 0.26
    assert smaller.stem.out_channels == smaller.bn.num_features == 8
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.training == training
    assert not any(module._forward_hooks for module in model.modules())


def test_blocks_are_taken_out(resnet):
    model, inputs = resnet
    smaller = shrink(model, SparsityPlan((Cut("stage1.1", "block"), Cut("stage1.2.conv1", "channel", 0.5))), inputs)
    assert not list(smaller.stage1[1].parameters())
    assert smaller.stage1[2].conv1.out_channels == 8


def test_a_block_that_changes_the_shape_is_refused(resnet):
    with pytest.raises(SecateurError, match=r"stage2\.0 cannot be skipped"):
        shrink(resnet[0], SparsityPlan((Cut("stage2.0", "block"),)), resnet[1])


def test_a_plan_that_would_empty_a_layer_is_refused_by_name(resnet):
    with pytest.raises(SecateurError, match=r"0\.99 of the 16 channels of stem would leave none"):
        shrink(resnet[0], SparsityPlan((Cut("stem", "channel", 0.99),)), resnet[1])


def test_an_alignment_that_cannot_be_met_is_refused_by_name(resnet):
    with pytest.raises(SecateurError, match="stem has 16 channels, fewer than the 32"):
        shrink(resnet[0], SparsityPlan((Cut("stem", "channel", 0.5, align=32),)), resnet[1])


def test_aligned_channels_stay_in_multiples(resnet):
    smaller = shrink(resnet[0], SparsityPlan((Cut("stage3.1.conv1", "channel", 0.3, align=8),)), resnet[1])
    assert smaller.stage3[1].conv1.out_channels == 48  # 64 - 19 = 45, rounded up


def test_an_unknown_group_is_refused_with_a_hint(resnet):
    with pytest.raises(SecateurError, match="no channel target 'stm'; did you mean stem"):
        shrink(resnet[0], SparsityPlan((Cut("stm", "channel", 0.5),)), resnet[1])


def test_a_shrunk_model_trains_and_is_saved_and_reloaded_without_our_classes(resnet, tmp_path):
    model, inputs = resnet
    smaller = shrink(model, uniform_plan(model, find_structure(model, inputs), channels=0.5), inputs)
    program = torch.export.export(smaller, inputs)
    expected = smaller(*inputs)
    torch.testing.assert_close(program.module()(*inputs), expected)
    optimiser = torch.optim.SGD(smaller.train().parameters(), lr=0.1)
    F.cross_entropy(smaller(*inputs), torch.zeros(50, dtype=torch.long)).backward()
    assert all(parameter.grad is not None for parameter in smaller.parameters())
    optimiser.step()
    assert not torch.equal(smaller.eval()(*inputs), expected)


def test_grouped_convolutions_lose_equally_many_channels_in_each_group():
    net = Net(
        lambda m, x: m.c(torch.sigmoid(m.g(torch.relu(m.a(x))))).mean((2, 3)),
        a=lambda: nn.Conv2d(3, 8, 1), g=lambda: nn.Conv2d(8, 12, 3, groups=4), c=lambda: nn.Conv2d(12, 4, 1),
    )  # fmt: skip
    x = torch.randn(4, 3, 5, 5)
    structure = find_structure(net, (x,))
    assert (structure.groups["a"].target.n_parts, structure.groups["g"].target.n_parts) == (4, 4)
    smaller = shrink(net, SparsityPlan((Cut("a", "channel", 0.5), Cut("g", "channel", 0.4))), (x,))
    assert (smaller.g.in_channels, smaller.g.out_channels, smaller.g.groups) == (4, 8, 4)
    assert smaller.g.weight.shape == (8, 1, 3, 3)


def test_a_depthwise_convolution_stays_depthwise():
    net = Net(
        lambda m, x: m.c(torch.sigmoid(m.d(torch.relu(m.a(x))))).mean((2, 3)),
        a=lambda: nn.Conv2d(3, 8, 1), d=lambda: nn.Conv2d(8, 8, 3, groups=8), c=lambda: nn.Conv2d(8, 4, 1),
    )  # fmt: skip
    smaller = shrink(net, SparsityPlan((Cut("a", "channel", 0.25),)), (torch.randn(4, 3, 5, 5),))
    assert (smaller.d.in_channels, smaller.d.out_channels, smaller.d.groups) == (6, 6, 6)


def test_transposed_convolutions_and_embeddings_lose_channels():
    net = Net(
        lambda m, codes: m.c(torch.tanh(m.t(torch.cos(m.e(codes)).transpose(1, 2)))).mean(-1),
        e=lambda: nn.Embedding(7, 6), t=lambda: nn.ConvTranspose1d(6, 10, 3), c=lambda: nn.Conv1d(10, 2, 1),
    )  # fmt: skip
    codes = torch.randint(7, (4, 5))
    structure = find_structure(net, (codes,))
    assert "t" in structure.groups
    smaller = shrink(net, SparsityPlan((Cut("t", "channel", 0.5),)), (codes,))
    assert (smaller.t.out_channels, smaller.c.in_channels) == (5, 5)


def test_a_wrong_shrink_is_refused_with_the_first_layer_that_differs(resnet):
    model, inputs = resnet
    wrong = copy.deepcopy(model)
    with torch.no_grad():
        wrong.stage2[1].conv1.weight[0, 0, 0, 0] += 0.1
    with pytest.raises(NotEqualError, match=r"first layer that differs is stage2\.1\.conv1"):
        compared(model, wrong, [inputs])


def test_channels_that_cannot_be_followed_to_the_end_are_given_up_and_others_are_not(monkeypatch):
    monkeypatch.setattr("core.pruning.coupling.walking.FEWEST_STEPS", -1000)
    net = pair(lambda m, x: m.b(torch.relu(m.a(x))))
    structure = find_structure(net, (torch.randn(4, 6),))
    assert not structure.groups
    assert {u.name for u in structure.uncuttable if "given up" in u.reason} == {"channels of a", "channels of b"}


def test_a_thousand_layers_are_followed():
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU()) for _ in range(1000)]
    deep = nn.Sequential(*layers, nn.Linear(4, 2)).eval()
    assert len(find_structure(deep, (torch.randn(4, 4),)).groups) == 1000


def with_weight_norm():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), torch.nn.utils.parametrizations.weight_norm(nn.Linear(8, 3)))


def test_a_computed_weight_is_named_and_nothing_else_is_lost():
    structure = find_structure(with_weight_norm().eval(), (torch.randn(4, 6),))
    assert [t.name for t in structure.targets if t.granularity == "weight"] == ["0"]
    assert "computed from other parameters" in next(u.reason for u in structure.uncuttable if u.name == "channels of 0")


def test_a_model_that_cannot_be_copied_can_still_be_swept():
    net = pair(lambda m, x: m.b(torch.relu(m.a(x))))
    net.lock = threading.Lock()
    structure = find_structure(net, (torch.randn(4, 6),))
    assert [t.name for t in structure.targets] == ["a", "b"]
    assert "no cut could be tried on a copy" in next(u.reason for u in structure.uncuttable if u.name == "channels")


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_difference_is_seen_whatever_the_size_of_the_outputs(scale):
    net = pair(lambda m, x: scale * m.b(m.a(x) - m.a(x).mean(-1, keepdim=True)))
    assert not find_structure(net, (torch.randn(4, 6),)).groups


def test_short_types_are_compared_in_float32():
    mixing = pair(lambda m, x: m.b(m.a(x) - 0.4 * m.a(x).mean(-1, keepdim=True))).bfloat16()
    x = torch.randn(16, 6, dtype=torch.bfloat16)
    structure = find_structure(mixing, (x,))
    assert all(not group.readers_decide for group in structure.groups.values())
    plain = pair(lambda m, x: m.b(torch.relu(m.a(x)))).bfloat16()
    smaller = shrink(plain, SparsityPlan((Cut("a", "channel", 0.5),)), (x,))
    assert (smaller.a.out_features, smaller.a.weight.dtype) == (4, torch.bfloat16)


class Halves(nn.Module):
    """A block that gives two values."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 6)

    def forward(self, x):
        return self.inner(x), x


def test_a_block_that_gives_several_values_is_refused_in_words():
    net = Net(lambda m, x: m.blocks[0](x)[0] + m.blocks[0](x)[1], blocks=lambda: nn.ModuleList([Halves(), Halves()]))
    with pytest.raises(SecateurError, match=r"blocks\.0 gives 2 values, and what stands in for it can only give one"):
        shrink(net, SparsityPlan((Cut("blocks.0", "block"),)), (torch.randn(4, 6),))


def test_a_block_that_stands_in_two_places_goes_in_both():
    block = nn.Sequential(nn.Linear(6, 6), nn.ReLU())
    torch.manual_seed(0)
    net = nn.Sequential(nn.ModuleList([block])[0], block, nn.Linear(6, 3)).eval()
    outer = nn.Sequential(nn.Linear(6, 6), nn.Sequential(Twice(block)), nn.Linear(6, 3)).eval()
    smaller = shrink(outer, SparsityPlan((Cut("1.0", "block"),)), (torch.randn(4, 6),))
    assert n_parameters(smaller) == 2 * 21 + 21
    assert net[0] is net[1]


class Twice(nn.Module):
    """One block, run twice."""

    def __init__(self, block):
        super().__init__()
        self.block, self.again = block, block

    def forward(self, x):
        return x + self.again(self.block(x))
