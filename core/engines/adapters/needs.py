"""What must be installed for an engine, and how to get it; whoever only asks needs no torch."""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Need:
    """Of one engine.

    Attributes:
        title: its name for people.
        distributions: that must be installed, the engine's own first.
        extra: of Secateur that brings them; `None`: the base install has them.
    """

    title: str
    distributions: tuple[str, ...]
    extra: str | None = None


# as the adapters have it, which import torch; a test holds them together
NEEDS: Mapping[str, Need] = MappingProxyType(
    {
        "eager": Need("torch", ("torch",)),
        "compile": Need("torch.compile", ("torch",)),
        "sparse": Need("torch, sparse Linear", ("torch",)),
        "onnx": Need("ONNX Runtime", ("onnxruntime",)),
        "openvino": Need("OpenVINO", ("openvino",), "openvino"),
        "litert": Need("LiteRT (XNNPACK)", ("ai-edge-litert", "litert-torch"), "litert"),
        "executorch": Need("ExecuTorch (XNNPACK)", ("executorch",), "executorch"),
        "ncnn": Need("ncnn", ("ncnn", "pnnx"), "ncnn"),
    }
)


def version_of(distribution: str) -> str | None:
    """Of what is installed here; `None` of what is not."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def how_to_get(distributions: tuple[str, ...], extra: str | None) -> str | None:
    """`pip install …` of what is not installed here; `None` if all is."""
    missing = [name for name in distributions if version_of(name) is None]
    if not missing:
        return None
    return f"pip install 'secateur[{extra}]'" if extra else f"pip install {' '.join(missing)}"


def title_of(engine: str) -> str:
    """An engine's name for people."""
    return NEEDS[engine].title if engine in NEEDS else engine


def missing(engine: str) -> str | None:
    """How to get an engine that is not installed here; `None` if it is."""
    return how_to_get(NEEDS[engine].distributions, NEEDS[engine].extra) if engine in NEEDS else None
