"""Weights of a file in a user's own model: all of them, and shared ones once."""

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

from core.errors import SecateurError
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
