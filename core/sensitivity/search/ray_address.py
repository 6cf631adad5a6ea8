"""How a cluster of Ray is named, and what must be there before work begins. Imports nothing of Ray."""

import importlib.util
import re

from core.errors import SecateurError

LOCAL = "local"  # Ray started for this run alone, on this machine
AUTO = "auto"  # the cluster that this machine is a node of


def checked_address(address: str) -> str:
    """The address of a Ray cluster: `local`, `auto` or `HOST:PORT`.

    Raises:
        SecateurError: it is none of these.
    """
    named = re.fullmatch(r"[\w.-]+:(\d{1,5})", address)
    if address in (LOCAL, AUTO) or (named is not None and 0 < int(named[1]) < 1 << 16):
        return address
    shown = address if len(address) < 60 else f"{address[:57]}…"
    raise SecateurError(
        f"expected local, auto or HOST:PORT as the address of Ray, got {shown!r}; local starts Ray on this machine, "
        "and --ray with no address (last, or as --ray=local) says the same"
    )


def where_text(address: str | None) -> str:
    """`on Ray at 10.0.0.7:6379`; where there is no address, that a worker of its own measured."""
    known = {None: "in a process of its own", LOCAL: "on Ray on this machine", AUTO: "on Ray, this machine's cluster"}
    return known.get(address, f"on Ray at {address}")


def is_there() -> bool:
    """Whether Ray is installed; imports nothing of it."""
    return importlib.util.find_spec("ray") is not None


def check_there() -> None:
    """Refuse a run on Ray where Ray is not installed, before anything starts.

    Raises:
        SecateurError: it is not.
    """
    if not is_there():
        raise SecateurError("--ray needs Ray, which is not installed: `python -m pip install 'secateur[ray]'`")
