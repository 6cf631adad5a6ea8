"""What must be installed for an engine, and how to get it; whoever only asks needs no torch."""

import importlib.metadata
import json
import subprocess
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

_ASK = """
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found[name] = None
print(json.dumps(found))
"""


class NotInstalled(Exception):  # noqa: N818 - not an error: it is told
    """Something of an engine is not there; the message says how to get it."""


class Need(NamedTuple):
    """Of one engine.

    Attributes:
        title: its name for people.
        distributions: that must be installed, the engine's own first.
        extra: of Secateur that brings them; `None`: the base install has them.
    """

    title: str
    distributions: tuple[str, ...]
    extra: str | None = None


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
        "coreml": Need("Core ML", ("coremltools",), "coreml"),
        "ethos-u": Need(
            "Arm Ethos-U", ("ethos-u-vela", "ai-edge-litert", "litert-torch", "ai-edge-quantizer"), "ethos-u"
        ),
    }
)

NOT_RUN: Mapping[str, str] = MappingProxyType(  # why what is written for an engine is not run here, so has no time
    {
        "coreml": "Core ML runs on Apple's systems alone",
        "ethos-u": "an Ethos-U is part of a microcontroller; Vela estimates its cycles",
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
    absent = [name for name in distributions if version_of(name) is None]
    if not absent:
        return None
    return f"pip install 'secateur[{extra}]'" if extra else f"pip install {' '.join(absent)}"


def title_of(engine: str) -> str:
    """An engine's name for people."""
    return NEEDS[engine].title if engine in NEEDS else engine


def missing(engine: str) -> str | None:
    """How to get an engine that is not installed here; `None` if it is."""
    return how_to_get(NEEDS[engine].distributions, NEEDS[engine].extra) if engine in NEEDS else None


def version_there(distributions: tuple[str, ...], extra: str | None, python: str | None = None) -> str:
    """The engine's version here, or where another interpreter looks.

    Raises:
        NotInstalled: something of it is not, with how to get it; or there is no such interpreter.
    """
    if not python:
        told = how_to_get(distributions, extra)
        if told is not None:
            raise NotInstalled(f"not installed: {told}")
        return str(version_of(distributions[0]))
    found = _elsewhere(distributions, python)
    absent = [name for name in distributions if found[name] is None]
    if absent:
        raise NotInstalled(f"not installed: {python} -m pip install {' '.join(absent)}")
    return str(found[distributions[0]])


def _elsewhere(names: tuple[str, ...], python: str) -> dict[str, str | None]:
    try:
        done = subprocess.run([python, "-I", "-c", _ASK, *names], capture_output=True, text=True, check=True)
        found: dict[str, str | None] = json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise NotInstalled(f"{python} is no Python that can be asked: {reason}; give --python NAME=PATH") from None
    return found
