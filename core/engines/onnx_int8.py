"""Quantized ONNX files, by ONNX Runtime's own tools: activations quantized as they come, or by ranges found before."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from core.drafted import scratch
from core.engines.bias_units import mend_biases
from core.engines.huge import huge_nodes
from core.engines.onnx_writer import CannotExportError, write_onnx
from core.errors import SecateurError
from core.offline import onnxruntime
from core.workload.examples import Examples

CALIBRATION_EXAMPLES = 512  # whose ranges of activations are looked at, at most
CALIBRATION_BATCH = 32
FEW = 2  # examples on which it is seen where masks pass


def write_quantized_onnx(
    model: nn.Module,
    inputs: Sequence[Tensor],
    path: Path,
    scheme: str,
    calibration: Examples | None,
    free: Sequence[Sequence[int]] | None = None,
) -> None:
    """Export a model and quantize the file to int8, weights symmetrically per output channel.

    Args:
        model: in evaluation mode; not modified.
        inputs: of a small batch, at least two examples.
        path: of the file.
        scheme: `"dynamic"` or `"static"`; the latter writes QDQ nodes, with ranges from minimum to maximum.
        free: as of `write_onnx`.
        calibration: for the static scheme; the first `CALIBRATION_EXAMPLES` are looked at.

    Raises:
        CannotExportError: the exporter or the quantizer cannot do this model, with their reason.
        SecateurError: there are no calibration data, or the file cannot be written.
    """
    if scheme == "static" and calibration is None:
        raise SecateurError(
            "static quantization finds the ranges of activations on calibration data, and the workload has none; "
            "give it `calibration`, or take --scheme dynamic"
        )
    with scratch() as folder:
        plain, prepared, draft = (Path(folder) / name for name in ("plain.onnx", "prepared.onnx", "int8.onnx"))
        with _quiet():
            write_onnx(model, inputs, plain, free=free)
        try:
            with _quiet():
                _quantize(plain, prepared, draft, scheme, calibration)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(draft.read_bytes())
        except OSError as error:
            raise SecateurError(f"cannot write {path}: {error.strerror}; choose another place") from None
        except Exception as error:
            first = (str(error).splitlines() or [""])[0][:200]
            raise CannotExportError(
                f"ONNX Runtime cannot quantize it ({scheme}): {type(error).__name__}: {first}; take --scheme weight"
            ) from error


def _quantize(plain: Path, prepared: Path, draft: Path, scheme: str, calibration: Examples | None) -> None:
    tools, shapes = onnxruntime("quantization"), onnxruntime("quantization.shape_inference")
    # symbolic shape inference wants dimensions to be named in a way that torch's exporter does not name them
    shapes.quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
    if scheme == "dynamic":
        tools.quantize_dynamic(str(prepared), str(draft), per_channel=True, weight_type=tools.QuantType.QInt8)
        return
    assert calibration is not None
    import onnx

    plain_graph = onnx.load(str(prepared))
    few = calibration.first(FEW).inputs
    names = [one.name for one in plain_graph.graph.input]
    in_float = huge_nodes(plain_graph, {name: x.cpu().numpy() for name, x in zip(names, few, strict=True)})
    tools.quantize_static(
        str(prepared), str(draft), _reader(prepared, calibration), quant_format=tools.QuantFormat.QDQ, per_channel=True,
        activation_type=tools.QuantType.QInt8, weight_type=tools.QuantType.QInt8, nodes_to_exclude=in_float,
    )  # fmt: skip
    written = onnx.load(str(draft))
    if mend_biases(written.graph, plain_graph.graph):
        onnx.save(written, str(draft))


def _reader(path: Path, calibration: Examples) -> Any:
    session = onnxruntime().InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    batches = iter(calibration.first(CALIBRATION_EXAMPLES).batches(CALIBRATION_BATCH))

    class Reader:  # a CalibrationDataReader, which is what has this method
        def get_next(self) -> dict[str, Any] | None:
            batch = next(batches, None)
            if batch is None:
                return None
            return {name: x.cpu().numpy() for name, x in zip(names, batch.inputs, strict=True)}

    return Reader()


@contextmanager
def _quiet() -> Iterator[None]:
    """Exporter and quantizer give advice by loggers and by warnings; it is for whoever calls them by hand."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def onnx_forward(path: Path, model: nn.Module, inputs: Sequence[Tensor], threads: int = 1) -> Callable[..., Any]:
    """What ONNX Runtime makes of an ONNX file on the CPU, called like the model and giving outputs in its structure.

    Args:
        path: of the file.
        model: that it was made of; run once, for the structure of its outputs.
        inputs: of a small batch.
        threads: within one operation.

    Raises:
        CannotExportError: the file cannot be read, or gives another number of outputs.
    """
    runtime = onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, threads
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CannotExportError(f"{path.name} cannot be read by ONNX Runtime: {str(error)[:200]}") from None
    with torch.inference_mode():
        leaves, structure = pytree.tree_flatten(model(*inputs))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    names = [one.name for one in session.get_inputs()]
    if len(places) != len(session.get_outputs()):
        raise CannotExportError(
            f"{path.name} gives {len(session.get_outputs())} outputs where the model gives {len(places)}"
        )

    def forward(*given: Tensor) -> Any:
        fed = {name: x.cpu().numpy() for name, x in zip(names, given, strict=True)}
        found = session.run(None, fed)
        filled = list(leaves)
        for i, out in zip(places, found, strict=True):
            filled[i] = torch.from_numpy(np.asarray(out)).to(leaves[i].dtype)
        return pytree.tree_unflatten(filled, structure)

    return forward
