"""Every engine by its name. A new one is a module here and a line."""

from collections.abc import Mapping
from types import MappingProxyType

from core.engines import onnx_runtime, torch_compile, torch_eager
from core.engines.engine import Engine

ENGINES: Mapping[str, Engine] = MappingProxyType(
    {"eager": torch_eager.ENGINE, "compile": torch_compile.ENGINE, "onnx": onnx_runtime.ENGINE}
)
