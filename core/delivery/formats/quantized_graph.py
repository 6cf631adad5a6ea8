"""ONNX with int8 weights, whose activations are quantized as they come, by ONNX Runtime's own tools."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from core.delivery.formats.facts import FORMATS
from core.delivery.formats.fresh import compared_outputs
from core.delivery.formats.onnx_graph import fresh_outputs
from core.delivery.formats.subject import CannotHoldError, Subject
from core.drafted import scratch
from core.engines.onnx_int8 import onnx_forward, write_quantized_onnx
from core.engines.onnx_writer import CannotExportError

FACTS = FORMATS["onnx-int8"]


def write(subject: Subject, path: Path) -> None:
    """Export a model and quantize the graph.

    Raises:
        CannotHoldError: the exporter or the quantizer cannot.
        SecateurError: the file cannot be written.
    """
    assert FACTS.scheme is not None
    try:
        write_quantized_onnx(subject.model, subject.example, path, FACTS.scheme, None, subject.dynamic)
    except CannotExportError as error:
        raise CannotHoldError(str(error)) from error


def check(subject: Subject, path: Path) -> float:
    """Largest difference of the outputs from those of the model in memory, quantized anew; in fresh processes.

    Raises:
        CannotHoldError: it does not run, also on batches of another size, or gives other outputs.
    """
    with scratch() as folder:
        anew = Path(folder, path.name)
        write(subject, anew)
        theirs, ours = fresh_outputs(subject, anew), fresh_outputs(subject, path)
        return compared_outputs(path.name, theirs, ours, FACTS.tolerance, subject.terms)


def reader(subject: Subject, path: Path) -> Callable[..., Any]:
    """What ONNX Runtime makes of the file, with as many threads as torch has."""
    return onnx_forward(path, subject.model, subject.example, torch.get_num_threads())
