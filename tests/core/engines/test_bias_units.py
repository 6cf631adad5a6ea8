"""A bias survives static int8, whatever is left of the weights beside it: read from the file, by hand."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from core import Examples
from core.engines.bias_units import ACCUMULATOR, Biased, fitting
from core.engines.onnx_int8 import onnx_forward, write_quantized_onnx

pytestmark = pytest.mark.model
ROWS = [1, 3]


def held_biases(path):
    """Of each layer what its whole numbers stand for, in units of input scale × weight scale as engines count them."""
    graph = onnx.load(path).graph
    held = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    made = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    found = []
    for node in graph.node:
        read = [made[name] for name in node.input if name in made]
        if node.op_type in ("Conv", "ConvTranspose", "Gemm") and len(read) == 3:
            taken, weight, bias = read
            unit = held[taken.input[1]].astype(np.float64) * held[weight.input[1]]
            np.testing.assert_allclose(held[bias.input[1]], unit, rtol=1e-6)
            found.append(held[bias.input[0]] * unit)
    return found


def emptied(layer, value=0.0, axis=0):
    with torch.no_grad():
        layer.weight.index_fill_(axis, torch.tensor(ROWS), value)
        layer.bias[ROWS] = torch.tensor([0.4, -0.7])
    return layer


def tied():
    first, second = emptied(nn.Linear(8, 8)), emptied(nn.Linear(8, 8))
    second.weight = first.weight
    return nn.Sequential(first, nn.ReLU(), second)


KINDS = {
    "linear": (lambda: emptied(nn.Linear(8, 8)), (8,)),
    "convolution": (lambda: emptied(nn.Conv2d(4, 8, 3)), (4, 6, 6)),
    "convolution of one dimension": (lambda: emptied(nn.Conv1d(4, 8, 3)), (4, 9)),
    "depthwise": (lambda: emptied(nn.Conv2d(8, 8, 3, groups=8)), (8, 6, 6)),
    "groups": (lambda: emptied(nn.Conv2d(8, 8, 3, groups=2)), (8, 6, 6)),
    "transposed": (lambda: emptied(nn.ConvTranspose2d(4, 8, 3), axis=1), (4, 6, 6)),
    "tied": (tied, (8,)),
    "nearly zero": (lambda: emptied(nn.Linear(8, 8), 1e-30), (8,)),
    "below what a float holds": (lambda: emptied(nn.Conv2d(4, 8, 3), 1e-41), (4, 6, 6)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_bias_of_a_channel_without_weights_is_held(kind, tmp_path):
    torch.manual_seed(0)
    make, shape = KINDS[kind]
    model, x = make().eval(), 200 * torch.rand(32, *shape)  # a unit of the input is larger than the bias
    path = tmp_path / "model.onnx"
    write_quantized_onnx(model, (x[:2],), path, "static", Examples((x,), torch.zeros(32, dtype=torch.long)))
    biases = held_biases(path)
    assert len(biases) == (2 if kind == "tied" else 1)
    for bias in biases:
        np.testing.assert_allclose(bias[ROWS], [0.4, -0.7], rtol=1e-4)


def test_a_batch_norm_behind_an_empty_channel_is_its_bias(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4)).eval()
    with torch.no_grad():
        model[0].weight[1] = 0
        model[1].bias.uniform_(0.2, 1)
        model[1].running_mean.uniform_(-1, 1)
    norm = model[1]
    expected = norm.bias[1] - norm.running_mean[1] * norm.weight[1] / (norm.running_var[1] + norm.eps).sqrt()
    x = 300 * torch.rand(32, 2, 5, 5)
    path = tmp_path / "model.onnx"
    write_quantized_onnx(model, (x[:2],), path, "static", Examples((x,), torch.zeros(32, dtype=torch.long)))
    (bias,) = held_biases(path)
    assert bias[1] == pytest.approx(expected.item(), rel=1e-5)


def test_a_sum_of_small_weights_and_a_large_bias_does_not_overflow(tmp_path):
    """ONNX Runtime leaves no room above the bias: 0.7 and a little came out as -0.74."""
    torch.manual_seed(1)
    layer = nn.Conv2d(4, 8, 3).eval()
    with torch.no_grad():
        layer.weight[1], layer.bias[1] = 6.2e-7, 0.7
    x = 10 * torch.rand(32, 4, 6, 6)
    path = tmp_path / "model.onnx"
    write_quantized_onnx(layer, (x[:2],), path, "static", Examples((x,), torch.zeros(32, dtype=torch.long)))
    with torch.no_grad():
        expected = layer(x)
    step = (expected.max() - expected.min()).item() / 255
    assert (onnx_forward(path, layer, (x[:2],))(x) - expected)[:, 1].abs().max() < step


def test_one_scale_of_a_whole_tensor_and_room_by_hand():
    codes, scales = np.zeros((2, 3), np.int8), np.array(1, np.float32)
    layer = Biased(0.5, np.array([0.25, -1.0]), "bias", "scale")
    _, found, n = fitting(codes, scales, 0, [layer])
    assert (float(found), n) == (2 / 2**20, 1)  # the largest bias is 2 units of the input
    codes = np.full((1, 3), 127, np.int8)
    after, found, n = fitting(codes, np.array([1e-10], np.float32), 0, [Biased(1.0, np.array([0.4]), "bias", "scale")])
    assert n == 1
    assert 0.4 / float(found[0]) + 255 * np.abs(after.astype(int)).sum() <= ACCUMULATOR


def test_what_has_weights_enough_is_left_as_it_is():
    codes, scales = np.array([[1, -127], [127, 0]], np.int8), np.array([0.01, 0.02], np.float32)
    after, found, n = fitting(codes, scales, 0, [Biased(0.1, np.array([3.0, -2.0]), "bias", "scale")])
    assert n == 0
    assert (after == codes).all()
    assert (found == scales).all()
