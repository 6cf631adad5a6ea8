"""OpenVINO on the CPU, in its own process."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# importing OpenVINO makes a client id for its statistics in the home folder; it goes without where there is none
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

FIXED = {
    "NUM_STREAMS": 1,
    "INFERENCE_PRECISION_HINT": "f32",  # else a CPU with bf16 computes in bf16
    "ENABLE_CPU_PINNING": False,  # the processes of a comparison would all be pinned to the same core
}


def write(job: dict[str, Any], inputs: Sequence[Any]) -> list[str]:
    """The intermediate representation (.xml, .bin) of an ONNX file, weights as they are."""
    import openvino

    model = openvino.Core().read_model(job["source"])
    if not job["free"]:
        model.reshape({port: list(x.shape) for port, x in zip(model.inputs, inputs, strict=True)})
    file = Path(job["folder"], "model.xml")
    openvino.save_model(model, file, compress_to_fp16=False)
    return [str(file), str(file.with_suffix(".bin"))]


def load(file: str, inputs: Sequence[Any], threads: int) -> Callable[[], Sequence[Any]]:
    """A pass of the file."""
    import openvino

    compiled = openvino.Core().compile_model(file, "CPU", {**FIXED, "INFERENCE_NUM_THREADS": threads})
    request = compiled.create_infer_request()
    for i, x in enumerate(inputs):
        request.set_input_tensor(i, openvino.Tensor(x))

    def forward() -> list[Any]:
        request.infer()
        return [request.get_output_tensor(i).data for i in range(len(compiled.outputs))]

    return forward
