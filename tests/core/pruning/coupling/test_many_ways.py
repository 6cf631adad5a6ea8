"""What becomes of channels is asked of a part of the model first, and told as if all of it had been asked."""

import pytest
import torch
from torch import nn

from core.pruning.coupling.ways import MANY, way_of, ways_of

WIDTH, passes = 8, []


class Attention(nn.Module):
    """The projection's channels end in it; those of `out` reach the model's outputs."""

    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        return x + self.out(torch.softmax(q @ k.transpose(-1, -2), -1) @ v)


class Deep(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.blocks = nn.ModuleList(nn.ModuleDict({"attention": Attention()}) for _ in range(n))
        self.first = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        passes.append(1)
        x = self.first(x)
        for block in self.blocks:
            x = block["attention"](x)
        return x


def asked_of(n, layer):
    return {f"{layer} {i}": [f"blocks.{i}.attention.{layer}"] for i in range(n)}


@pytest.mark.parametrize("n", [1, MANY - 1, MANY, 2 * MANY])
def test_many_are_told_as_each_alone(n):
    torch.manual_seed(0)
    model, inputs = Deep(n).eval(), (torch.randn(2, 3, WIDTH),)
    asked = asked_of(n, "qkv") | asked_of(n, "out") | {"both": ["blocks.0.attention.qkv", "first"]}
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = ways_of(model, inputs, asked)
    assert found == {name: way_of(model, inputs, makers) for name, makers in asked.items()}
    assert list(found) == list(asked)
    assert found["qkv 0"].calls == ["a chunk", "a product of matrices", "a softmax"]
    assert (found["qkv 0"].is_output, found["out 0"].is_output) == (False, True)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(parameter.grad_fn for parameter in model.parameters())


def test_twice_as_many_layers_are_followed_in_as_many_passes_of_the_model():
    inputs, taken = (torch.randn(2, 3, WIDTH),), []
    for n in (MANY, 2 * MANY, 4 * MANY):
        passes.clear()
        ways_of(Deep(n).eval(), inputs, asked_of(n, "qkv"))
        taken.append(len(passes))
    assert taken == [2, 2, 2]  # to see who is called once, and with what


def test_a_model_that_cannot_be_run_is_no_way():
    asked = asked_of(MANY, "qkv")
    assert ways_of(Deep(MANY), (torch.randn(2, 3, 1),), asked) == dict.fromkeys(asked)
