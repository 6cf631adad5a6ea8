"""Which version of an engine is there, without importing any of it."""

from core.engines.adapters.adapter import Adapter
from core.engines.adapters.needs import NotInstalled, version_there
from core.engines.engine import EngineUnavailable


def installed(adapter: Adapter, python: str | None = None) -> str:
    """The engine's version here, or where another interpreter looks.

    Raises:
        EngineUnavailable: something of it is not installed, with how to get it; or there is no such interpreter.
    """
    try:
        return version_there(adapter.needs, adapter.extra, python)
    except NotInstalled as error:
        raise EngineUnavailable(str(error)) from None
