"""A map as plain values: all that somebody needs to draw it, whoever it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from core.plans import cut_words
from core.plans.plan import Cut
from core.sensitivity.maps.groups import Group, groups_of
from core.sensitivity.maps.layout import Grid
from core.sensitivity.maps.marks import Known, Mark, is_pale
from core.sensitivity.report import CellResult, SensitivityReport, largest_within

NO_REASONS: Mapping[str, str] = MappingProxyType({})
NO_SECONDS: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class MapRow:
    """One row.

    Attributes:
        name: of the target, or of the attention whose heads it holds.
        group: position of the innermost group; `None` outside of all.
        n_weights: entries of what its cells cut from, at most.
        seconds: that the layer takes; `None` if nobody timed it.
        absent: why a place without a cell has none, by kind of column.
    """

    name: str
    group: int | None
    n_weights: int
    seconds: float | None
    absent: Mapping[str, str]


@dataclass(frozen=True)
class MapCell:
    """One square.

    Attributes:
        row, column: place.
        cut: that it stands for.
        drop: that colours it, in the metric's unit; `None` for no colour.
        low, high, n: of the measured drop; `None` unless measured.
        is_pale: little is known: the interval holds 0, or it saw few examples.
        grey: 0 to 1 where it is only estimated, else `None`.
        mark: what stands in it; its glyph and meaning are in `marks`.
        lines: what is said of it: first what is cut, then a thought a line.
    """

    row: int
    column: int
    cut: Cut
    drop: float | None
    low: float | None
    high: float | None
    n: int | None
    is_pale: bool
    grey: float | None
    mark: Mark | None
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Map:
    """All of it.

    Attributes:
        rows: in network order.
        groups: of rows, by module.
        columns: labels; an empty one keeps two kinds apart.
        kinds: of each column what goes there; empty of an empty one.
        headings: above some columns: text and the middle of what it is above.
        notes: words in place of a row's cells, by (row, first column).
        cells: in the order of rows and columns.
        marks: that occur, in the order of `MARKS`.
    """

    rows: tuple[MapRow, ...]
    groups: tuple[Group, ...]
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    headings: tuple[tuple[str, float], ...]
    notes: Mapping[tuple[int, int], str]
    cells: tuple[MapCell, ...]
    marks: tuple[Mark, ...]


def map_of(
    grid: Grid,
    report: SensitivityReport,
    reasons: Mapping[str, str] = NO_REASONS,
    seconds: Mapping[str, float] = NO_SECONDS,
) -> Map:
    """A map as plain values.

    Args:
        grid: what to draw.
        report: that its cells are from.
        reasons: why a layer cannot be cut in a way, by name of the layer.
        seconds: that layers take, by name.
    """
    known = Known.of(report, grid)
    groups = groups_of(grid.rows)
    inside = {row: i for i, group in enumerate(groups) for row in group.rows}  # inner groups come after outer ones
    cells = tuple(_cell(known, *place, cell) for place, cell in sorted(grid.cells.items(), key=lambda item: item[0]))
    weights: dict[int, int] = {}
    for (row, _), cell in grid.cells.items():
        weights[row] = max(weights.get(row, 0), cell.n_weights)
    there = {(cell.row, grid.kinds[cell.column]) for cell in cells}
    kinds = [kind for kind in dict.fromkeys(grid.kinds) if kind]
    noted = {(row, grid.kinds[column]): text for (row, column), text in grid.notes.items()}
    rows = tuple(
        MapRow(
            name, inside.get(i), weights.get(i, 0), seconds.get(name),
            {kind: _absent(kind, (i, kind) in there, noted.get((i, kind)), reasons.get(name)) for kind in kinds},
        )
        for i, name in enumerate(grid.rows)
    )  # fmt: skip
    occurring = {cell.mark for cell in cells if cell.mark is not None}
    return Map(
        rows, groups, grid.columns, grid.kinds, grid.headings, grid.notes, cells,
        tuple(mark for mark in _ORDER if mark in occurring),
    )  # fmt: skip


_ORDER: tuple[Mark, ...] = ("undecided", "between", "few", "forecast", "estimate", "waiting", "no effect", "failed")


def _absent(kind: str, has_some: bool, note: str | None, reason: str | None) -> str:
    """Why a place has no cell."""
    if note is not None:
        return f"its {kind} go {note}"
    if has_some:
        return f"there is no such cut of its {kind}"
    return f"no {kind} of it are cut in this run" + (f": {reason}" if reason else "")


def _cell(known: Known, row: int, column: int, cell: CellResult) -> MapCell:
    cut, drop = cell.cut, cell.drop if cell.state == "measured" else None
    of = "parameters" if cut.granularity == "channel" else "weights"  # scales and biases go with channels
    what = f"{cut.target}: {cut_words.what_goes_text(cut)}{cut_words.criterion_text(cut)}"
    return MapCell(
        row, column, cut, known.drop(cell), drop.low if drop else None, drop.high if drop else None,
        drop.n if drop else None, is_pale(cell), known.grey(cell), known.mark(cell),
        (f"{what} ({cell.n_removed:,} of {cell.n_weights:,} {of})", *known.lines(cell)),
    )  # fmt: skip


def limits_of(grid: Grid, tolerance: float) -> dict[str, tuple[float | None, ...]]:
    """By kind of column, of each row the largest sparsity within a tolerance; kinds without any are left out."""
    found: dict[str, dict[int, float]] = {}
    by_kind: dict[str, list[CellResult]] = {}
    for (_, column), cell in grid.cells.items():
        by_kind.setdefault(grid.kinds[column], []).append(cell)
    for kind, cells in by_kind.items():
        rows = {name: i for i, name in enumerate(grid.rows)}
        for granularity in {cell.cut.granularity for cell in cells}:
            for name, sparsity in largest_within(cells, tolerance, granularity).items():
                most = found.setdefault(kind, {})
                most[rows[name]] = max(sparsity, most.get(rows[name], 0.0))
    return {kind: tuple(most.get(i) for i in range(len(grid.rows))) for kind, most in found.items()}
