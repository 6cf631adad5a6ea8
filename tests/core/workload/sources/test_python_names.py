"""Weights of a file in a user's own model: all of them, and shared ones once."""

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

from core.errors import SecateurError
from core.workload.loading import load_workload
from core.workload.sources.python_names import load_weights

pytestmark = pytest.mark.model


class Tied(nn.Module):
    """Whose words and head are one tensor."""

    def __init__(self):
        super().__init__()
        self.words, self.middle, self.head = nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 9, bias=False)
        self.head.weight = self.words.weight


def test_a_tensor_with_two_names_stands_in_the_file_once(tmp_path):
    trained, model = Tied(), Tied()
    save_model(trained, str(tmp_path / "w.safetensors"))
    load_weights(model, str(tmp_path / "w.safetensors"))
    assert model.head.weight is model.words.weight
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, trained.state_dict()[name])


@pytest.mark.parametrize("left_out", [("middle.weight",), ("words.weight", "head.weight")])
def test_what_is_missing_is_named(left_out, tmp_path):
    state = {name: x.clone() for name, x in Tied().state_dict().items() if name not in left_out}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(SecateurError, match=f"{min(left_out)} is missing in the file"):
        load_weights(Tied(), str(tmp_path / "w.safetensors"))


LIGHTNING = """
import torch
from torch import nn
from torch.utils.data import DataLoader

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
    def forward(self, x):
        return self.fc(x)

class Data:
    def setup(self, stage):
        g = torch.Generator().manual_seed(0)
        self.x, self.y = torch.randn(10, 3, generator=g), torch.arange(10) % 2
    def test_dataloader(self):
        return DataLoader(list(zip(self.x, self.y)), batch_size=4, shuffle=SHUFFLE)
"""


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_module_and_its_data_module(shuffle, tmp_path, monkeypatch):
    name = f"own_project_{int(shuffle)}"
    (tmp_path / f"{name}.py").write_text(LIGHTNING.replace("SHUFFLE", str(shuffle)))
    trained = nn.Linear(3, 2)
    save_file({f"fc.{key}": x for key, x in trained.state_dict().items()}, tmp_path / "w.safetensors")
    options = {"data": f"{name}:Data", "weights": str(tmp_path / "w.safetensors"), "root": str(tmp_path)}
    if shuffle:
        with pytest.raises(SecateurError, match="shuffle"):
            load_workload(f"lightning:{name}:Model", **options)
        return
    workload = load_workload(f"lightning:{name}:Model", **options)
    x = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(workload.evaluation.inputs[0], x)
    assert workload.evaluation.labels.tolist() == [0, 1] * 5
    with torch.no_grad():
        assert torch.equal(workload.model(x), trained(x))
    assert workload.metric.scale.name == "accuracy"
