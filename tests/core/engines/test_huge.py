"""What masks pass through stays in float32, so that static int8 does not spend its steps on what is nothing anyway."""

import onnx
import pytest
import torch
from torch import nn

from core.engines import onnx_int8
from core.engines.huge import huge_nodes
from core.engines.onnx_int8 import onnx_forward, write_quantized_onnx
from core.engines.onnx_writer import write_onnx
from core.workload.examples import Examples

pytestmark = pytest.mark.model
LENGTH, WIDTH = 6, 8


class Causal(nn.Module):
    """One attention of one head that sees what came before, as torch writes it."""

    def __init__(self, least):
        super().__init__()
        torch.manual_seed(0)
        self.query, self.key = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.head, self.least = nn.Linear(WIDTH, 4), least

    def forward(self, x):
        scores = self.query(x) @ self.key(x).transpose(1, 2)
        later = torch.ones(LENGTH, LENGTH).triu(1) * self.least
        return self.head((scores + later).softmax(-1) @ x)


def quantized(model, x, path):
    calibration = Examples((torch.randn(32, LENGTH, WIDTH),), torch.zeros(32, dtype=torch.long))
    write_quantized_onnx(model, (x[:2],), path, "static", calibration)
    with torch.no_grad():
        expected = model(x)
    return (onnx_forward(path, model, (x,))(x) - expected).abs().max().item() / expected.abs().max().item()


def test_a_causal_mask_does_not_cost_static_int8_all_its_steps(tmp_path, monkeypatch):
    model, x = Causal(torch.finfo(torch.float32).min).eval(), torch.randn(4, LENGTH, WIDTH)
    assert quantized(model, x, tmp_path / "kept.onnx") < 0.1
    monkeypatch.setattr(onnx_int8, "huge_nodes", lambda graph, feeds: [])
    assert quantized(model, x, tmp_path / "lost.onnx") > 0.1  # as ONNX Runtime's quantizer has it


def test_only_nodes_at_the_mask_are_named_and_without_a_mask_none(tmp_path):
    x = torch.randn(2, LENGTH, WIDTH)
    for least, wanted in ((torch.finfo(torch.float32).min, {"Add", "Softmax"}), (-3.0, set())):
        path = tmp_path / f"{least}.onnx"
        write_onnx(Causal(least).eval(), (x,), path)
        graph = onnx.load(str(path))
        before = graph.SerializeToString()
        named = huge_nodes(graph, {graph.graph.input[0].name: x.numpy()})
        found = {node.op_type for node in graph.graph.node if node.name in named}
        assert wanted <= found
        assert not found & {"MatMul", "Gemm", "Transpose"}
        assert bool(found) == bool(wanted)
        assert graph.SerializeToString() == before
