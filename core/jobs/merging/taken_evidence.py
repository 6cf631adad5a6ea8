"""Evidence of the workspace attached as `other` that this one does not have, and what both have otherwise. No torch."""

import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from core.workspace import PACKED, SEALED, seal
from core.workspace.rows import drop_rows, packed, put_evidence, put_losses, short_seal, unpacked

# between two commits: others who write wait for as long as these take, some tenths of a second
SLICE_ROWS, SLICE_BYTES = 5_000, 2_000_000


@dataclass(frozen=True)
class Row:
    """One cell on one batch as the other workspace has it.

    Attributes:
        row: key of the cell, key of the batch, n, changed, packed scores, weights; of losses without digest.
        whole: whether it is as it was written.
        origin: machine and versions that it was measured with, JSON; `None` where nobody knows.
    """

    row: tuple[Any, ...]
    whole: bool
    origin: str | None = None


@dataclass
class Differences:
    """Measurements that both have whole with different numbers.

    Attributes:
        n: how many.
        largest: difference of one example's score or weight among them; infinite where one is no number.
        origins: of those that differ most, here and there.
    """

    n: int = 0
    largest: float = 0.0
    origins: tuple[str | None, str | None] = (None, None)


@dataclass
class Taken:
    """Measurements there: how many in all, how many of them were new here, how many are damaged there."""

    total: int = 0
    added: int = 0
    damaged: int = 0


def differences(other: sqlite3.Connection, here: sqlite3.Connection, version: int) -> Differences:
    """What both have whole with different numbers; arguments as of `take_evidence`. Nothing is written."""
    found = Differences()
    for rows in _slices(_there(other, version)):
        known = _known(here, rows)
        for one in rows:
            mine = known.get(one.row[:2])
            if mine is None or mine.row[2:] == one.row[2:] or not (mine.whole and one.whole):
                continue
            found.n += 1
            gap = max(_gap(_scores(mine.row), _scores(one.row)), _gap(_floats(mine.row[5]), _floats(one.row[5])))
            if gap > found.largest or found.n == 1:
                found.largest, found.origins = gap, (mine.origin, one.origin)
    return found


def take_evidence(
    other: sqlite3.Connection, here: sqlite3.Connection, version: int, check: Callable[[], None], taken: Taken
) -> None:
    """Evidence that is whole there, slice by slice; one that is damaged here gives way to it.

    What is known of a cell has the same name everywhere and adds up, so a slice that is taken over is right by itself.

    Args:
        other: the other workspace is attached to it as `other`, and is read as it was at one moment.
        here: another connection to this workspace, outside of a transaction.
        version: of the other workspace.
        check: called before a slice is committed; raises if it must not be.
        taken: is told; of an earlier try it knows what that has added.
    """
    taken.total = taken.damaged = 0
    for rows in _slices(_there(other, version)):
        taken.total += len(rows)
        whole = [one for one in rows if one.whole]
        taken.damaged += len(rows) - len(whole)
        added = 0
        with _slice_of(here, check):
            drop_rows(here, sorted(key for key, mine in _known(here, whole).items() if not mine.whole))
            for origin, group in groupby(sorted(whole, key=lambda one: one.origin or ""), key=lambda one: one.origin):
                added += put_evidence(here, (one.row for one in group), origin)
        taken.added += added
    if version >= 4:
        for rows in _slices(_losses_there(other, version)):
            with _slice_of(here, check):
                put_losses(here, (one.row for one in rows if one.whole))


@contextmanager
def _slice_of(here: sqlite3.Connection, check: Callable[[], None]) -> Iterator[None]:
    here.execute("BEGIN IMMEDIATE")
    try:
        yield
        check()
    except BaseException:
        if here.in_transaction:  # a full disk has rolled back already
            here.execute("ROLLBACK")
        raise
    here.execute("COMMIT")


def take_batches(db: sqlite3.Connection, version: int) -> None:
    """Which examples batches are made of; inside a transaction."""
    if version < 2:
        return
    columns = "batch, n, positions, columns"
    there, here = _prefixed("other.batches", columns), _prefixed("main.batches", columns)
    sound = (
        f"seal({there}) IS other.batches.digest"
        if version >= SEALED
        else ("length(other.batches.positions) = 8 * other.batches.n")
    )
    db.execute(
        f"DELETE FROM main.batches WHERE seal({here}) IS NOT digest "
        f"AND batch IN (SELECT batch FROM other.batches WHERE {sound})"
    )
    db.execute(
        f"INSERT OR IGNORE INTO main.batches ({columns}, digest) SELECT {columns}, seal({columns}) "
        f"FROM other.batches WHERE {sound}"
    )


def _slices(rows: Iterator[Row]) -> Iterator[list[Row]]:
    found: list[Row] = []
    n_bytes = 0
    for one in rows:
        found.append(one)
        n_bytes += sum(len(value) for value in one.row if isinstance(value, bytes))
        if len(found) >= SLICE_ROWS or n_bytes >= SLICE_BYTES:
            yield found
            found, n_bytes = [], 0
    if found:
        yield found


def _prefixed(table: str, columns: str) -> str:
    return ", ".join(f"{table}.{column}" for column in columns.split(", "))


def _there(db: sqlite3.Connection, version: int) -> Iterator[Row]:
    """All evidence of the other workspace, packed as it is here."""
    if version >= PACKED:  # the tables themselves: a view of another's file may show anything
        rows = db.execute(
            "SELECT c.key, b.key, e.n, e.changed, e.scores, s.content, e.digest, o.made_with "
            "FROM other.evidence_rows e JOIN other.keys c ON c.id = e.cell JOIN other.keys b ON b.id = e.batch "
            "LEFT JOIN other.shared s ON s.id = e.weights LEFT JOIN other.origins o ON o.id = e.origin"
        )
        for *row, digest, origin in map(tuple, rows):
            yield Row(tuple(row), short_seal(*row) == digest, origin)
        return
    digest = "digest" if version >= SEALED else "NULL"
    for *row, told in map(
        tuple, db.execute(f"SELECT cell, batch, n, changed, scores, weights, {digest} FROM other.evidence")
    ):
        _, _, n, changed, scores, weights = row
        fits = len(scores) == 4 * n and changed in (0, 1) and (weights is None or len(weights) == 4 * n)
        yield Row((*row[:4], packed(scores), weights), seal(*row) == told if version >= SEALED else fits)


def _losses_there(db: sqlite3.Connection, version: int) -> Iterator[Row]:
    if version >= PACKED:
        rows = db.execute(
            "SELECT c.key, b.key, f.key, l.values_, l.digest FROM other.loss_rows l JOIN other.keys c ON c.id = l.cell "
            "JOIN other.keys b ON b.id = l.batch JOIN other.keys f ON f.id = l.loss"
        )
        yield from (Row(tuple(row), short_seal(*row) == digest) for *row, digest in map(tuple, rows))
        return
    digest = "digest" if version >= SEALED else "NULL"
    rows = db.execute(f"SELECT cell, batch, loss, values_, {digest} FROM other.losses")
    for *row, told in map(tuple, rows):
        yield Row(tuple(row), seal(*row) == told if version >= SEALED else len(row[3]) % 4 == 0)


def _known(db: sqlite3.Connection, rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    """What is known here of the cells and batches of rows of the other workspace."""
    wanted = {one.row[:2] for one in rows}
    found: dict[tuple[str, str], Row] = {}
    for cell in sorted({cell for cell, _ in wanted}):
        for *row, digest, origin in map(
            tuple,
            db.execute(
                "SELECT c.key, b.key, e.n, e.changed, e.scores, s.content, e.digest, o.made_with "
                "FROM main.keys c JOIN main.evidence_rows e ON e.cell = c.id JOIN main.keys b ON b.id = e.batch "
                "LEFT JOIN main.shared s ON s.id = e.weights LEFT JOIN main.origins o ON o.id = e.origin "
                "WHERE c.key = ?",
                (cell,),
            ),
        ):
            if (row[0], row[1]) in wanted:
                found[row[0], row[1]] = Row(tuple(row), short_seal(*row) == digest, origin)
    return found


def _scores(row: tuple[Any, ...]) -> np.ndarray | None:
    return unpacked(row[4], row[2])


def _floats(kept: bytes | None) -> np.ndarray | None:
    return None if kept is None or len(kept) % 4 else np.frombuffer(kept, "<f4")


def _gap(a: np.ndarray | None, b: np.ndarray | None) -> float:
    """The largest difference of two arrays of float32; infinite where it is no number."""
    if a is None and b is None:
        return 0.0
    if a is None or b is None or len(a) != len(b):
        return math.inf
    x, y = a.astype(np.float64), b.astype(np.float64)
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    return float(np.nan_to_num(np.abs(x - y)[~same], nan=math.inf).max(initial=0.0))
