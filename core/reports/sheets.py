"""A map as sheets of squares, one for each thing that is removed: what a page and a notebook draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core import numbers
from core.plans import cut_words
from core.plans.plan import HEADS, Cut
from core.sensitivity.maps.colours import grey_step, step_of
from core.sensitivity.maps.layout import FIXED, Grid, block_grid, head_grid, kind_of, sparsity_grid
from core.sensitivity.maps.marks import MARKS, Known, is_pale
from core.sensitivity.report import CellResult, SensitivityReport, default_tolerance

LONG = 6  # letters of a column's label that fit above it
BARE = "waiting"  # a square without colour is its own mark


@dataclass(frozen=True)
class Square:
    """One cell as it is drawn.

    Attributes:
        text: in it, before its mark; empty where nothing is known.
        told: in full, when the pointer rests on it.
        step: of its colour (`core.sensitivity.maps.colours`); `None` for none.
        pale: little is known of it: undecided, or on few examples.
        mark: of `core.sensitivity.maps.marks`.
    """

    text: str
    told: str
    step: int | None = None
    pale: bool = False
    mark: str | None = None

    @property
    def shown(self) -> str:
        """Its text with its mark."""
        return self.text + (MARKS[self.mark] if self.mark is not None and self.mark != BARE else "")


@dataclass(frozen=True)
class Sheet:
    """Squares in rows and columns.

    Attributes:
        title: what is removed.
        rows, columns: labels, in order.
        squares: by (row, column); a place without one is blank.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    squares: Mapping[tuple[int, int], Square]

    @property
    def marks(self) -> tuple[str, ...]:
        """Marks that occur, in the order of `MARKS`."""
        there = {square.mark for square in self.squares.values()}
        return tuple(mark for mark in MARKS if mark in there)


def tolerance_for(report: SensitivityReport, asked: float | None = None) -> float:
    """The tolerance that a map is coloured by: the one asked for, else the usual one of its metric."""
    if asked is not None and asked > 0:
        return asked
    return default_tolerance(report.scale, report.dense.value if report.dense else 1.0)


def map_sheets(report: SensitivityReport, tolerance: float) -> tuple[Sheet, ...]:
    """The map of a sweep: weights, channels, patterns and tiles, heads, blocks, each by each criterion.

    Args:
        report: finished or not.
        tolerance: in the metric's unit, above 0.
    """
    grids = grids_of(report.cells)
    return tuple(sheet_of(title, grid, _squares(Known.of(report, grid), grid, tolerance)) for title, grid in grids)


def grids_of(cells: Sequence[CellResult]) -> list[tuple[str, Grid]]:
    """Grids with their titles: one for each thing that is removed, by each criterion."""
    kinds: dict[tuple[str, str], list[CellResult]] = {}
    for cell in cells:
        kinds.setdefault((kind_of(cell.cut), cut_words.criterion_text(cell.cut)), []).append(cell)
    found = []
    for (kind, by), own in kinds.items():
        make = head_grid if kind in HEADS else block_grid if kind == "block" else sparsity_grid
        found.append(((kind if kind == FIXED else cut_words.granularity_text(kind)) + by, make(own)))
    return found


def sheet_of(title: str, grid: Grid, squares: Mapping[Cut, Square]) -> Sheet:
    """Put squares at the places of the cells that they are of."""
    labels = grid.columns
    if any(len(label) > LONG for label in labels):  # they would touch
        title, labels = f"{title}, %", tuple(label.removesuffix(" %") for label in labels)
    return Sheet(title, grid.rows, labels, {place: squares[cell.cut] for place, cell in grid.cells.items()})


def _squares(known: Known, grid: Grid, tolerance: float) -> dict[Cut, Square]:
    return {cell.cut: _square(known, cell, tolerance) for cell in grid.cells.values()}


def _square(known: Known, cell: CellResult, tolerance: float) -> Square:
    scale, mark, drop, grey = known.report.scale, known.mark(cell), known.drop(cell), known.grey(cell)
    if drop is None or cell.drop is None:
        return Square("", "; ".join(known.lines(cell)), None if grey is None else grey_step(grey), mark=mark)
    told = f"{numbers.drop_text(scale, cell.drop.value)} {numbers.drop_interval(scale, cell.drop)}, n {cell.drop.n:,}"
    if mark == "between":
        told = f"interpolated {numbers.drop_text(scale, drop)}; its own few examples: {told}"
    text = numbers.short_drop_text(scale, drop)
    return Square(text, told, step_of(drop, tolerance), is_pale(cell), mark)
