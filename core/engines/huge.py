"""Nodes that masks pass through: a number put there to be nothing after a softmax must not choose the steps of int8.

An attention that adds −3.4e38 at illegal places has scores whose range is all mask: in 256 steps of that all others are
the same, and ONNX Runtime's static quantizer makes just that of it. Such nodes stay in float32.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from core.offline import onnxruntime
from core.pruning.equality import HUGE


def huge_nodes(graph: Any, feeds: dict[str, Any]) -> list[str]:
    """Names of nodes that read or write a number beyond `HUGE`, or an infinite one.

    Args:
        graph: an ONNX model of float32, whose nodes have names; not modified.
        feeds: inputs of few examples.
    """
    import onnx

    constants = {one.name: onnx.numpy_helper.to_array(one) for one in graph.graph.initializer}
    if not any(map(_is_huge, (*constants.values(), *_of_nodes(graph)))):
        return []  # none can come of others in a sound model, and looking takes a pass
    told = onnx.ModelProto()
    told.CopyFrom(graph)
    del told.graph.output[:]
    names = [name for node in graph.graph.node for name in node.output if name]
    told.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    runtime = onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(told.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = dict(zip(names, session.run(names, feeds), strict=True))
    huge = {name for name, value in (*constants.items(), *found.items()) if _is_huge(value)}
    return [node.name for node in graph.graph.node if huge.intersection((*node.input, *node.output))]


def _of_nodes(graph: Any) -> Iterator[Any]:
    """Constants that are attributes of nodes."""
    import onnx

    for node in graph.graph.node:
        for one in node.attribute:
            if one.type == onnx.AttributeProto.TENSOR:
                yield onnx.numpy_helper.to_array(one.t)
            elif one.type == onnx.AttributeProto.FLOAT:
                yield np.float32(one.f)


def _is_huge(value: Any) -> bool:
    numbers = np.asarray(value)
    return numbers.dtype.kind == "f" and bool((~(np.abs(numbers) <= HUGE)).any())  # a NaN is no size either
