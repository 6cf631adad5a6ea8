"""Which distributions an engine needs, and whether they are there, told by their metadata alone. No torch."""

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


class Needs(NamedTuple):
    """What must be installed for an engine.

    Attributes:
        title: its name for people.
        distributions: the engine's own first.
        extra: of Secateur that brings them; `None`: the base install has them.
    """

    title: str
    distributions: tuple[str, ...]
    extra: str | None = None


NEEDS: Mapping[str, Needs] = MappingProxyType(
    {
        "eager": Needs("torch", ("torch",)),
        "compile": Needs("torch.compile", ("torch",)),
        "sparse": Needs("torch, sparse Linear", ("torch",)),
        "onnx": Needs("ONNX Runtime", ("onnxruntime",)),
        "openvino": Needs("OpenVINO", ("openvino",), "openvino"),
        "litert": Needs("LiteRT (XNNPACK)", ("ai-edge-litert", "litert-torch"), "litert"),
        "executorch": Needs("ExecuTorch (XNNPACK)", ("executorch",), "executorch"),
        "ncnn": Needs("ncnn", ("ncnn", "pnnx"), "ncnn"),
        "coreml": Needs("Core ML", ("coremltools",), "coreml"),
        "ethos-u": Needs(
            "Arm Ethos-U (Vela)",
            ("ethos-u-vela", "ai-edge-litert", "litert-torch", "ai-edge-quantizer"),
            "ethos-u",
        ),
    }
)


def version_of(needs: Needs, python: str | None = None) -> str:
    """The engine's version here, or where another interpreter looks.

    Raises:
        NotInstalled: something of it is not, with how to get it; or there is no such interpreter.
    """
    names = needs.distributions
    found = _elsewhere(names, python) if python else {name: _version(name) for name in names}
    missing = [name for name in names if found[name] is None]
    if missing and python:
        raise NotInstalled(f"not installed: {python} -m pip install {' '.join(missing)}")
    if missing:
        raise NotInstalled(f"not installed: {_how(needs, missing)}")
    version = found[names[0]]
    assert version is not None
    return version


def title_of(engine: str) -> str:
    """An engine's name for people."""
    return NEEDS[engine].title if engine in NEEDS else engine


def how_to_get(engine: str) -> str | None:
    """`pip install …` of what an engine lacks here; `None` if it lacks nothing."""
    needs = NEEDS.get(engine)
    missing = [name for name in needs.distributions if _version(name) is None] if needs else []
    return _how(needs, missing) if needs and missing else None


def _how(needs: Needs, missing: list[str]) -> str:
    return f"pip install 'secateur[{needs.extra}]'" if needs.extra else f"pip install {' '.join(missing)}"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _elsewhere(names: tuple[str, ...], python: str) -> dict[str, str | None]:
    try:
        done = subprocess.run([python, "-I", "-c", _ASK, *names], capture_output=True, text=True, check=True)
        found: dict[str, str | None] = json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise NotInstalled(f"{python} is no Python that can be asked: {reason}; give --python NAME=PATH") from None
    return found
