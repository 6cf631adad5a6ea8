"""ONNX whose sparse weights are stored as a bitmask and the values that stay; the engine unpacks them as it loads.

The layout is that of `compressed-tensors`' sparse-bitmask: a bit per entry in row-major order, lowest bit first, and
behind it the entries whose bit is set. That library dropped its sparse compressors after 0.14, vLLM what read its 2:4
files (others it never did), so no engine loads them any more; 0.20 was looked at. Here each weight is unpacked by
operators that ONNX has had since opset 13. ONNX's own sparse initializers take an int64 position for each entry, 12
bytes of a float32 that stays. Runtimes fold constants before the first inference, so nothing runs slower.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from core.delivery.formats import onnx_graph
from core.delivery.formats.facts import FORMATS
from core.delivery.formats.subject import CannotHoldError, Subject

OVERHEAD = 1000  # bytes of the nodes that unpack one weight, about
SHARED = "bitmask."  # starts the names of constants that all weights share
_CONSTANTS: Mapping[str, Any] = MappingProxyType(
    {
        "powers": np.array([[1, 2, 4, 8, 16, 32, 64, 128]], np.int32),
        "two": np.array(2, np.int32),
        "column": np.array([-1, 1], np.int64),
        "row": np.array([-1], np.int64),
        "start": np.array([0], np.int64),
        "axis": np.array(0, np.int64),
    }
)


def write(subject: Subject, path: Path) -> None:
    """Write a model as ONNX and replace every weight that is smaller as a bitmask.

    Raises:
        CannotHoldError: as ONNX; or no weight has zeros enough to become smaller.
        SecateurError: the file cannot be written.
    """
    onnx_graph.write(subject, path)
    model = onnx.load(path)
    if not compress(model):
        path.unlink()
        raise CannotHoldError(
            "none of its weights has enough zeros to be smaller as a bitmask (more than 1 of 32 in float32); "
            "take the format onnx"
        )
    onnx.save(model, path)


def check(subject: Subject, path: Path) -> float:
    """As ONNX.

    Raises:
        CannotHoldError: it does not run, or gives other outputs.
    """
    return onnx_graph.check_graph(subject, path, FORMATS["compressed"].tolerance)


def compress(model: Any) -> int:
    """Replace a model's sparse initializers by nodes that make them; returns how many. Changes the model.

    An entry is a zero if all its bits are: what comes out has the same bits.
    """
    graph = model.graph
    outputs = {one.name for one in graph.output}
    kept, added = [], []
    for tensor in graph.initializer:
        nodes = None if tensor.name in outputs else _unpacking(tensor)
        if nodes is None:
            kept.append(tensor)
        else:
            added.append(nodes)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    if added:
        graph.initializer.extend(numpy_helper.from_array(array, SHARED + part) for part, array in _CONSTANTS.items())
    for constants, _ in added:
        graph.initializer.extend(constants)
    unpacking = [node for _, made in added for node in made]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*unpacking, *rest])
    return len(added)


def _unpacking(tensor: Any) -> tuple[list[Any], list[Any]] | None:
    """Constants and nodes that make a tensor, or `None` if they take no fewer bytes."""
    array = numpy_helper.to_array(tensor)
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.kind != "f" or not len(flat):
        return None
    stays = flat.view(f"u{flat.dtype.itemsize}") != 0
    values, bits = flat[stays], np.packbits(stays, bitorder="little")
    if values.nbytes + flat.dtype.itemsize + bits.nbytes + OVERHEAD >= flat.nbytes:
        return None
    own: dict[str, Any] = {
        "bits": bits,
        "values": np.concatenate([np.zeros(1, flat.dtype), values]),  # position 0: what was removed
        "end": np.array([len(flat)], np.int64),
        "shape": np.array(array.shape, np.int64),
    }
    name = tensor.name
    constants = [numpy_helper.from_array(array, f"{name}.{part}") for part, array in own.items()]
    steps: Iterable[tuple[str, tuple[str, ...], str, dict[str, Any]]] = (
        ("Cast", ("bits",), "bytes", {"to": TensorProto.INT32}),
        ("Reshape", ("bytes", "column"), "rows", {}),
        ("Div", ("rows", "powers"), "shifted", {}),
        ("Mod", ("shifted", "two"), "mask", {}),
        ("Reshape", ("mask", "row"), "line", {}),
        ("Slice", ("line", "start", "end"), "cut", {}),
        ("CumSum", ("cut", "axis"), "count", {}),
        ("Mul", ("cut", "count"), "position", {}),
        ("Gather", ("values", "position"), "flat", {"axis": 0}),
        ("Reshape", ("flat", "shape"), "", {}),
    )
    nodes = [
        helper.make_node(
            kind,
            [SHARED + part if part in _CONSTANTS else f"{name}.{part}" for part in inputs],
            [f"{name}.{made}" if made else name],
            **extra,
        )
        for kind, inputs, made, extra in steps
    ]
    return constants, nodes
