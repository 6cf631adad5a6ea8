"""Which version of an engine is there, without importing any of it."""

import json
import subprocess

from core.engines.adapters.adapter import Adapter
from core.engines.adapters.needs import how_to_get, version_of
from core.engines.engine import EngineUnavailable

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


def installed(adapter: Adapter, python: str | None = None) -> str:
    """The engine's version here, or where another interpreter looks.

    Raises:
        EngineUnavailable: something of it is not installed, with how to get it; or there is no such interpreter.
    """
    if not python:
        told = how_to_get(adapter.needs, adapter.extra)
        if told is not None:
            raise EngineUnavailable(f"not installed: {told}")
        return str(version_of(adapter.needs[0]))
    found = _elsewhere(adapter, python)
    missing = [name for name in adapter.needs if found[name] is None]
    if missing:
        raise EngineUnavailable(f"not installed: {python} -m pip install {' '.join(missing)}")
    return str(found[adapter.needs[0]])


def _elsewhere(adapter: Adapter, python: str) -> dict[str, str | None]:
    try:
        done = subprocess.run([python, "-I", "-c", _ASK, *adapter.needs], capture_output=True, text=True, check=True)
        found: dict[str, str | None] = json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise EngineUnavailable(f"{python} is no Python that can be asked: {reason}; give --python NAME=PATH") from None
    return found
