"""Hooks of torch.nn.utils.prune: folded where it is clear what the weight is, else refused with the mend."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from core import SecateurError, load_workload
from core.workload.layers.held_by_hooks import fold_masks, why_held

pytestmark = pytest.mark.model


class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 8, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0]


def linear():
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    return model, [(model[0], "weight"), (model[0], "bias"), (model[2], "weight")]


def convolution():
    model = nn.Sequential(nn.Unflatten(-1, (2, 4)), nn.Flatten(0, 1), nn.Conv1d(2, 4, 3))
    return model, [(model[2], "weight")]


def attention():
    model = Attends()
    return model, [(model.attention.out_proj, "weight"), (model.attention, "in_proj_weight")]


def recurrent():
    model = Recurrent()
    return model, [(model.lstm, "weight_hh_l0")]


@pytest.mark.parametrize("make", [linear, convolution, attention, recurrent])
def test_folding_gives_the_same_bits_without_hooks(make):
    torch.manual_seed(0)
    model, tensors = make()
    for module, name in tensors:
        prune.random_unstructured(module, name, 0.5)
    x = torch.randn(3, 5, 8)
    with torch.no_grad():
        before = model.eval()(x)
    expected = [getattr(module, f"{name}_orig").detach() * getattr(module, f"{name}_mask") for module, name in tensors]
    assert len(fold_masks(model)) == len(tensors)
    assert why_held(model) is None
    for (module, name), product in zip(tensors, expected, strict=True):
        assert isinstance(getattr(module, name), nn.Parameter)
        assert torch.equal(getattr(module, name), product)
    assert not [name for name in model.state_dict() if name.endswith(("_orig", "_mask"))]
    with torch.no_grad():
        assert torch.equal(copy.deepcopy(model)(x), before)


def test_several_masks_on_one_weight_are_one_product():
    layer = nn.Linear(8, 8)
    prune.l1_unstructured(layer, "weight", 0.25)
    prune.ln_structured(layer, "weight", 0.5, 2, 0)
    product = (layer.weight_orig * layer.weight_mask).detach()
    assert fold_masks(nn.Sequential(layer)) == ["0.weight"]
    assert torch.equal(layer.weight, product)


def test_a_stale_output_projection_is_refused():
    """What it computes with is the weight of before; what `remove` leaves is another."""
    model = Attends()
    prune.l1_unstructured(model.attention.out_proj, "weight", 0.5)
    with torch.no_grad():
        model.attention.out_proj.weight_orig.mul_(2)
        model(torch.randn(2, 5, 8))
    assert fold_masks(model) == []
    assert "prune.remove(attention.out_proj, 'weight')" in why_held(model)
    prune.remove(model.attention.out_proj, "weight")
    assert why_held(model) is None


def test_a_tied_weight_of_which_one_is_masked_is_refused_and_nothing_is_folded():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8))
    model[1].weight = model[0].weight
    prune.l1_unstructured(model[2], "weight", 0.5)
    prune.l1_unstructured(model[0], "weight", 0.5)
    assert fold_masks(model) == []
    assert "shares its weight_orig" in why_held(model)
    assert hasattr(model[2], "weight_mask")


def test_a_layer_that_is_called_twice_is_not_tied_to_itself():
    layer = nn.Linear(8, 8)
    prune.l1_unstructured(layer, "weight", 0.5)
    assert fold_masks(nn.Sequential(layer, nn.ReLU(), layer)) == ["0.weight"]


FILE = """
import torch
from torch import nn
from torch.nn.utils import prune
from core import Examples, Workload, accuracy

def workload():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    prune.l1_unstructured(model[0], "weight", 0.5)
    {more}
    return Workload("own", model, Examples(torch.randn(12, 4), torch.arange(12) % 2), accuracy())
"""


def test_a_file_whose_model_has_hooks_is_loaded_folded_and_says_so(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(FILE.format(more=""))
    workload = load_workload(path)
    assert (workload.model[0].weight == 0).sum() == 16
    assert any("folded into 0.weight" in note for note in workload.notes)
    copy.deepcopy(workload.model)


def test_a_file_whose_weight_is_unclear_is_refused_with_the_mend(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(FILE.format(more="model[0].weight_orig.data.mul_(2)"))
    with pytest.raises(SecateurError, match=r"prune\.remove\(0, 'weight'\)"):
        load_workload(path)


def test_a_model_of_the_caller_is_left_as_it_is_and_refused():
    from core import Examples, Workload, accuracy

    model = nn.Sequential(nn.Linear(4, 2))
    prune.l1_unstructured(model[0], "weight", 0.5)
    workload = Workload("own", model, Examples(torch.randn(12, 4), torch.arange(12) % 2), accuracy())
    with pytest.raises(SecateurError, match=r"prune\.remove\(0, 'weight'\)"):
        workload.check()
    assert hasattr(model[0], "weight_mask")
