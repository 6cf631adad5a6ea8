"""A tagger and a classifier with recurrent layers, from the map to what is delivered: each held against plain torch."""

import copy

import pytest
import torch
from torch import nn

from core import Cut, Examples, SparsityPlan, Workload, accuracy, find_structure, sweep, token_accuracy
from core.plans.schedules import Schedule
from core.pruning.masks import MaskMaker
from core.pruning.shrink import equal, shrunk_by
from core.recovery.request import RecoverRequest
from core.recovery.settings import FineTuning
from core.sensitivity.preview import preview
from tests.core.recovery.learners import recover

pytestmark = pytest.mark.model


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 8, 2, batch_first=True, bidirectional=True)
        self.tags = nn.Linear(16, 4)

    def forward(self, codes):
        return self.tags(self.lstm(self.words(codes))[0])


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp = nn.Linear(5, 7)
        self.gru = nn.GRU(7, 8, batch_first=True)
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        _, last = self.gru(torch.relu(self.inp(x)))
        return self.out(last[-1])


def tags(n, seed):
    codes = torch.randint(20, (n, 6), generator=torch.Generator().manual_seed(seed))
    return Examples(codes, codes % 4)


def series(n, seed):
    x = torch.randn(n, 4, 5, generator=torch.Generator().manual_seed(seed))
    return Examples(x, x[..., :3].sum(1).argmax(1))


MODELS = {"tagger": (Tagger, tags, token_accuracy, "lstm"), "classifier": (Classifier, series, accuracy, "gru")}


def workload_of(name):
    kind, data, metric, _ = MODELS[name]
    torch.manual_seed(0)
    return Workload(name, kind().eval(), data(24, 1), metric(), data(12, 2), data(16, 3), batch_size=8)


@pytest.mark.parametrize("name", MODELS)
def test_cells_are_what_zeros_by_hand_give(name):
    workload, path = workload_of(name), MODELS[name][3]
    model, (codes,), labels = workload.model, workload.evaluation.inputs, workload.evaluation.labels
    report = sweep(workload, sparsities=(0.5,), channels=True)
    cells = {(cell.cut.granularity, cell.cut.target): cell for cell in report.cells}
    names = {f"{path}.{attribute}" for attribute, _ in getattr(model, path).named_parameters() if "weight" in attribute}
    assert {target for granularity, target in cells if granularity == "weight"} >= names
    for parameter in sorted(names):
        twin = copy.deepcopy(model)
        weight = twin.get_parameter(parameter)
        with torch.no_grad():
            weight.view(-1)[weight.abs().flatten().argsort(stable=True)[: weight.numel() // 2]] = 0
            right = (twin(codes).argmax(-1) == labels).double().mean().item()
        assert cells["weight", parameter].metric.value == pytest.approx(right, abs=1e-6)
    assert cells["channel", path].state not in ("failed", "no effect")


@pytest.mark.parametrize("name", MODELS)
def test_estimates_are_made_of_weights_and_none_fails(name):
    workload, path = workload_of(name), MODELS[name][3]
    found = find_structure(workload.model, workload.evaluation.inputs)
    cuts = [Cut(t.name, t.granularity, 0.5) for t in found.targets if t.granularity in ("weight", "channel")]
    seen = preview(workload, MaskMaker(workload.model, found.targets, found.groups), cuts)
    estimated = {cut.target for cut in seen.estimates if cut.granularity == "weight"}
    assert f"{path}.weight_hh_l0" in estimated


@pytest.mark.parametrize("name", MODELS)
def test_a_cut_is_held_while_the_model_recovers(name):
    workload, path = workload_of(name), MODELS[name][3]
    plan = SparsityPlan((Cut(path, "channel", 0.5), Cut(f"{path}.weight_ih_l0", "weight", 0.25)))
    tuning = FineTuning(epochs=1, batch_size=8)
    asked = RecoverRequest(name, Schedule("cubic", 0.0, 0.5, 1), tuning, plan.to_document())
    recovery = recover(workload, asked)
    trained = recovery.model.cpu().eval()
    found = find_structure(workload.model, workload.evaluation.inputs)
    maker = MaskMaker(workload.model, found.targets, found.groups)
    masks = maker.masks(plan)
    for parameter, mask in masks.items():
        assert not bool((trained.get_parameter(parameter).detach()[~mask] != 0).any())
    moved = [n for n, p in trained.named_parameters() if not torch.equal(p, workload.model.get_parameter(n))]
    assert f"{path}.weight_hh_l0" in moved


@pytest.mark.parametrize("name", MODELS)
def test_a_smaller_model_trains_and_holds_its_numbers_in_a_state_dict(name):
    workload, path = workload_of(name), MODELS[name][3]
    found = find_structure(workload.model, workload.evaluation.inputs)
    maker, plan = MaskMaker(workload.model, found.targets, found.groups), SparsityPlan((Cut(path, "channel", 0.5),))
    inputs = workload.evaluation.inputs
    small = shrunk_by(workload.model, plan, found, maker, tuple(x[:2] for x in inputs))
    assert equal(workload.model, small, plan, maker, [inputs]).n == 24
    layer = small.get_submodule(path)
    assert type(layer) is type(workload.model.get_submodule(path))
    fresh = type(layer)(layer.input_size, layer.hidden_size, layer.num_layers, batch_first=True,
                        bidirectional=layer.bidirectional)  # fmt: skip
    fresh.load_state_dict(layer.state_dict())
    x = torch.randn(2, 3, layer.input_size)
    torch.testing.assert_close(fresh(x)[0], layer(x)[0])
    small.train()
    before = layer.weight_hh_l0.detach().clone()
    optimiser = torch.optim.SGD(small.parameters(), 0.5)
    small(*inputs).square().sum().backward()
    optimiser.step()
    assert not torch.equal(layer.weight_hh_l0, before)
