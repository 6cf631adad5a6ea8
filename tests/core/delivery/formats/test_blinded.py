"""Nothing in a model's outputs may blind the comparison of a written file with the model in memory."""

import pytest
import torch
from torch import nn

from core.delivery.formats import onnx_graph, pt2_program
from core.delivery.formats.fresh import compared_outputs
from core.delivery.formats.subject import CannotHoldError, Subject

X = torch.randn(12, 8, generator=torch.Generator().manual_seed(0))
SHOWN = {
    "a mask of -1e9": lambda z, x: z.masked_fill(x[:, :5] > 0.3, -1e9),
    "the smallest number": lambda z, x: z.masked_fill(x[:, :5] > 0.3, torch.finfo(torch.float32).min),
    "pixels beside a score": lambda z, x: torch.cat([1e4 * x[:, :2], z], 1),
    "two outputs": lambda z, x: (1e6 * x, z),
}


class Net(nn.Module):
    """Five logits, and what `show` makes of them."""

    def __init__(self, show, by=0.0):
        super().__init__()
        self.a, self.b, self.show, self.by = nn.Linear(8, 32), nn.Linear(32, 5), show, by
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))

    def forward(self, x):
        return self.show(self.b(torch.relu(self.a(x))) + self.by, x)


def subject(show, by=0.0):
    return Subject(Net(show, by).eval(), ((X,), (X[:3],)))


@pytest.mark.parametrize("shown", SHOWN)
def test_logits_that_differ_are_seen_beside_whatever_is_huge(shown):
    ours, theirs = subject(SHOWN[shown]), subject(SHOWN[shown], 0.01)
    with pytest.raises(CannotHoldError, match="outputs up to"):
        compared_outputs("model.onnx", ours.outputs(), theirs.outputs(), 1e-4, ours.terms)


@pytest.mark.parametrize("shown", SHOWN)
def test_what_only_rounds_otherwise_is_the_same(shown):
    ours = subject(SHOWN[shown])
    with torch.inference_mode():
        exact = [Subject(ours.model, ours.batches).model.double()(batch[0].double()) for batch in ours.batches]
    ours = subject(SHOWN[shown])
    as_floats = [[x.float() for x in (out if isinstance(out, tuple) else (out,))] for out in exact]
    assert compared_outputs("model.onnx", ours.outputs(), as_floats, 1e-4, ours.terms) <= 1e-5


@pytest.mark.process
@pytest.mark.parametrize("of", [onnx_graph, pt2_program])
def test_a_file_of_another_model_is_refused_beside_a_mask(of, tmp_path):
    show = SHOWN["a mask of -1e9"]
    path = tmp_path / "model"
    of.write(subject(show, 0.01), path)
    assert of.check(subject(show, 0.01), path) <= 1e-5
    with pytest.raises(CannotHoldError, match="outputs up to"):
        of.check(subject(show), path)
