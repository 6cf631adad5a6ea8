"""Cells in rows and columns: target × sparsity, layer × head, and blocks.

Weights, channels and patterns stand side by side: a row is a layer, and a coupled group stands in the row of the layer
that it is named after.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from core import numbers
from core.plans import cut_words
from core.plans.patterns import is_pattern, parse_pattern
from core.plans.plan import HEADS, Cut
from core.sensitivity.report import CellResult

FIXED = "N:M"  # heading of patterns that have one sparsity
NO_NAMES: Mapping[str, str] = MappingProxyType({})
MANY_COLUMNS = 8  # beside each other, above which their percent signs move into the heading


@dataclass(frozen=True)
class Grid:
    """Cells in rows and columns.

    Attributes:
        rows, columns: labels, in order; an empty column keeps two kinds of cells apart.
        cells: by (row, column).
        headings: above some columns, each with the middle of what it is above; empty where there is one kind of cells.
        kinds: of each column what goes there, in words; empty of an empty column.
        notes: words in place of a row's cells, by (row, first column).
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[int, int], CellResult]
    headings: tuple[tuple[str, float], ...] = ()
    kinds: tuple[str, ...] = ()
    notes: Mapping[tuple[int, int], str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Part:
    """Columns of one kind of cells: a heading, and what stands in each column."""

    heading: str
    columns: Mapping[str, Mapping[str, CellResult]]  # label -> row -> cell


def sparsity_grid(
    cells: Sequence[CellResult], shown: Container[str] | None = None, goes_with: Mapping[str, str] = NO_NAMES
) -> Grid:
    """Cells of which a fraction goes: a row per layer in network order, a column per sparsity, kind beside kind.

    Args:
        cells: of any granularities.
        shown: granularities; `None` for all that have sparsities.
        goes_with: of layers whose channels go with another's, the group's name; it stands where the cells would.
    """
    fractional = [c for c in cells if c.cut.sparsity is not None and (shown is None or c.cut.granularity in shown)]
    parts = _parts(fractional)
    # weights first, so that they give the order; what is only a group, or only a pattern, comes after them
    rows = tuple(dict.fromkeys(cell.cut.target for cell in fractional))
    grid = _placed(parts, rows)
    of_channels = [column for (_, column), cell in grid.cells.items() if cell.cut.granularity == "channel"]
    if not of_channels:
        return grid
    at = min(of_channels)
    notes = {
        (row, at): f"with {goes_with[name]}"
        for row, name in enumerate(rows)
        if (row, at) not in grid.cells and name in goes_with and goes_with[name] in rows
    }
    return replace(grid, notes=notes)


def _parts(cells: Sequence[CellResult]) -> list[_Part]:
    by_kind: dict[str, list[CellResult]] = {}
    for cell in cells:
        by_kind.setdefault(kind_of(cell.cut), []).append(cell)
    order = ("weight", "channel", FIXED)
    kinds = sorted(by_kind, key=lambda kind: order.index(kind) if kind in order else len(order))
    parts = []
    n_columns = len({(kind_of(cell.cut), cell.cut.sparsity, cell.cut.granularity) for cell in cells})
    crowded = len(kinds) > 1 and n_columns > MANY_COLUMNS  # a single kind has no heading to say percent
    for kind in kinds:
        of_kind = sorted(by_kind[kind], key=lambda cell: -1.0 if kind == FIXED else cell.cut.sparsity or 0.0)
        columns: dict[str, dict[str, CellResult]] = {}
        for cell in of_kind:
            label = cell.cut.granularity if kind == FIXED else numbers.sparsity_text(cell.cut.sparsity or 0.0)
            columns.setdefault(label.removesuffix(" %") if crowded else label, {})[cell.cut.target] = cell
        heading = FIXED if kind == FIXED else cut_words.granularity_text(kind)
        parts.append(_Part(f"{heading}, %" if crowded and kind != FIXED else heading, columns))
    return parts


def kind_of(cut: Cut) -> str:
    """All patterns that have one sparsity share their columns."""
    is_fixed = is_pattern(cut.granularity) and not parse_pattern(cut.granularity).is_tiles
    return FIXED if is_fixed else cut.granularity


def _placed(parts: Sequence[_Part], rows: tuple[str, ...]) -> Grid:
    row_of = {name: i for i, name in enumerate(rows)}
    placed: dict[tuple[int, int], CellResult] = {}
    columns: list[str] = []
    kinds: list[str] = []
    headings = []
    for part in parts:
        columns += [""] if columns else []
        kinds += [""] if kinds else []
        kinds += [part.heading.removesuffix(", %")] * len(part.columns)
        headings.append((part.heading, len(columns) + (len(part.columns) - 1) / 2))
        for label, by_row in part.columns.items():
            placed.update({(row_of[name], len(columns)): cell for name, cell in by_row.items()})
            columns.append(label)
    return Grid(rows, tuple(columns), placed, tuple(headings) if len(headings) > 1 else (), tuple(kinds))


def head_grid(cells: Sequence[CellResult]) -> Grid:
    """Heads, and key/value groups beside them: a row per attention layer in network order, counted from 0."""
    parts: dict[str, dict[str, dict[str, CellResult]]] = {}
    rows: dict[str, None] = {}
    for granularity in HEADS:
        of_kind = [cell for cell in cells if cell.cut.granularity == granularity]
        split = [(cell.cut.target.rpartition(":"), cell) for cell in of_kind]
        rows |= dict.fromkeys(layer for (layer, _, _), _ in split)
        numbered = [(layer, int(name.removeprefix("kv")), cell) for (layer, _, name), cell in split]
        columns: dict[str, dict[str, CellResult]] = {
            str(i): {} for i in range(max((number + 1 for _, number, _ in numbered), default=0))
        }
        for layer, number, cell in numbered:
            columns[str(number)][layer] = cell
        if columns:
            parts[granularity] = columns
    return _placed([_Part(cut_words.granularity_text(name), columns) for name, columns in parts.items()], tuple(rows))


def block_grid(cells: Sequence[CellResult]) -> Grid:
    """Block cells: a row per block in network order, one column."""
    blocks = [cell for cell in cells if cell.cut.granularity == "block"]
    rows = tuple(cell.cut.target for cell in blocks)
    return Grid(rows, ("skipped",), {(i, 0): cell for i, cell in enumerate(blocks)}, kinds=("blocks",))
