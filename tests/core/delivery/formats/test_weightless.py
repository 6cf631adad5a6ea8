"""Channels without weight but with a bias are counted, and told where they matter."""

import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from core import Cut, SparsityPlan, export, prune
from core.delivery.bundle_words import weightless_lines
from core.delivery.formats.weightless import weightless
from core.delivery.manifest import CARD, MANIFEST

pytestmark = pytest.mark.model


def test_a_bias_counts_and_a_channel_without_one_does_not():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    with torch.no_grad():
        model[0].weight[:3] = 0
        model[0].bias[:3] = torch.tensor([0.4, 0.0, -1.0])
    assert weightless(model, (torch.zeros(2, 4),)) == {"0": 2}


def test_the_shift_of_a_batch_norm_is_a_bias():
    model = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3)).eval()
    with torch.no_grad():
        model[0].weight[:2] = 0
        model[1].bias[1] = 0.3
    assert weightless(model, (torch.zeros(2, 1, 4, 4),)) == {"0": 1}


def test_a_transposed_convolution_gives_along_its_second_dimension():
    model = nn.Sequential(nn.ConvTranspose2d(3, 2, 2)).eval()
    with torch.no_grad():
        model[0].weight[:, 1] = 0
        model[0].bias.fill_(0.5)
    assert weightless(model, (torch.zeros(2, 3, 4, 4),)) == {"0": 1}


def test_a_dense_model_is_not_run_and_has_none():
    class Never(nn.Linear):
        def forward(self, x):
            raise AssertionError

    assert weightless(Never(3, 3), ()) == {}


def test_what_is_told_names_the_layers_and_the_mend():
    (line,) = weightless_lines({"weightless": {"stem": 1, "a": 2, "b": 3, "c": 1}})
    assert line.startswith("7 channels have no weight but a bias (stem 1, a 2, b 3 and 1 more layers)")
    assert "--form shrunk" in line
    assert weightless_lines({"weightless": {"stem": 1}})[0].startswith("1 channel has no weight")
    assert weightless_lines({}) == []


@pytest.mark.process
def test_a_bundle_tells_it_in_manifest_and_card(tmp_path, net_text):
    """One layer loses nearly all its weights: most of its rows are empty, its biases stay."""
    (tmp_path / "net.py").write_text(net_text)
    result = prune(str(tmp_path / "net.py"), SparsityPlan((Cut("fc1", "weight", 0.95),)))
    export(result, tmp_path / "out")
    layer = load_file(tmp_path / "out" / "model.safetensors")
    n = int(((layer["fc1.weight"] == 0).all(1) & (layer["fc1.bias"] != 0)).sum())
    assert json.loads((tmp_path / "out" / MANIFEST).read_text())["weightless"] == {"fc1": n}
    assert "no weight but a bias (fc1" in (tmp_path / "out" / CARD).read_text()
