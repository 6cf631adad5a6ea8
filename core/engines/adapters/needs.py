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
        distributions: the engine's own first.
        extra: of Secateur that brings them; `None`: the base install has them.
    """

    distributions: tuple[str, ...]
    extra: str | None


NEEDS: Mapping[str, Needs] = MappingProxyType(
    {
        "openvino": Needs(("openvino",), "openvino"),
        "litert": Needs(("ai-edge-litert", "litert-torch"), "litert"),
        "executorch": Needs(("executorch",), "executorch"),
        "ncnn": Needs(("ncnn", "pnnx"), "ncnn"),
        "coreml": Needs(("coremltools",), "coreml"),
        "ethos-u": Needs(("ethos-u-vela", "ai-edge-litert", "litert-torch", "ai-edge-quantizer"), "ethos-u"),
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
        what = f"'secateur[{needs.extra}]'" if needs.extra else " ".join(missing)
        raise NotInstalled(f"not installed: pip install {what}")
    version = found[names[0]]
    assert version is not None
    return version


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
