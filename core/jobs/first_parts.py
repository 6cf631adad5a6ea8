"""How long a run took to its first number, part by part. No torch."""

import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

SHOWN_SECONDS = 0.01  # a part that took less is not told of in the line, only kept


@dataclass(frozen=True)
class Part:
    """One part of the way to the first number.

    Attributes:
        name: a few words.
        seconds: on the clock.
        cpu: seconds of the processor, of the process that did it.
    """

    name: str
    seconds: float
    cpu: float


class FirstParts:
    """A watch that runs through the parts of a run, one after the other, until its first number.

    Args:
        since: seconds since the epoch at which the run was asked for.
        cpu: seconds of the processor that the process has taken so far for this run.
    """

    def __init__(self, since: float, cpu: float) -> None:
        now = time.time()
        self._done = [Part("start", max(0.0, now - since), cpu)]
        self._name: str | None = None
        self._mark(now)

    def part(self, name: str | None) -> None:
        """From now on it is this that takes time; a part that is entered again goes on. `None`: nothing more is told.

        Args:
            name: of the part that begins.
        """
        if self._name is not None:
            self._done.append(Part(self._name, max(0.0, time.time() - self._at), time.process_time() - self._cpu))
        self._name = name
        self._mark(time.time())

    def move(self, name: str, to: str, seconds: float) -> None:
        """Take seconds that belong to a part of their own out of the one that was running; of processor in proportion.

        Args:
            name: of the part that they were counted in, ended.
            to: the part that they make up, put before it.
            seconds: on the clock.
        """
        for i, one in enumerate(self._done):
            if one.name == name and one.seconds > 0:
                share = min(1.0, max(0.0, seconds) / one.seconds)
                cut = [Part(to, share * one.seconds, share * one.cpu)]
                self._done[i : i + 1] = [*cut, Part(name, (1 - share) * one.seconds, (1 - share) * one.cpu)]
                return

    def to_json(self) -> dict[str, Any]:
        """Seconds in all, and the parts in their order."""
        merged: dict[str, Part] = {}
        for one in self._done:
            before = merged.get(one.name, Part(one.name, 0.0, 0.0))
            merged[one.name] = Part(one.name, before.seconds + one.seconds, before.cpu + one.cpu)
        return {
            "seconds": sum(one.seconds for one in self._done),
            "cpu": sum(one.cpu for one in self._done),
            "parts": [vars(one) for one in merged.values()],
        }

    def _mark(self, now: float) -> None:
        self._at, self._cpu = now, time.process_time()


_now: ContextVar[FirstParts | None] = ContextVar("first_parts", default=None)


def begin(since: float, cpu: float) -> None:
    """Let a watch run for the run that this thread begins with; arguments as of `FirstParts`."""
    _now.set(FirstParts(since, cpu))


def part(name: str) -> None:
    """As `FirstParts.part` of the watch that runs, if one does."""
    watch = _now.get()
    if watch is not None:
        watch.part(name)


def end() -> FirstParts | None:
    """Stop the watch, and return it; `None` if none runs."""
    watch = _now.get()
    _now.set(None)
    if watch is not None:
        watch.part(None)
    return watch


def first_parts_text(result: Mapping[str, Any] | None) -> str | None:
    """`First cell after 3.1 s: start 0.40, imports 1.60, … (seconds).`; `None` of a run that kept none.

    Args:
        result: of a sweep.
    """
    told = (result or {}).get("first_parts")
    if not told:
        return None
    parts: Sequence[Mapping[str, Any]] = told["parts"]
    shown = [f"{one['name']} {one['seconds']:.2f}" for one in parts if one["seconds"] >= SHOWN_SECONDS]
    return f"First cell after {told['seconds']:.1f} s: {', '.join(shown)} (seconds)."
