"""ExecuTorch with XNNPACK, in its own process; it writes from an exported program."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def write(job: dict[str, Any], inputs: Sequence[Any]) -> list[str]:
    """A `.pte` file, whose parts go to XNNPACK as far as it takes them; int8 with ranges of the calibration batches."""
    import numpy as np
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    program = torch.export.load(job["source"])
    batch = tuple(torch.from_numpy(x) for x in inputs)
    if job["precision"] == "int8":
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
        prepared = prepare_pt2e(program.module(), _of_floats(quantizer))
        with torch.no_grad():
            for names in job["calibration"]:
                prepared(*(torch.from_numpy(np.lib.format.open_memmap(name, mode="c")) for name in names))
        program = torch.export.export(convert_pt2e(prepared), batch)
    made = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    file = Path(job["folder"], "model.pte")
    file.write_bytes(made.buffer)
    return [str(file)]


def _of_floats(quantizer: Any) -> Any:
    """The quantizer, which leaves whole numbers alone: as it is (1.5.1) it makes floats of sums that are indices."""
    import torch

    transform, annotate = quantizer.transform_for_annotation, quantizer.annotate

    def whole(model: Any) -> list[Any]:
        held = [(node, node.meta.get("val")) for node in model.graph.nodes]
        return [node for node, value in held if isinstance(value, torch.Tensor) and not value.is_floating_point()]

    def transformed(model: Any) -> Any:
        before = [(node, node.args) for node in whole(model)]
        model = transform(model)
        for node, args in before:
            node.args = args
        model.recompile()
        return model

    def annotated(model: Any) -> Any:
        model = annotate(model)
        for node in whole(model):
            node.meta.pop("quantization_annotation", None)
        return model

    quantizer.transform_for_annotation, quantizer.annotate = transformed, annotated
    return quantizer


def load(file: str, inputs: Sequence[Any], threads: int) -> Callable[[], Sequence[Any]]:
    """A pass of the file."""
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    portable_lib._unsafe_reset_threadpool(threads)  # the only way there is; nothing runs yet
    method = Runtime.get().load_program(file).load_method("forward")
    batch = [torch.from_numpy(x) for x in inputs]
    return lambda: method.execute(batch)
