"""Engines of phones and servers, each in a process of its own."""

from core.engines.adapters import files
from core.engines.adapters.adapter import Adapter, Zeros
from core.engines.adapters.needs import NEEDS, NOT_RUN

AS_NUMBERS = "runs zeros as numbers"

ONNX = Adapter(
    *NEEDS["onnx"],
    "ONNX",
    Zeros(False, AS_NUMBERS, "ONNX Runtime 1.32.0, measured: 0.99 times as fast with 90 % zeros"),
    None,
    files.onnx_file,
    "onnx_runtime",
)
OPENVINO = Adapter(
    *NEEDS["openvino"],
    "its own .xml and .bin, from ONNX",
    Zeros(
        False,
        "runs zeros as numbers (with AMX it can keep int8 weights of matrix products compressed)",
        "OpenVINO 2026.4.1, measured: 0.98 times as fast with 90 % zeros; with AMX: "
        "CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE, docs.openvino.ai/2025, notebook sparsity-optimization",
    ),
    None,
    files.openvino_files,
    "openvino",
)
LITERT = Adapter(
    *NEEDS["litert"],
    ".tflite, from an exported program",
    Zeros(
        False,
        "runs zeros as numbers (XNNPACK skips those of 1 × 1 convolutions that a file stores as sparse tensors; the "
        "converter writes none)",
        "LiteRT 2.3.0, measured: 1.00 times as fast with 90 % zeros; sparse tensors: "
        "ai.googleblog.com/2021/03/accelerating-neural-networks-on-mobile.html",
    ),
    None,
    files.litert_file,
    "litert",
)
EXECUTORCH = Adapter(
    *NEEDS["executorch"],
    ".pte, from an exported program",
    Zeros(False, AS_NUMBERS, "ExecuTorch 1.5.1, measured: 1.02 times as fast with 90 % zeros"),
    None,
    files.executorch_file,
    "executorch",
)
NCNN = Adapter(
    *NEEDS["ncnn"],
    ".param and .bin, from ONNX",
    Zeros(False, AS_NUMBERS, "ncnn 20261020, measured: 1.01 times as fast with 90 % zeros"),
    "its int8 tools (ncnn2table, ncnn2int8) are no part of its Python package; build ncnn from source for them",
    files.ncnn_files,
    "ncnn",
)
COREML = Adapter(
    *NEEDS["coreml"],
    ".mlpackage, from an exported program",
    Zeros(
        False,
        "leaves zeros out of the file (of weights of at least 2,048 entries of which half are zeros); whether that is "
        "time, only an Apple device tells",
        "coremltools 9.0, measured: at 90 % zeros 0.17 of the dense bytes, at 50 % 0.56 (prune_weights, iOS 18)",
    ),
    None,
    files.coreml_package,
    "coreml",
    not_run=NOT_RUN["coreml"],
)
ETHOS_U = Adapter(
    *NEEDS["ethos-u"],
    "int8 .tflite, compiled by Vela",
    Zeros(
        True,
        "stores zeros of weights in few bits and reads fewer bytes for them",
        "ethos-u-vela 5.2.0, its own estimate of a Linear of 256 × 256 on an Ethos-U55-128 at 90 % zeros: 0.17 of the "
        "bytes, 0.20 of the cycles",
    ),
    None,
    files.ethos_u_file,
    "ethos_u",
    not_run=NOT_RUN["ethos-u"],
    no_float="an Ethos-U computes in int8 alone",
)
