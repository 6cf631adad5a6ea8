"""Rows of evidence as they lie on disk: packed, and with a digest that tells a damaged one from a sound one."""

import hashlib
import sqlite3
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHORT = 8  # bytes of a digest that a row of evidence keeps: one of 2⁶⁴ damages would go unseen
ONE = np.float32(1).tobytes()


def seal(*values: str | int | bytes | None) -> bytes:
    """Digest of a row: of what it is and of what it says, in the order of its columns; also a function in SQL.

    It tells a damaged row (a bit that a disk or a copy has flipped) from a sound one. It is no signature: whoever
    changes a row on purpose can seal it again.
    """
    hashed = hashlib.blake2b(digest_size=16)
    for value in values:
        entry = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
        hashed.update(f"{type(value).__name__} {len(entry)} ".encode())
        hashed.update(entry)
    return hashed.digest()


def short_seal(*values: str | int | bytes | None) -> bytes:
    """What a row of packed evidence keeps of its `seal`; also a function in SQL."""
    return seal(*values)[:SHORT]


def packed(scores: bytes) -> bytes:
    """Scores as they are kept: a bit each where all of them are 0 or 1, as of an accuracy, else as they are.

    Args:
        scores: float32, little-endian, 4 n bytes. Of another length, as of a damaged row, they stay as they are.
    """
    found = np.frombuffer(scores, "<u4") if scores and len(scores) % 4 == 0 else None
    if found is None or not np.isin(found, (0, int.from_bytes(ONE, "little"))).all():
        return scores
    return np.packbits(found != 0).tobytes()


def unpacked(kept: bytes, n: int) -> NDArray[np.float32] | None:
    """The n scores that `packed` was given, float32 (n,); `None` if these cannot be n scores."""
    if len(kept) == 4 * n:
        return np.frombuffer(kept, "<f4")
    if n > 0 and len(kept) == -(-n // 8):
        return np.unpackbits(np.frombuffer(kept, np.uint8), count=n).astype("<f4")
    return None


def define_functions(db: sqlite3.Connection) -> None:
    """Give a connection the functions above in SQL, by their names."""
    db.create_function("seal", -1, seal, deterministic=True)
    db.create_function("short_seal", -1, short_seal, deterministic=True)
    db.create_function("packed", 1, lambda scores: None if scores is None else packed(scores), deterministic=True)


def put_evidence(db: sqlite3.Connection, rows: Iterable[tuple[Any, ...]], origin: str | None = None) -> int:
    """Put rows of evidence into their tables; those that are there already stay as they are.

    Args:
        db: inside a transaction.
        rows: key of the cell, key of the batch, n, changed, scores as `packed` gives them, weights as bytes or `None`.
        origin: JSON, machine and versions that they were measured with; `None` where nobody knows.

    Returns:
        How many were new.
    """
    rows = list(rows)
    _name(db, {key for row in rows for key in row[:2]})
    weights = {row[5] for row in rows} - {None}
    db.executemany(
        "INSERT OR IGNORE INTO main.shared (content, digest) VALUES (?, ?)", [(one, seal(one)) for one in weights]
    )
    if origin is not None:
        db.execute("INSERT OR IGNORE INTO main.origins (made_with) VALUES (?)", (origin,))
    return db.executemany(
        "INSERT OR IGNORE INTO main.evidence_rows VALUES ((SELECT id FROM main.keys WHERE key = ?), "
        "(SELECT id FROM main.keys WHERE key = ?), ?, ?, ?, (SELECT id FROM main.shared WHERE digest = ?), "
        "(SELECT id FROM main.origins WHERE made_with = ?), ?)",
        ((*row[:5], None if row[5] is None else seal(row[5]), origin, short_seal(*row)) for row in rows),
    ).rowcount


def put_losses(db: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> int:
    """As `put_evidence`: key of the cell, key of the batch, fingerprint of the loss's code, its values as bytes."""
    rows = list(rows)
    _name(db, {key for row in rows for key in row[:3]})
    key = "(SELECT id FROM main.keys WHERE key = ?)"
    return db.executemany(
        f"INSERT OR IGNORE INTO main.loss_rows VALUES ({key}, {key}, {key}, ?, ?)",
        ((*row, short_seal(*row)) for row in rows),
    ).rowcount


def drop_rows(db: sqlite3.Connection, keys: Iterable[tuple[str, str]]) -> None:
    """Take evidence and losses of cells on batches out again: those that were found damaged."""
    key = "(SELECT id FROM main.keys WHERE key = ?)"
    keys = list(keys)
    for table in ("evidence_rows", "loss_rows"):
        db.executemany(f"DELETE FROM main.{table} WHERE cell = {key} AND batch = {key}", keys)


def _name(db: sqlite3.Connection, keys: Iterable[str]) -> None:
    db.executemany("INSERT OR IGNORE INTO main.keys (key) VALUES (?)", ((key,) for key in sorted(keys)))
