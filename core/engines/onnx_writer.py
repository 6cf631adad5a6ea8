"""ONNX: a model as a file that any runtime reads, without our classes or the model's."""

import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.engines.engine import export_reason
from core.errors import SecateurError
from core.sensitivity.forwards.exported import shapes_of_arguments


class CannotExportError(SecateurError):
    """A model that ONNX cannot hold, as far as the exporter knows."""


def write_onnx(
    model: nn.Module,
    inputs: Sequence[Tensor],
    path: Path,
    opset: int | None = None,
    free: Sequence[Sequence[int]] | None = None,
) -> None:
    """Write a model with `torch.onnx.export` (dynamo), for batches of any size where the model allows.

    Args:
        model: in evaluation mode; not modified.
        inputs: of a small batch, at least two examples.
        path: of the file; weights are inside it up to 2 GB.
        opset: of the standard operators; `None` for the exporter's own choice.
        free: of each input the dimensions that may have other sizes where the model allows; `None`: the first.

    Raises:
        CannotExportError: the model cannot be exported, with the exporter's reason; or not in this opset, for which
            torch would silently give another.
        SecateurError: the file cannot be written.
    """
    batch = torch.export.Dim.AUTO
    shapes = shapes_of_arguments(model, [dict.fromkeys(dims, batch) for dims in free or [(0,)] * len(inputs)])
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            model(*inputs)  # what fails on a batch of this size is not the exporter's fault
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
        raise CannotExportError(f"it cannot be written as ONNX: {export_reason(model, error)}") from error


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
