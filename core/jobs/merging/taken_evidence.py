"""Evidence of the workspace attached as `other` that this one does not have, and what both have otherwise. No torch."""

import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from core.workspace import PACKED, SEALED
from core.workspace.rows import (
    drop_rows,
    packed,
    put_evidence,
    put_losses,
    seal,
    short_seal,
    unpacked,
)

# between two commits: others who write wait for as long as these take, some tenths of a second
SLICE_ROWS, SLICE_BYTES = 5_000, 2_000_000
KEPT_KEYS, KEPT_WEIGHTS = 4_096, 64  # in memory, of what rows share


class Row(NamedTuple):
    """One cell on one batch.

    Attributes:
        row: key of the cell, key of the batch, n, changed, packed scores, weights; of losses without digest.
        whole: whether it is as it was written.
        digest: `short_seal` of the row, if it is whole.
        origin: machine and versions that it was measured with, JSON; `None` where nobody knows.
    """

    row: tuple[Any, ...]
    whole: bool
    digest: bytes = b""
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
    for rows in _slices(_in_both(other, here) if version >= PACKED else _there(other, version)):
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


def _in_both(other: sqlite3.Connection, here: sqlite3.Connection) -> Iterator[Row]:
    """Evidence there of the cells that are known here as well: of two shards, little more than the dense model's."""
    asked = "SELECT 1 FROM main.evidence_rows WHERE cell = (SELECT id FROM main.keys WHERE key = ?) LIMIT 1"
    for cell, key in _plain(other, "SELECT id, key FROM other.keys"):
        if here.execute(asked, (key,)).fetchone():
            yield from _packed_there(other, "WHERE cell = ?", (cell,))


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
            known = _known(here, whole)
            drop_rows(here, sorted(key for key, mine in known.items() if not mine.whole))
            new = [one for one in whole if (mine := known.get(one.row[:2])) is None or not mine.whole]
            for origin, group in groupby(sorted(new, key=lambda one: one.origin or ""), key=lambda one: one.origin):
                of_one = list(group)
                added += put_evidence(here, [one.row for one in of_one], origin, [one.digest for one in of_one])
        taken.added += added
    if version >= 4:
        for rows in _slices(_losses_there(other, version)):
            with _slice_of(here, check):
                whole = [one for one in rows if one.whole]
                put_losses(here, [one.row for one in whole], [one.digest for one in whole])


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
        for value in one.row[3:]:
            if isinstance(value, bytes):
                n_bytes += len(value)
        if len(found) >= SLICE_ROWS or n_bytes >= SLICE_BYTES:
            yield found
            found, n_bytes = [], 0
    if found:
        yield found


def _prefixed(table: str, columns: str) -> str:
    return ", ".join(f"{table}.{column}" for column in columns.split(", "))


def _there(db: sqlite3.Connection, version: int) -> Iterator[Row]:
    """All evidence of the other workspace, packed as it is here."""
    if version >= PACKED:
        yield from _packed_there(db)
        return
    digest = "digest" if version >= SEALED else "NULL"
    for *row, told in _plain(db, f"SELECT cell, batch, n, changed, scores, weights, {digest} FROM other.evidence"):
        _, _, n, changed, scores, weights = row
        fits = len(scores) == 4 * n and changed in (0, 1) and (weights is None or len(weights) == 4 * n)
        whole = seal(*row) == told if version >= SEALED else fits
        now = (*row[:4], packed(scores), weights)
        yield Row(now, whole, short_seal(*now) if whole else b"")


def _packed_there(db: sqlite3.Connection, where: str = "", values: tuple[int, ...] = ()) -> Iterator[Row]:
    """Evidence as it lies in the tables themselves: a view of another's file may show anything.

    What rows share is read once: joined to each of them it took most of the time.
    """
    key, shared, origins = (
        _said(db, f"SELECT {column} FROM other.{table} WHERE id = ?", n_kept)
        for table, column, n_kept in (
            ("keys", "key", KEPT_KEYS), ("shared", "content", KEPT_WEIGHTS), ("origins", "made_with", KEPT_KEYS)
        )
    )  # fmt: skip
    rows = _plain(
        db, f"SELECT cell, batch, n, changed, scores, weights, digest, origin FROM other.evidence_rows {where}", values
    )
    for cell, batch, n, changed, scores, weights, told, origin in rows:
        row = (key(cell), key(batch), n, changed, scores, shared(weights))
        if row[0] is not None and row[1] is not None:  # else nobody finds it there either
            digest = short_seal(*row)
            yield Row(row, digest == told, digest, origins(origin))


def _said(db: sqlite3.Connection, asked: str, n_kept: int) -> Callable[[Any], Any]:
    """What a number stands for; `None` where it stands for nothing."""

    @lru_cache(n_kept)
    def said(number: Any) -> Any:
        found = None if number is None else next(_plain(db, asked, (number,)), None)
        return None if found is None else found[0]

    return said


def _losses_there(db: sqlite3.Connection, version: int) -> Iterator[Row]:
    if version >= PACKED:
        rows = _plain(
            db,
            "SELECT c.key, b.key, f.key, l.values_, l.digest FROM other.loss_rows l JOIN other.keys c ON c.id = l.cell "
            "JOIN other.keys b ON b.id = l.batch JOIN other.keys f ON f.id = l.loss",
        )
        for *row, told in rows:
            yield Row(tuple(row), (digest := short_seal(*row)) == told, digest)
        return
    column = "digest" if version >= SEALED else "NULL"
    for *row, told in _plain(db, f"SELECT cell, batch, loss, values_, {column} FROM other.losses"):
        whole = seal(*row) == told if version >= SEALED else len(row[3]) % 4 == 0
        yield Row(tuple(row), whole, short_seal(*row) if whole else b"")


def _plain(db: sqlite3.Connection, asked: str, values: tuple[Any, ...] = ()) -> Iterator[Any]:
    """Rows as tuples."""
    cursor = db.cursor()
    cursor.row_factory = None
    return cursor.execute(asked, values)


def _known(db: sqlite3.Connection, rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    """What is known here of the cells and batches of rows of the other workspace."""
    theirs = {one.row[:2]: one for one in rows}
    found: dict[tuple[str, str], Row] = {}
    asked = (
        "SELECT c.key, b.key, e.n, e.changed, e.scores, s.content, e.digest, o.made_with "
        "FROM main.keys c JOIN main.evidence_rows e ON e.cell = c.id JOIN main.keys b ON b.id = e.batch "
        "LEFT JOIN main.shared s ON s.id = e.weights LEFT JOIN main.origins o ON o.id = e.origin WHERE c.key = ?"
    )
    for cell in sorted({cell for cell, _ in theirs}):
        for *values, told, origin in _plain(db, asked, (cell,)):
            row = tuple(values)
            if (other := theirs.get(row[:2])) is not None:
                # the same digest of the same row: it has been reckoned there
                same = other.whole and other.digest == told and other.row == row
                found[row[:2]] = Row(row, same or short_seal(*row) == told, told or b"", origin)
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
