"""Linear layers that store their weight transposed (GPT-2's Conv1D), held against the same model of nn.Linear."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core import Cut, Examples, SparsityPlan, Workload, accuracy, find_structure
from core.plans.criteria import FACTS, why_not
from core.pruning.criteria.calibration import Calibration
from core.pruning.masks import MaskMaker
from core.pruning.shrink import equal, shrunk_by
from core.workload.layers.linear import is_transposed
from core.workload.metric import class_loss


class Conv1D(nn.Module):
    def __init__(self, nf, nx):
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight, self.bias = nn.Parameter(torch.randn(nx, nf) * 0.3), nn.Parameter(torch.randn(nf) * 0.3)

    def forward(self, x):
        return torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(*x.shape[:-1], self.nf)


class Attention(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.num_heads, self.head_dim = 4, 2
        self.c_attn, self.c_proj = layer(24, 8), layer(8, 8)

    def forward(self, x):
        n, length, _ = x.shape
        q, k, v = (
            part.view(n, length, self.num_heads, self.head_dim).transpose(1, 2)
            for part in self.c_attn(x).split(self.num_heads * self.head_dim, -1)
        )
        return self.c_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Net(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.attn, self.c_fc, self.c_proj, self.head = Attention(layer), layer(12, 8), layer(8, 12), nn.Linear(8, 4)

    def forward(self, x):
        x = x + self.attn(x)
        return self.head((x + self.c_proj(F.relu(self.c_fc(x)))).mean(1))


def pair():
    """The same numbers, stored transposed and as torch does."""
    torch.manual_seed(0)
    stored = Net(Conv1D).eval()
    plain = Net(lambda nf, nx: nn.Linear(nx, nf)).eval()
    turned = {path for path, module in stored.named_modules() if isinstance(module, Conv1D)}
    state = {
        name: tensor.T.contiguous() if name.rpartition(".")[0] in turned and name.endswith("weight") else tensor.clone()
        for name, tensor in stored.state_dict().items()
    }
    plain.load_state_dict(state)
    return stored, plain, {f"{path}.weight" for path in turned}


X, LABELS = torch.randn(24, 5, 8, generator=torch.Generator().manual_seed(1)), torch.arange(24) % 4


def makers(granularities=("weight",)):
    stored, plain, turned = pair()
    made = []
    for model in (stored, plain):
        structure = find_structure(model, (X,))
        calibration = Calibration(model, Examples((X,), LABELS), class_loss)
        made.append((structure, MaskMaker(model, structure.targets, structure.groups, calibration)))
    return made, turned


def test_both_models_are_the_same_function():
    stored, plain, _ = pair()
    torch.testing.assert_close(stored(X), plain(X))


def test_the_same_is_offered_as_of_torchs_linear():
    ((stored, _), (plain, _)), _ = makers()
    assert [(t.granularity, t.name) for t in stored.targets] == [(t.granularity, t.name) for t in plain.targets]
    assert {"c_fc", "attn:3"} <= {t.name for t in stored.targets}
    assert stored.heads.keys() == plain.heads.keys() == {"attn"}
    assert not any("Conv1D" in item.reason for item in stored.uncuttable)


@pytest.mark.parametrize("granularity", ["weight", "2:4", "4x4"])
@pytest.mark.parametrize("criterion", [name for name, facts in FACTS.items() if "weights" in facts.scores])
def test_every_criterion_chooses_the_same_weights(criterion, granularity):
    ((structure, stored), (_, plain)), turned = makers()
    looked = 0
    for target in structure.targets:
        if target.parameter not in turned or target.granularity != "weight" or criterion == "random":
            continue
        if why_not(criterion, target, granularity) is not None:
            continue
        cut = Cut(target.name, granularity, 0.5, criterion)
        ours, theirs = (maker.cut_tensors(SparsityPlan((cut,)))[target.parameter] for maker in (stored, plain))
        assert ours.shape == target.shape
        assert float((ours == 0).double().mean()) == 0.5
        torch.testing.assert_close(ours.T, theirs, rtol=1e-4, atol=1e-5)
        looked += 1
    assert looked or criterion == "random" or (FACTS[criterion].updates and granularity == "4x4")


@pytest.mark.parametrize("criterion", [name for name, facts in FACTS.items() if "channels" in facts.scores])
def test_every_criterion_chooses_the_same_channels(criterion):
    ((structure, stored), (_, plain)), _ = makers()
    target = next(t for t in structure.targets if (t.granularity, t.name) == ("channel", "c_fc"))
    if why_not(criterion, target) is None:
        cut = Cut("c_fc", "channel", 0.5, criterion)
        assert stored.units(cut)[1] == plain.units(cut)[1]


@pytest.mark.parametrize("criterion", [name for name, facts in FACTS.items() if "heads" in facts.scores])
def test_every_criterion_scores_heads_the_same(criterion):
    ((stored, ours), (plain, theirs)), _ = makers()
    first, second = ([t for t in s.targets if t.granularity == "head"] for s in (stored, plain))
    if criterion != "random":
        torch.testing.assert_close(ours.head_scores(criterion, first), theirs.head_scores(criterion, second))


def test_a_masked_head_is_that_of_a_zeroed_output():
    stored, _, _ = pair()
    structure = find_structure(stored, (X,))
    maker = MaskMaker(stored, structure.targets, structure.groups)
    cut = copy.deepcopy(stored)
    tensors = maker.cut_tensors(SparsityPlan((Cut("attn:2", "head"),)))
    cut.load_state_dict(tensors, strict=False)

    def without(module, args):
        (x,) = args
        x = x.clone()
        x[..., 4:6] = 0
        return (x,)

    stored.attn.c_proj.register_forward_pre_hook(without)
    torch.testing.assert_close(cut(X), stored(X))


def test_shrunk_equals_masked():
    stored, _, _ = pair()
    structure = find_structure(stored, (X,))
    maker = MaskMaker(stored, structure.targets, structure.groups)
    plan = SparsityPlan((Cut("attn:1", "head"), Cut("c_fc", "channel", 0.5, "magnitude")))
    small = shrunk_by(stored, plan, structure, maker, (X[:2],))
    equal(stored, small, plan, maker, [(X,)])
    assert small.attn.c_attn.weight.shape == (8, 18)
    assert small.attn.c_attn.nf == 18
    assert small.c_proj.weight.shape == (6, 8)
    assert (small.c_fc.nx, small.c_fc.nf) == (8, 6)


def test_one_of_that_name_that_does_something_else_is_refused():
    class Other(Conv1D):
        def forward(self, x):
            return super().forward(x) * 2

    other = Other(4, 3)
    other.__class__.__name__ = "Conv1D"
    assert not is_transposed(other)
    assert is_transposed(Conv1D(4, 3))


def test_its_heads_get_estimates_and_its_operations_are_counted():
    from core import sweep

    stored, plain, _ = pair()
    values = []
    for model in (stored, plain):
        workload = Workload("net", model, Examples((X,), LABELS), accuracy(), calibration=Examples((X + 1,), LABELS))
        report = sweep(workload, sparsities=(0.5,), heads=True, channels=True, samples="all", threads=1)
        values.append({(c.cut.granularity, c.cut.target): c.metric.value for c in report.cells})
    assert values[0] == values[1]
