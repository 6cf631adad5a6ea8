"""A map as sheets of squares: a row a target, a column a sparsity, one sheet for each thing that is removed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core import numbers
from core.plans import cut_words
from core.plans.patterns import is_pattern
from core.plans.plan import HEADS, Cut
from core.reports.colours import step_of
from core.sensitivity import sweep_words
from core.sensitivity.report import CellResult, SensitivityReport, default_tolerance, interpolated

MARKS = {
    "·": "the 95 % interval holds 0: no change that the data can tell",
    "~": "interpolated, or on few examples: the answer did not need more",
    "≈": "some examples, and a forecast of the others",
    "no eff.": "no output changed",
    "failed": "could not be cut or measured; the reasons stand below",
    "–": "not compared; a square says why when the pointer rests on it",
}
WAITING = "not measured yet"
LONG = 6  # letters of a column's label that fit above it


@dataclass(frozen=True)
class Square:
    """One cell as it is drawn.

    Attributes:
        text: in it; empty where nothing is known.
        told: in full, when the pointer rests on it.
        step: of its colour (`core.reports.colours`); `None` for none.
        pale: little is known of it: undecided, or interpolated.
    """

    text: str
    told: str
    step: int | None = None
    pale: bool = False


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
        texts = {square.text for square in self.squares.values()}
        return tuple(mark for mark in MARKS if any(mark in text for text in texts))


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
    between = interpolated(report.cells)
    return sheets_of(report.cells, {cell.cut: _square(report, cell, tolerance, between) for cell in report.cells})


def sheets_of(cells: Sequence[CellResult], squares: Mapping[Cut, Square]) -> tuple[Sheet, ...]:
    """Put squares in the rows and columns of the cells that they are of; a cell without one is left blank."""
    kinds: dict[str, list[CellResult]] = {}
    for cell in cells:
        kinds.setdefault(_kind(cell.cut), []).append(cell)
    return tuple(_sheet(title, of_kind, squares) for title, of_kind in kinds.items())


def _kind(cut: Cut) -> str:
    return cut_words.granularity_text(cut.granularity) + cut_words.criterion_text(cut)


def _sheet(title: str, cells: Sequence[CellResult], squares: Mapping[Cut, Square]) -> Sheet:
    places = [(_row(cell.cut), _column(cell.cut), cell.cut) for cell in cells]
    rows = tuple(dict.fromkeys(row for row, _, _ in places))
    columns = tuple(sorted({column for _, column, _ in places}))
    row_of = {name: i for i, name in enumerate(rows)}
    column_of = {key: i for i, key in enumerate(columns)}
    found = {(row_of[row], column_of[column]): squares[cut] for row, column, cut in places if cut in squares}
    labels = tuple(label for _, label in columns)
    if any(len(label) > LONG for label in labels):  # they would touch
        title, labels = f"{title}, %", tuple(label.removesuffix(" %") for label in labels)
    return Sheet(title, rows, labels, found)


def _row(cut: Cut) -> str:
    return cut.target.rpartition(":")[0] if cut.granularity in HEADS else cut.target


def _column(cut: Cut) -> tuple[float, str]:
    """What orders the columns, and what stands above each."""
    if cut.granularity in HEADS:
        number = cut.target.rpartition(":")[2]
        return float(number.removeprefix("kv")), number
    if cut.sparsity is None:
        return 0.0, "skipped"
    is_fixed = is_pattern(cut.granularity) and cut_words.removed_text(cut) == cut.granularity
    return cut.sparsity, cut.granularity if is_fixed else numbers.sparsity_text(cut.sparsity)


def _square(report: SensitivityReport, cell: CellResult, tolerance: float, between: Mapping[Cut, float]) -> Square:
    scale, line = report.scale, between.get(cell.cut)
    text = sweep_words.cell_text(scale, cell, line)
    if cell.drop is None:
        return Square(text, cell.reason or (WAITING if cell.state == "waiting" else cell.state))
    told = f"{numbers.drop_text(scale, cell.drop.value)} {numbers.drop_interval(scale, cell.drop)}, n {cell.drop.n:,}"
    if cell.state == "no effect":
        return Square(text, f"no effect: {cell.reason}")
    few = cell.stage == "early"
    value = cell.drop.value if line is None else line
    if line is not None:
        told = f"interpolated {numbers.drop_text(scale, line)}; its own few examples: {told}"
    step = step_of(value, cell.drop.high if not few else 0.0, tolerance)
    return Square(text, told, step, few or cell.drop.low <= 0 <= cell.drop.high)
