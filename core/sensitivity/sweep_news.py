"""What a sweep tells while it measures, and of which cells it has something new to tell."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from core.sensitivity.report import CellResult, Estimate
from core.sensitivity.search.scheduler import Progress

GROWTH = 1.5  # a cell is shown anew when it has so many times the examples that it was last shown with


@dataclass(frozen=True)
class News:
    """What a sweep found since it last told.

    Attributes:
        cells: changed cells by position.
        done, reused: measurements of one cell on one batch, and how many of them were known before.
        total: of them all; `None` while a search decides as it goes.
        closed: cells that need nothing more.
        has_map: every cell has been measured on some examples.
        dense: the dense model on the examples so far.
    """

    cells: Mapping[int, CellResult]
    done: int
    reused: int
    total: int | None
    closed: int
    has_map: bool
    dense: Estimate | None


class Shown:
    """How far cells were when they were last told of."""

    def __init__(self) -> None:
        self._shown: dict[int, Progress] = {}
        self._touched: set[int] = set()

    def touch(self, position: int) -> None:
        """Note that a cell was measured on."""
        self._touched.add(position)

    def news(self, states: Sequence[Progress], settled: Collection[int], last: bool) -> list[int]:
        """Positions of cells that know notably more than when they were last told of; from now on told.

        Args:
            states: of all cells.
            settled: cells to tell of in any case.
            last: tell of all that were measured on, however little.
        """
        found = []
        for p, progress in enumerate(states):
            before = self._shown.get(p)
            grown = last or progress.state != "open" or before is None or progress.n >= GROWTH * before.n
            # news of one cell may settle another of its target that nobody measured since
            moved = before is not None and progress.state != before.state
            if moved or p in settled or (grown and p in self._touched):
                self._shown[p] = progress
                found.append(p)
        self._touched.difference_update(found)
        return found
