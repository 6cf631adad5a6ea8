"""Every engine that `secateur pays` compares, by its name. A new one is an adapter, a line, and mostly a runner."""

from collections.abc import Mapping
from types import MappingProxyType

from core.engines.adapters import shipped, torch_here
from core.engines.adapters.adapter import Adapter

ADAPTERS: Mapping[str, Adapter] = MappingProxyType(
    {
        "eager": torch_here.EAGER,
        "compile": torch_here.COMPILE,
        "sparse": torch_here.SPARSE,
        "onnx": shipped.ONNX,
        "openvino": shipped.OPENVINO,
        "litert": shipped.LITERT,
        "executorch": shipped.EXECUTORCH,
        "ncnn": shipped.NCNN,
        "coreml": shipped.COREML,
        "ethos-u": shipped.ETHOS_U,
    }
)
