"""A program takes inputs of other lengths where the model does, and what it takes is said."""

import pytest
import torch
from torch import nn

from core.delivery import bundle_words
from core.delivery.formats.registry import write_formats
from core.delivery.formats.subject import Subject
from core.offline import onnxruntime


class Texts(nn.Module):
    """Any length."""

    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Embedding(20, 6), nn.Linear(6, 3)

    def forward(self, ids, mask):
        return self.out((self.embed(ids) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))


class Images(nn.Module):
    """Any size of image, three channels."""

    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 2)

    def forward(self, x):
        return self.out(torch.relu(self.conv(x)).mean((2, 3)))


class Rows(nn.Module):
    """Eight features and no other number."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(8, 2)

    def forward(self, x):
        return self.out(x)


def ids(n, length):
    return torch.arange(n * length).reshape(n, length) % 20


CASES = {
    "texts": (Texts, (ids(6, 9), torch.ones(6, 9)), (ids(2, 5), torch.ones(2, 5)), [[None, None], [None, None]]),
    "images": (Images, (torch.randn(6, 3, 8, 8),), (torch.randn(2, 3, 11, 11),), [[None, 3, None, None]]),
    "rows": (Rows, (torch.randn(6, 8),), (torch.randn(2, 8),), [[None, 8]]),
}


def made(name):
    torch.manual_seed(0)
    make, inputs, others, shapes = CASES[name]
    return Subject(make().eval(), (inputs, tuple(x[:3] for x in inputs))), others, shapes


@pytest.mark.process
@pytest.mark.parametrize("name", CASES)
def test_a_program_takes_what_the_model_takes(name, tmp_path):
    subject, others, shapes = made(name)
    written, refused = write_formats(subject, ("pt2", "onnx"), tmp_path)
    assert refused == {}
    assert written["pt2"]["inputs"] == written["onnx"]["inputs"] == shapes
    with torch.no_grad():
        right = subject.model(*others)
        again = torch.export.load(tmp_path / "model.pt2").module()(*others)
    session = onnxruntime().InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    given = {one.name: x.numpy() for one, x in zip(session.get_inputs(), others, strict=True)}
    torch.testing.assert_close(again, right)
    torch.testing.assert_close(torch.from_numpy(session.run(None, given)[0]), right)


@pytest.mark.process
def test_only_the_batch_is_free_if_one_asks_for_that(tmp_path):
    subject = made("texts")[0]
    written, _ = write_formats(subject, ("onnx",), tmp_path, batch_only=True)
    assert written["onnx"]["inputs"] == [[None, 9], [None, 9]]
    session = onnxruntime().InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert [one.shape[1] for one in session.get_inputs()] == [9, 9]
    (line,) = bundle_words.shape_lines({"formats": written})
    assert (
        line == "model.onnx takes inputs of any number of examples × 9, any number of examples × 9; numbers are fixed"
    )


def test_what_is_free_is_found_by_running_the_model():
    assert made("texts")[0].freed().free == ((1,), (1,))
    assert made("images")[0].freed().free == ((2, 3),)
    assert made("rows")[0].freed() is None
