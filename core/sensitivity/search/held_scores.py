"""Scores of all cells on all examples, in as few bytes as give every one of them back bit for bit. No torch."""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

# a byte is enough for hits, four for what any metric makes of one example in float32
WIDTHS: tuple[type[np.generic], ...] = (np.uint8, np.float32, np.float64)


class HeldScores:
    """A block of scores, (cells, examples), that are told cell by cell.

    It is narrow for as long as what was told allows: of an accuracy an eighth of what float64 takes. One block from the
    start: thousands of small ones, scattered among large tensors, would keep the heap from ever giving anything back.

    Args:
        n_cells, n_examples: size of the block.
    """

    def __init__(self, n_cells: int, n_examples: int) -> None:
        self._width = 0
        self._block = np.empty((n_cells, n_examples), WIDTHS[0])
        self._filled = np.zeros(n_cells, np.int64)

    @property
    def n_bytes(self) -> int:
        """Of the block."""
        return self._block.nbytes

    def add(self, cell: int, scores: Scores) -> None:
        """Scores of a cell's next examples, (n,)."""
        while not _is_held(scores, WIDTHS[self._width]):
            self._widen()
        first = self._filled[cell]
        self._block[cell, first : first + len(scores)] = scores
        self._filled[cell] += len(scores)

    def of(self, cell: int) -> Scores:
        """All scores of a cell so far, float64 (n,)."""
        return self._block[cell, : self._filled[cell]].astype(np.float64)

    def _widen(self) -> None:
        self._width += 1
        wider = np.empty(self._block.shape, WIDTHS[self._width])
        for cell in np.flatnonzero(self._filled):  # the rest of a block is not even memory yet
            wider[cell, : self._filled[cell]] = self._block[cell, : self._filled[cell]]
        self._block = wider


def _is_held(scores: Scores, width: type[np.generic]) -> bool:
    if width is np.float64:
        return True
    if width is np.uint8 and not ((scores >= 0) & (scores <= 255) & ~np.signbit(scores)).all():
        return False
    with np.errstate(over="ignore"):  # what is infinite there is another number
        return bool((scores.astype(width) == scores).all())  # NaN is not held, and needs all bits
