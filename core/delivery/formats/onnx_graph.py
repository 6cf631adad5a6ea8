"""ONNX: a model as a graph that any runtime reads, without our classes or the model's."""

from pathlib import Path

import onnx
from torch import Tensor, nn

from core.delivery.formats.facts import FORMATS
from core.delivery.formats.fresh import Exchange, compared_outputs, outputs_in_fresh_process
from core.delivery.formats.subject import CannotHoldError, Subject
from core.engines.onnx_writer import CannotExportError, write_onnx

SCRIPT = """
import json, sys
import numpy as np, onnxruntime
from safetensors.numpy import load_file, save_file
path, given, found, threads, words = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
options.intra_op_num_threads = int(threads)
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
names = [one.name for one in session.get_inputs()]
inputs, outputs = load_file(given), {}
for i in range(json.loads(words)["batches"]):
    out = session.run(None, {name: inputs[f"{i}:{k}"] for k, name in enumerate(names)})
    outputs.update({f"{i}:{k}": np.ascontiguousarray(tensor) for k, tensor in enumerate(out)})
save_file(outputs, found)
assert "torch" not in sys.modules
"""


def write(subject: Subject, path: Path) -> None:
    """Write a model with `torch.onnx.export` (dynamo), in the opset that the subject asks for.

    Raises:
        CannotHoldError: the exporter cannot, or not in this opset.
        SecateurError: the file cannot be written.
    """
    try:
        write_onnx(subject.model, subject.example, path, subject.opset, subject.dynamic)
    except CannotExportError as error:
        raise CannotHoldError(str(error)) from error


def check(subject: Subject, path: Path) -> float:
    """Largest difference of the outputs of ONNX Runtime, in a fresh process without torch.

    Raises:
        CannotHoldError: it does not run, also on batches of another size, or gives other outputs.
    """
    return check_graph(subject, path, FORMATS["onnx"].tolerance)


def check_graph(subject: Subject, path: Path, tolerance: float) -> float:
    """As `check`, of any ONNX file."""
    return compared_outputs(path.name, subject.outputs(), fresh_outputs(subject, path), tolerance, subject.terms)


def fresh_outputs(subject: Subject, path: Path) -> list[list[Tensor]]:
    """What ONNX Runtime gives for each batch of the subject, in a fresh process without torch.

    Raises:
        CannotHoldError: the file is no valid ONNX, or does not run.
    """
    inputs = [{str(k): tensor for k, tensor in enumerate(batch)} for batch in subject.batches]
    try:
        onnx.checker.check_model(path)
        return outputs_in_fresh_process(path, Exchange(SCRIPT, inputs), subject)
    except (onnx.checker.ValidationError, CannotHoldError) as error:
        if projected := _projected(subject.model):  # of torch 2.13; asked afterwards, for another may write it well
            raise CannotHoldError(
                f"{projected} is an LSTM with proj_size, which torch's exporter writes as a graph that no runtime "
                "reads; train one without it, followed by a Linear"
            ) from None
        if isinstance(error, CannotHoldError):
            raise
        raise CannotHoldError(f"{path.name} is no valid ONNX: {str(error).splitlines()[0][:200]}") from None


def _projected(model: nn.Module) -> str:
    """Path of the first recurrent layer that projects its units; empty if none does."""
    return next((path or "the model" for path, m in model.named_modules() if getattr(m, "proj_size", 0)), "")
