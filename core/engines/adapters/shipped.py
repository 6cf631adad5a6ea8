"""Engines of phones and servers, each in a process of its own."""

from core.engines.adapters import files
from core.engines.adapters.adapter import Adapter, Zeros

ONNX = Adapter(
    "ONNX Runtime",
    ("onnxruntime",),
    None,
    "ONNX",
    Zeros(False, "runs zeros as numbers", "measured with ONNX Runtime 1.32.0: 1.01 of dense at 90 % zeros"),
    None,
    files.onnx_file,
    "onnx_runtime",
)
OPENVINO = Adapter(
    "OpenVINO",
    ("openvino",),
    "openvino",
    "its own .xml and .bin, from ONNX",
    Zeros(
        False,
        "runs zeros as numbers (with AMX it can keep int8 weights of matrix products compressed)",
        "OpenVINO 2026.4.1, CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE: accepted without AMX, and changes nothing",
    ),
    None,
    files.openvino_files,
    "openvino",
)
LITERT = Adapter(
    "LiteRT (XNNPACK)",
    ("ai-edge-litert", "litert-torch"),
    "litert",
    ".tflite, from an exported program",
    Zeros(
        False,
        "runs zeros as numbers (XNNPACK has sparse kernels for 1 × 1 convolutions alone, which this way of "
        "writing does not ask for)",
        "measured with LiteRT 2.3.0: 1.01 of dense at 90 % zeros",
    ),
    None,
    files.litert_file,
    "litert",
)
EXECUTORCH = Adapter(
    "ExecuTorch (XNNPACK)",
    ("executorch",),
    "executorch",
    ".pte, from an exported program",
    Zeros(False, "runs zeros as numbers", "measured with ExecuTorch 1.5.1: 1.0 of dense at 90 % zeros"),
    None,
    files.executorch_file,
    "executorch",
)
NCNN = Adapter(
    "ncnn",
    ("ncnn", "pnnx"),
    "ncnn",
    ".param and .bin, from ONNX",
    Zeros(False, "runs zeros as numbers", "measured with ncnn 20261020: 1.00 of dense at 90 % zeros"),
    "its int8 tools (ncnn2table, ncnn2int8) are no part of its Python package; build ncnn from source for them",
    files.ncnn_files,
    "ncnn",
)
