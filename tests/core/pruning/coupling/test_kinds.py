"""Layers beside torch's own: frozen batch norms, experts in one parameter, adapters, computed weights."""

import pytest
import torch
from torch import nn

from core import Cut, Examples, SparsityPlan, Workload, cross_entropy, find_structure, sweep
from core.plans.criteria import FACTS, why_not
from core.plans.patterns import parse_pattern
from core.pruning.masks import MaskMaker
from core.pruning.shrink import equal, shrunk_by

X = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))


class FrozenBatchNorm2d(nn.Module):
    """Torchvision's, with the number of channels noted or not."""

    def __init__(self, n, noted):
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.rand(n) + 0.5)
        if noted:
            self.num_features = n

    def forward(self, x):
        w, b, rv, rm = (t.reshape(1, -1, 1, 1) for t in (self.weight, self.bias, self.running_var, self.running_mean))
        scale = w * (rv + 1e-5).rsqrt()
        return x * scale + (b - rm * scale)


class Backbone(nn.Module):
    def __init__(self, noted):
        super().__init__()
        self.a, self.n, self.b = nn.Conv2d(3, 8, 3), FrozenBatchNorm2d(8, noted), nn.Conv2d(8, 8, 3, padding=1)
        self.m, self.fc = FrozenBatchNorm2d(8, noted), nn.Linear(8, 3)

    def forward(self, x):
        x = torch.relu(self.n(self.a(x)))
        return self.fc((x + torch.relu(self.m(self.b(x)))).mean((2, 3)))


@pytest.mark.parametrize("noted", [True, False])
def test_a_frozen_batch_norm_loses_its_channels_with_the_convolution(noted):
    torch.manual_seed(0)
    model = Backbone(noted).eval()
    structure = find_structure(model, (X,))
    (group,) = structure.groups.values()
    assert {one.tensor for one in group.slices} >= {"n.running_var", "m.weight", "n.bias", "a.weight", "fc.weight"}
    maker = MaskMaker(model, structure.targets, structure.groups)
    plan = SparsityPlan((Cut(group.target.name, "channel", 0.5, "magnitude"),))
    small = shrunk_by(model, plan, structure, maker, (X[:2],))
    equal(model, small, plan, maker, [(X,)])
    assert small.n.running_mean.shape == small.m.weight.shape == (4,)
    gone = maker.units(plan.cuts[0])[1]
    kept = [i for i in range(8) if i not in gone]

    def without(_module, args):  # by hand: what reads the channels gets zeros
        x = args[0].clone()
        index = (slice(None), gone) if x.dim() > 1 else gone
        x[index] = 0
        return (x,)

    for layer in (model.b, model.fc):
        layer.register_forward_pre_hook(without)
    with torch.no_grad():
        torch.testing.assert_close(small(X), model(X), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(small.n.running_mean, model.n.running_mean[kept])


class TinyExperts(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Parameter(torch.randn(3, 6, 8)), nn.Parameter(torch.randn(3, 8, 6))

    def forward(self, x, chosen):
        return torch.stack([torch.relu(row @ self.up[e]) @ self.down[e] for row, e in zip(x, chosen, strict=True)])


class Mixture(nn.Module):
    def __init__(self):
        super().__init__()
        self.router, self.experts, self.o = nn.Linear(6, 3), TinyExperts(), nn.Linear(6, 4)

    def forward(self, x):
        scores = self.router(x)
        return self.o(x + self.experts(x, scores.argmax(1).tolist()))


def test_experts_in_one_parameter_are_cut_weight_by_weight():
    torch.manual_seed(0)
    model, x = Mixture().eval(), torch.randn(12, 6)
    structure = find_structure(model, (x,))
    targets = {t.name: t for t in structure.targets if t.granularity == "weight"}
    assert {"experts.up", "experts.down"} <= targets.keys()
    workload = Workload("m", model, Examples((x,), torch.arange(12) % 4), cross_entropy())
    report = sweep(workload, sparsities=(0.5,), samples="all", threads=1)
    cells = {cell.cut.target: cell.metric.value for cell in report.cells}
    for name in ("up", "down"):
        own = getattr(model.experts, name)
        kept = own.detach().clone()
        with torch.no_grad():
            flat = own.abs().flatten()
            own.view(-1)[flat.argsort(stable=True)[: len(flat) // 2]] = 0
            right = nn.functional.cross_entropy(model(x), torch.arange(12) % 4).item()
            own.copy_(kept)
        assert cells[f"experts.{name}"] == pytest.approx(right, rel=1e-5)


def test_what_asks_for_inputs_of_experts_says_why_not():
    torch.manual_seed(0)
    target = next(t for t in find_structure(Mixture().eval(), (torch.randn(4, 6),)).targets if t.name == "experts.up")
    for criterion in ("wanda", "sparsegpt"):
        assert "several experts" in (why_not(criterion, target) or "")
    assert why_not("magnitude", target) is None
    assert "several experts" in (parse_pattern("2:4").why_not(target) or "")
    assert FACTS["wanda"].multiplies


class LoRA(nn.Module):
    """As PEFT lays an adapter around a layer."""

    def __init__(self, base):
        super().__init__()
        self.base_layer = base
        self.lora_A = nn.ModuleDict({"default": nn.Linear(base.in_features, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, base.out_features, bias=False)})

    def forward(self, x):
        return self.base_layer(x) + self.lora_B["default"](self.lora_A["default"](x))


def test_the_matrices_of_an_adapter_are_not_offered_and_merging_is_said():
    structure = find_structure(
        nn.Sequential(LoRA(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 3)).eval(), (torch.randn(4, 6),)
    )
    assert {t.name for t in structure.targets if t.granularity == "weight"} == {"0.base_layer", "2"}
    reasons = {u.name: u.reason for u in structure.uncuttable}
    for name in ("0.lora_A.default.weight", "0.lora_B.default.weight"):
        assert "merge the adapter first (merge_and_unload)" in reasons[name]


@pytest.mark.parametrize(
    ("wrap", "mend"),
    [
        (torch.nn.utils.parametrizations.weight_norm, "remove_parametrizations(layer, 'weight')"),
        (torch.nn.utils.parametrizations.spectral_norm, "remove_parametrizations(layer, 'weight')"),
        (torch.nn.utils.parametrizations.orthogonal, "remove_parametrizations(layer, 'weight')"),
    ],
)
def test_a_computed_weight_says_which_call_makes_it_plain(wrap, mend):
    structure = find_structure(nn.Sequential(wrap(nn.Linear(6, 6)), nn.Linear(6, 3)).eval(), (torch.randn(4, 6),))
    (item,) = (u for u in structure.uncuttable if u.name == "0.weight")
    assert mend in item.reason


def test_an_attention_that_says_no_number_of_heads_is_listed():
    class QuietAttention(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)

        def forward(self, x):
            return self.b(torch.softmax(self.a(x), -1))

    structure = find_structure(nn.Sequential(QuietAttention(), nn.Linear(6, 3)).eval(), (torch.randn(4, 6),))
    (item,) = (u for u in structure.uncuttable if u.name == "heads of 0")
    assert "QuietAttention says no number of heads by a name that Secateur knows" in item.reason
