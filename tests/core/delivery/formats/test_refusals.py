"""What a format cannot hold is refused in one line with the cause and the mend: no colours, no path of a draft."""

import re
import warnings

import pytest
import torch
from torch import nn

from core.delivery.formats import onnx_graph, pt2_program
from core.delivery.formats.subject import CannotHoldError, Subject
from core.engines.engine import reason_of
from core.workload.discovery import find_targets

X = torch.randn(12, 8)


class Choice(nn.Module):
    """Chooses by a value."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x):
        if self.layer(x).sum() > 0:
            return self.layer(x)
        return -self.layer(x)


class Eigenvalues(nn.Module):
    """Uses an operation that ONNX has not."""

    def forward(self, x):
        return torch.linalg.eigvals(x.view(-1, 8, 1) @ x.view(-1, 1, 8)).abs()


class Mixture(nn.Module):
    """Each row goes to one of three experts."""

    def __init__(self):
        super().__init__()
        self.gate, self.experts = nn.Linear(8, 3), nn.ModuleList(nn.Linear(8, 8) for _ in range(3))

    def forward(self, x):
        chosen, out = self.gate(x).argmax(1), torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            rows = torch.where(chosen == i)[0]
            out[rows] = expert(x[rows])
        return out


class Fixed(nn.Module):
    """Works with one size of a batch only."""

    def __init__(self):
        super().__init__()
        self.layer, self.places = nn.Linear(8, 8), nn.Parameter(torch.zeros(12, 8))

    def forward(self, x):
        return self.layer(x) + self.places


def quantized():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(8, 8), nn.ReLU()), {nn.Linear})


CASES = [
    (onnx_graph, Choice, r"chooses by values \(at test_refusals.py:\d+: if self.layer.*torch.where"),
    (pt2_program, Choice, r"chooses by values \(at test_refusals.py:\d+: if self.layer.*torch.where"),
    (onnx_graph, Eigenvalues, r"as ONNX: \w+: \w+"),
    (onnx_graph, Fixed, "size of tensor a"),
    (pt2_program, Fixed, "size of tensor a"),
    (pt2_program, Mixture, "read safely: it says .*take the format onnx"),
    (onnx_graph, quantized, r"0 \(Linear\) is quantized already.*--format onnx-int8"),
    (pt2_program, quantized, r"0 \(Linear\) is quantized already.*--format onnx-int8"),
]


@pytest.mark.parametrize(("of", "make", "said"), CASES, ids=lambda one: getattr(one, "__name__", None))
def test_a_refusal_is_one_line_with_the_cause(of, make, said, tmp_path):
    torch.manual_seed(0)
    with pytest.raises(CannotHoldError) as refusal:
        of.write(Subject(make().eval(), ((X,), (X[:3],))), tmp_path / "model")
    text = str(refusal.value)
    assert re.search(said, text), text
    assert "\n" not in text
    assert "\x1b" not in text
    assert str(tmp_path) not in text
    assert "Next steps" not in text


class Projected(nn.Module):
    """Of examples that each are a sequence."""

    def __init__(self, n_layers):
        super().__init__()
        self.rnn = nn.LSTM(1, 6, n_layers, batch_first=True, proj_size=3)

    def forward(self, x):
        return self.rnn(x.unsqueeze(2))[0][:, -1]


@pytest.mark.process
@pytest.mark.parametrize("n_layers", [1, 2])
def test_a_projected_lstm_as_onnx_is_no_fault_of_the_number_of_examples(n_layers, tmp_path):
    subject = Subject(Projected(n_layers).eval(), ((X,), (X[:3],)))
    onnx_graph.write(subject, tmp_path / "model.onnx")
    with pytest.raises(
        CannotHoldError, match="rnn is an LSTM with proj_size, which torch's exporter writes as a graph"
    ):
        onnx_graph.check(subject, tmp_path / "model.onnx")


def test_a_reason_has_no_colours_and_is_not_how_to_report_it():
    error = RuntimeError("Failed to export. \x1b[96mThis is step 1/3\x1b[0m. Next steps:\n- report it\n")
    error.__cause__ = ValueError("\x1b[31mno such thing\x1b[0m\nmore")
    assert reason_of(error) == "ValueError: no such thing"


def test_complex_weights_and_quantized_layers_are_named_with_true_words():
    model = nn.Module()
    model.spectrum = nn.Linear(4, 4, bias=False, dtype=torch.complex64)
    model.small = quantized()
    model.codes = nn.Linear(2, 2, bias=False)
    model.codes.weight = nn.Parameter(torch.ones(2, 2, dtype=torch.int8), requires_grad=False)
    targets, uncuttable = find_targets(model)
    assert targets == ()
    said = {one.name: one.reason for one in uncuttable}
    assert "complex64" in said["spectrum.weight"]
    assert "quantiz" not in said["spectrum.weight"]
    assert "quantized already" in said["small.0"]
    assert "prune before quantizing" in said["codes.weight"]
    assert set(said) == {"spectrum.weight", "small.0", "codes.weight"}
