"""What a tracker is told, and what one must be able to do. Plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

PROJECT = "secateur"


@dataclass(frozen=True)
class Reading:
    """Numbers measured at one step of a curve.

    Attributes:
        name: of the curve: `dense`, `round`, `plan`, or a target with what goes of it, parts divided by slashes.
        step: of a cell its sparsity in per mille, 1000 where it goes whole; of a round its number; else 0.
        values: name by name; an interval is four, as in a table. What was not measured is absent.
    """

    name: str
    step: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Told:
    """Of which run.

    Attributes:
        run: its id, and the name that trackers show.
        parameters: the request and what says how to read the numbers.
        folder: of the tracker, in the workspace; made by the adapter.
    """

    run: str
    parameters: Mapping[str, str]
    folder: Path


class Tracker(Protocol):
    """One tracker with a run that it has been told of."""

    def tell(self, reading: Reading) -> None:
        """Note numbers."""

    def close(self, finished: bool) -> None:
        """Write what is not written yet; `finished`: whether the run was."""
