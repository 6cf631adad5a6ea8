"""Files that engines' own tools write, each in a process of its engine."""

from pathlib import Path
from typing import Any

import numpy as np

from core.engines.adapters.adapter import Guessed, Place, Precision, Written
from core.engines.adapters.process import Process
from core.engines.adapters.source import Source
from core.engines.engine import EngineUnavailable

CALIBRATION_EXAMPLES = 128
ACCELERATOR = "ethos-u55-128"


def onnx_file(source: Source, precision: Precision, place: Place) -> Written:
    """The ONNX file itself, as `--format onnx` and `quantize --scheme` write it."""
    if precision == "float32":
        return Written((source.onnx,))
    return Written((source.onnx_int8,), _how(source))


def openvino_files(source: Source, precision: Precision, place: Place) -> Written:
    """OpenVINO's own form of the ONNX file."""
    graph = source.onnx if precision == "float32" else source.onnx_int8
    with Process("openvino", place) as process:
        files = process.write(source.input_files, source=str(graph), free=source.dynamic is not None)
    return Written(files, "" if precision == "float32" else _how(source))


def ncnn_files(source: Source, precision: Precision, place: Place) -> Written:
    """What pnnx makes of the ONNX file."""
    with Process("ncnn", place) as process:
        return Written(process.write(source.input_files, source=str(source.onnx), precision=precision))


def executorch_file(source: Source, precision: Precision, place: Place) -> Written:
    """What ExecuTorch makes of the exported program."""
    with Process("executorch", place) as process:
        files = process.write(
            source.input_files,
            source=str(source.program),
            precision=precision,
            calibration=_batches(source, place) if precision == "int8" else [],
        )
    return Written(files, "" if precision == "float32" else "int8 with ranges found on calibration data")


def litert_file(source: Source, precision: Precision, place: Place) -> Written:
    """What LiteRT's converter makes of the exported program."""
    with Process("litert", place) as process:
        files = process.write(source.input_files, source=str(source.program), precision=precision)
    return Written(files, "" if precision == "float32" else "int8 weights; activations are quantized as they come")


def coreml_package(source: Source, precision: Precision, place: Place) -> Written:
    """What Core ML's converter makes of the exported program, all files of the package."""
    with Process("coreml", place) as process:
        files = process.write(source.input_files, source=str(source.program), precision=precision)
    left_out = "zeros are left out of weights of at least 2,048 entries of which half are zeros"
    return Written(files, left_out if precision == "float32" else f"int8 weights; {left_out}")


def ethos_u_file(source: Source, precision: Precision, place: Place) -> Written:
    """What Vela makes of a full int8 file of LiteRT's quantizer, and how many cycles it estimates."""
    if len(source.inputs[0]) != 1:
        raise EngineUnavailable("an Ethos-U takes one example at a time: choose --batch 1")
    with Process("ethos_u", place) as process:
        made = process.made(
            source.input_files,
            source=str(source.program),
            accelerator=ACCELERATOR,
            calibration=_batches(source, place),
        )
    on_npu, on_cpu = made["operators"]
    stay = f"; {on_cpu} of {on_npu + on_cpu} operators stay on the CPU and are in no estimate" if on_cpu else ""
    by = f"Vela's estimate of an {ACCELERATOR.replace('ethos-u', 'Ethos-U')} at {made['hertz'] / 1e6:.0f} MHz"
    ranges = "found on calibration data" if source.calibration is not None else "of this batch alone"
    return Written(
        tuple(Path(name) for name in made["files"]),
        f"int8 with ranges {ranges}{stay}",
        Guessed(made["seconds"], made["cycles"], by),
        Path(made["stand_in"]),
    )


def _how(source: Source) -> str:
    found = {"static": "with ranges found on calibration data", "dynamic": "; activations are quantized as they come"}
    return f"int8 {found[source.scheme]}".replace(" ;", ";")


def _batches(source: Source, place: Place) -> list[list[str]]:
    """Files of calibration batches, of the size that the program takes; without calibration data the batch itself."""
    size = len(source.inputs[0])
    given: list[Any] = [source.inputs]
    if source.calibration is not None:
        few = source.calibration.first(max(size, CALIBRATION_EXAMPLES // size * size))
        given = [batch.inputs for batch in few.batches(size) if len(batch.inputs[0]) == size] or given
    files = []
    for i, batch in enumerate(given):
        files.append([str(place.folder / f"calibration{i}-{k}.npy") for k in range(len(batch))])
        for name, tensor in zip(files[-1], batch, strict=True):
            np.save(name, tensor.cpu().numpy())
    return files
