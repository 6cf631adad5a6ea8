"""ONNX: a model as a file that any runtime reads, without our classes or the model's."""

import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.errors import SecateurError
from core.pruning.equality import distance, tolerance_of
from core.workload.outputs import tensors_of

TOLERANCE = 1e-4  # of ONNX Runtime's outputs: other kernels add up in another order


class CannotExportError(SecateurError):
    """A model that ONNX cannot hold, as far as the exporter knows."""


def write_onnx(model: nn.Module, inputs: Sequence[Tensor], path: Path, opset: int | None = None) -> None:
    """Write a model with `torch.onnx.export` (dynamo), for batches of any size where the model allows.

    Args:
        model: in evaluation mode; not modified.
        inputs: of a small batch, at least two examples.
        path: of the file; weights are inside it up to 2 GB.
        opset: of the standard operators; `None` for the exporter's own choice.

    Raises:
        CannotExportError: the model cannot be exported, with the exporter's reason; or not in this opset, for which
            torch would silently give another.
        SecateurError: the file cannot be written.
    """
    batch = torch.export.Dim.AUTO
    shapes = tuple({0: batch} for _ in inputs)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model,
                tuple(inputs),
                dynamo=True,
                dynamic_shapes=shapes,
                verbose=False,
                optimize=True,
                opset_version=opset,
            )
            assert program is not None
            made = program.model.opset_imports.get("")
            if opset is not None and made != opset:
                raise CannotExportError(f"asked for opset {opset}, the exporter gives {made}; choose that or another")
            _strip(program.model)
            program.save(str(path), external_data=False)
    except CannotExportError:
        raise
    except OSError as error:
        raise SecateurError(f"cannot write {path}: {error.strerror}; free some space or choose another place") from None
    except Exception as error:
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise CannotExportError(f"it cannot be written as ONNX: {type(error).__name__}: {first[:200]}") from error


def _strip(model: Any) -> None:
    """Take out what each node remembers of the source: lines of code and the folders that it lay in."""
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.metadata_props.clear()
    model.graph.metadata_props.clear()


def run_onnx(path: Path, batches: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """Outputs of an ONNX file on batches, by ONNX Runtime on the CPU.

    Raises:
        CannotExportError: the file cannot be read or run.
    """
    import onnxruntime

    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        names = [one.name for one in session.get_inputs()]
        return [
            [
                torch.from_numpy(np.asarray(out))
                for out in session.run(None, {name: x.cpu().numpy() for name, x in zip(names, inputs, strict=True)})
            ]
            for inputs in batches
        ]
    except Exception as error:
        first = (str(error).splitlines() or [""])[0][:200]
        raise CannotExportError(f"{path.name} cannot be run by ONNX Runtime: {type(error).__name__}: {first}") from None


def check_onnx(path: Path, model: nn.Module, batches: Sequence[Sequence[Tensor]]) -> float:
    """Largest difference from the model's own outputs, in parts of the largest of these.

    Raises:
        CannotExportError: it is more than 1e-4 (of types shorter than float32, what they can tell apart), or the
            outputs are of another shape; or the file does not run.
    """
    largest = 0.0
    for inputs, found in zip(batches, run_onnx(path, batches), strict=True):
        with torch.inference_mode():
            theirs: list[Any] = tensors_of(model(*inputs))
        apart = distance(theirs, found)
        if apart is None or not apart <= max(TOLERANCE, tolerance_of(theirs)):
            far = "outputs of another shape" if apart is None else f"outputs up to {apart:.2g} apart"
            raise CannotExportError(f"{path.name} as ONNX Runtime runs it and the model in memory give {far}")
        largest = max(largest, apart)
    return largest
