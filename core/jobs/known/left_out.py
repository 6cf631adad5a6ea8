"""Rows of a workspace that could not be read: each is left out and named, and the rest is shown. No torch."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from core.errors import SecateurError, first_line

Made = TypeVar("Made")
# what reading raises that anybody, or a failing disk, may have written
UNREADABLE = (SecateurError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
MEND = "`secateur check` says what is damaged, `secateur check --mend` sets it aside"
_seen: dict[str, tuple[str, float]] = {}
_LOCK = threading.Lock()
_MOST = 200  # that are remembered, by a server that runs for weeks


def note(what: str, error: BaseException) -> None:
    """Remember that something was left out.

    Args:
        what: `run 3f2a91bc`, `kept plan 77d0e1a2`.
        error: of reading it.
    """
    if isinstance(error, SecateurError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # the refusal names what it is of, as the line does
    why = f"{type(error).__name__}: {first_line(error)}" if not isinstance(error, SecateurError) else first_line(error)
    with _LOCK:
        if what in _seen or len(_seen) < _MOST:
            _seen[what] = (why[:160], time.monotonic())


def readable(rows: Iterable[Any], read: Callable[[Any], Made], what: Callable[[Any], str]) -> list[Made]:
    """What can be read of some rows, in their order; of each other one `note` is taken.

    Args:
        rows: of the workspace.
        read: one of them; may raise what a damaged one makes it raise.
        what: a row is called.
    """
    found: list[Made] = []
    for row in rows:
        try:
            found.append(read(row))
        except UNREADABLE as error:
            note(what(row), error)
    return found


def line(seconds: float = float("inf")) -> str | None:
    """One line about all that was left out in the last seconds; `None` if nothing was."""
    now = time.monotonic()
    with _LOCK:
        recent = [(what, why) for what, (why, moment) in _seen.items() if now - moment <= seconds]
    if not recent:
        return None
    (what, why), n = recent[0], len(recent)
    more = f" and {n - 1:,} more" if n > 1 else ""
    return f"{what} is damaged and left out{more} ({why}); {MEND}"


def forget() -> None:
    """Begin anew: a command that ends, a test."""
    with _LOCK:
        _seen.clear()
