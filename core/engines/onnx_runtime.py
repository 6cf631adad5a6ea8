"""ONNX Runtime on the CPU."""

from pathlib import Path

import torch
from torch import Tensor, nn

from core.engines.engine import Build, Engine, EngineUnavailable, Forward
from core.offline import onnxruntime


def load(model: nn.Module, inputs: tuple[Tensor, ...], folder: Path) -> Build:
    """Passes of the model as `torch.onnx.export` translates it for these shapes.

    Raises:
        EngineUnavailable: ONNX Runtime is not installed, or the inputs are not on the CPU.
    """
    if any(tensor.device.type != "cpu" for tensor in inputs):
        raise EngineUnavailable("ONNX Runtime is timed on the CPU only; choose device cpu for it")
    try:
        onnxruntime()  # is it there?
    except ImportError as error:
        raise EngineUnavailable(f"onnxruntime is not installed ({error}); pip install onnxruntime") from None
    program = torch.onnx.export(model, inputs, dynamo=True, verbose=False)
    assert program is not None
    file = folder / "model.onnx"
    program.save(file, external_data=True)  # weights beside it: in one file 2 GB are the most

    return lambda threads: session(file, inputs, threads)


def session(file: Path, inputs: tuple[Tensor, ...], threads: int) -> Forward:
    """A forward pass of an ONNX file in ONNX Runtime on the CPU, set up to be timed beside others.

    Args:
        file: to read; weights may lie beside it.
        inputs: of one batch, on the CPU.
        threads: within one operation.

    Raises:
        EngineUnavailable: the graph takes another number of inputs.
    """
    runtime = onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    # a thread that waits actively would slow the model whose turn is next
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    found = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in found.get_inputs()]
    if len(names) != len(inputs):
        raise EngineUnavailable(f"the exported model has {len(names)} inputs in place of {len(inputs)}")
    feeds = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
    return lambda: found.run(None, feeds)


ENGINE = Engine(load)
