"""Which columns of a table have room, and how wide each must be; what all rows say alike is said once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

LETTER, EDGES, LEAST = 6.9, 20, 44  # pixels: of a letter in a table, of a cell's edges, of a column
MOST = 360  # of a column of sentences, of which a click on a cell shows all; a name's end tells it from its neighbours
BAR = 150  # of a bar with its number
NARROWEST = 84  # of words that give way when nothing else can
N = re.compile(r", n = ([\d,]+)$")


@dataclass(frozen=True)
class Fit:
    """What of a table is shown.

    Attributes:
        columns: with the pixels of each, in the order of the table.
        left_out: those for which there is no room, likewise.
    """

    columns: Mapping[str, int]
    left_out: tuple[str, ...]


def fit(frame: pd.DataFrame, room: int, secondary: Sequence[str] = (), config: Mapping[str, Any] | None = None) -> Fit:
    """Choose columns so that a table needs no scrolling sideways.

    Args:
        frame: the table.
        room: pixels for its columns together.
        secondary: columns that give way where room is short, the first one first. No other is left out: of those the
            widest of words become narrower.
        config: what Streamlit is told of columns; titles, formats and widths are read.
    """
    told = config or {}
    widths = {str(name): width_of(frame[name], told.get(str(name)) or {}) for name in frame}
    left_out = []
    for name in secondary:
        if sum(widths.values()) <= room:
            break
        if name in widths and len(widths) > 1:
            left_out.append(name)
            del widths[name]
    words = [name for name in widths if pd.api.types.is_string_dtype(frame[name]) and not _are_numbers(frame[name])]
    while words and sum(widths.values()) > room:
        widest = max(words, key=widths.__getitem__)
        narrower = max(NARROWEST, widths[widest] - (sum(widths.values()) - room))
        if narrower >= widths[widest]:
            break
        widths[widest] = narrower
    return Fit(widths, tuple(str(name) for name in frame if name in left_out))


def width_of(column: pd.Series, config: Mapping[str, Any]) -> int:
    """Pixels in which the title and each cell of a column stand whole, but sentences that need more than `MOST`."""
    if isinstance(width := config.get("width"), int):
        return width
    kind = config.get("type_config") or {}
    title = str(config.get("label") or column.name)
    longest = max([len(title), *(len(_shown(cell, kind.get("format"))) for cell in column)])
    if kind.get("type") == "progress":
        return max(BAR, round(EDGES + LETTER * len(title)))
    most = MOST if any(isinstance(cell, str) and " " in cell for cell in column) else 3 * MOST
    return max(LEAST, min(most, round(EDGES + LETTER * longest)))


def n_once(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The table without `, n = 10,000` where a column says it in every cell that says any, and what to say instead.

    Returns:
        The table, and `n = 10,000 throughout.`, or which columns go by which n; empty where no two cells share one.
    """
    by_column = {str(name): {_n(cell) for cell in frame[name]} - {None} for name in frame}
    by_column = {name: found for name, found in by_column.items() if found}
    groups: dict[str, list[str]] = {}
    for name, found in by_column.items():
        if len(found) == 1:
            groups.setdefault(str(*found), []).append(name)
    groups = {n: names for n, names in groups.items() if sum(_n(c) == n for name in names for c in frame[name]) > 1}
    shown = frame.copy()
    for name in (name for names in groups.values() for name in names):
        shown[name] = [N.sub("", cell) if isinstance(cell, str) else cell for cell in frame[name]]
    if len(groups) == 1 and sum(map(len, groups.values())) == len(by_column):
        return shown, f"n = {next(iter(groups))} throughout."
    return shown, " ".join(f"n = {n} of {' and '.join(names)}." for n, names in groups.items())


def _n(cell: object) -> str | None:
    found = N.search(cell) if isinstance(cell, str) else None
    return found.group(1) if found else None


def _are_numbers(column: pd.Series) -> bool:
    """Whether a column of text holds figures, of which no digit may be cut off."""
    cells = [str(cell).strip() for cell in column if str(cell).strip()]
    return sum(cell[0] in "+−-<>≈[0123456789" for cell in cells) > len(cells) / 2


def _shown(cell: object, form: str | None) -> str:
    if cell is None or cell is pd.NA or (isinstance(cell, float) and cell != cell):
        return ""
    if isinstance(cell, datetime):
        return "0000-00-00 00:00"
    if isinstance(cell, (bool, str)) or not isinstance(cell, (int, float)):
        return str(cell)
    if form and form.startswith("%"):
        return form % cell
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:,.4g}"
