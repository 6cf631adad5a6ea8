"""Int8 graphs whose biases survive: a channel without weights gets a scale that its bias fits.

A quantizer holds a bias as whole numbers of input scale × weight scale. A channel whose weights are all zero has no
scale of its own; ONNX Runtime's gives it 1, so that its bias becomes a multiple of the input's scale, or nothing. Of a
channel whose weights are nearly zero it makes the bias so large a number that adding anything to it overflows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CODE = 2**20  # of the bias of a dead channel: half a unit is 5e-7 of it, and no engine's multiplier is too small
ACCUMULATOR = 2**31 - 1
INPUT = 255  # how far a quantized input lies from its zero point, at most
SMALLEST = 1e-30  # scale: below it a product of scales is no normal float32 any more, and the bias is nothing


@dataclass(frozen=True)
class Biased:
    """A layer of a graph with whole numbers for weight and bias.

    Attributes:
        input_scale: of the activation that it takes.
        bias: in floating point, before it was quantized: (n,).
        bias_name, scale_name: of the initializers that hold its codes and their scales.
    """

    input_scale: float
    bias: NDArray[np.float64]
    bias_name: str
    scale_name: str


def mend_biases(graph: Any, plain: Any) -> int:
    """Give channels without weights a scale that their biases fit, and room to those whose sums would overflow.

    Args:
        graph: of a file with QDQ nodes; changed. What has weights of int8 with float32 scales and zero point 0.
        plain: the graph that it was made of, for the biases as they were. Not modified.

    Returns:
        How many scales were changed.
    """
    from onnx import numpy_helper

    held = {one.name: one for one in graph.initializer}
    arrays = {name: numpy_helper.to_array(one) for name, one in held.items()}
    changed: dict[str, NDArray[Any]] = {}
    n = 0
    for (name, scale_name, axis), layers in _weights_with_biases(graph, plain, arrays).items():
        codes, scales, n_changed = fitting(arrays[name], arrays[scale_name], axis, layers)
        if not n_changed:
            continue
        n += n_changed
        changed |= {name: codes, scale_name: scales}
        for layer in layers:
            unit = np.float32(layer.input_scale) * scales.reshape(-1)
            exact = np.round(layer.bias / unit.astype(np.float64)).clip(-ACCUMULATOR, ACCUMULATOR)
            changed[layer.bias_name] = exact.astype(np.int32).reshape(arrays[layer.bias_name].shape)
            changed[layer.scale_name] = unit.astype(np.float32).reshape(arrays[layer.scale_name].shape)
    for name, array in changed.items():
        held[name].CopyFrom(numpy_helper.from_array(array, name))
    return n


def _weights_with_biases(
    graph: Any, plain: Any, arrays: Mapping[str, NDArray[Any]]
) -> dict[tuple[str, str, int], list[Biased]]:
    """Of each weight (codes, scales, axis) the layers that read it and add a bias in whole numbers."""
    from onnx import numpy_helper

    floats = {one.name: one for one in plain.initializer}
    nodes = {node.name: node for node in plain.node if node.name}
    dequantized = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    found: dict[tuple[str, str, int], list[Biased]] = {}
    for node in graph.node:
        read = [dequantized[name] for name in node.input[:3] if name in dequantized]
        before = nodes.get(node.name)
        if len(read) < 3 or before is None or before.input[2] not in floats or _weighs_its_bias(before):
            continue
        taken, weight, bias = read
        if not {*weight.input, *bias.input, taken.input[1]} <= set(arrays):
            continue
        codes, scales = arrays[weight.input[0]], arrays[weight.input[1]]
        whole = codes.dtype == np.int8 and arrays[bias.input[0]].dtype == np.int32 and scales.dtype == np.float32
        zero = all(not arrays[point].any() for point in weight.input[2:])
        values = numpy_helper.to_array(floats[before.input[2]]).astype(np.float64).reshape(-1)
        if not whole or not zero or arrays[taken.input[1]].size != 1 or scales.size not in (1, values.size):
            continue
        axis = next((one.i for one in weight.attribute if one.name == "axis"), 1) % max(codes.ndim, 1)
        one = Biased(float(arrays[taken.input[1]].item()), values, bias.input[0], bias.input[1])
        found.setdefault((weight.input[0], weight.input[1], axis), []).append(one)
    return found


def _weighs_its_bias(node: Any) -> bool:
    return any(one.name in ("alpha", "beta") and one.f != 1 for one in node.attribute)


def fitting(
    codes: NDArray[np.int8], scales: NDArray[np.float32], axis: int, layers: list[Biased]
) -> tuple[NDArray[np.int8], NDArray[np.float32], int]:
    """Codes and scales of one weight, whose biases can be held beside them.

    Args:
        codes: of the weight. Not modified.
        scales: of each slice along `axis`, or one of all. Not modified.
        axis: of the output channels.
        layers: that read this weight: more than one where it is tied.

    Returns:
        Codes, scales, and how many scales are others now.
    """
    rows = np.moveaxis(codes, axis, 0).reshape(codes.shape[axis] if scales.size > 1 else 1, -1).astype(np.int64)
    new = scales.reshape(-1).astype(np.float64)
    wanted = np.zeros_like(new)  # of each slice the largest bias, in units of the inputs that it is added to
    for layer in layers:
        of = np.abs(layer.bias) / layer.input_scale
        wanted = np.maximum(wanted, of if scales.size > 1 else of.max(initial=0.0))
    sums = INPUT * np.abs(rows).sum(1)
    room = np.maximum(ACCUMULATOR - sums, CODE)
    dead = (sums == 0) & (wanted > 0)
    crowded = ~dead & (wanted > new * room)
    new = np.where(dead, np.maximum(wanted / CODE, SMALLEST), new)
    new = np.where(crowded, wanted / (0.999 * room), new)
    changed = new.astype(np.float32) != scales.reshape(-1)
    ratio = np.where(changed, scales.reshape(-1).astype(np.float64) / new, 1.0)
    fitted = np.where(changed[:, None], np.round(rows * ratio[:, None]), rows).astype(np.int8)
    moved = np.moveaxis(codes, axis, 0).shape
    found = np.moveaxis(fitted.reshape(moved), 0, axis) if scales.size > 1 else fitted.reshape(codes.shape)
    return np.ascontiguousarray(found), new.astype(np.float32).reshape(scales.shape), int(changed.sum())
