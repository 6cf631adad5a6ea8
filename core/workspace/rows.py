"""Rows of evidence as they lie on disk: packed, and with a digest that tells a damaged one from a sound one."""

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEY_LETTERS = 64
SHORT = 8  # bytes of a digest that a row of evidence keeps: one of 2⁶⁴ damages would go unseen
ONE = int.from_bytes(np.float32(1).astype("<f4").tobytes(), "little")  # as a float32 holds it


Value = str | int | bytes | None


def seal(*values: Value) -> bytes:
    """Digest of a row: of what it is and of what it says, in the order of its columns; also a function in SQL.

    It tells a damaged row (a bit that a disk or a copy has flipped) from a sound one. It is no signature: whoever
    changes a row on purpose can seal it again.
    """
    return hashlib.blake2b(b"".join(map(_entry, values)), digest_size=16).digest()


def _entry(value: Value) -> bytes:
    if isinstance(value, bytes):
        return b"bytes %d %b" % (len(value), value)
    if isinstance(value, str) and len(value) > KEY_LETTERS:
        return _entry_of_text(value)
    return _entry_of_key(value)


def _entry_of_text(value: str | int | None) -> bytes:
    content = str(value).encode("utf-8", "surrogateescape")
    return b"%s %d %b" % (type(value).__name__.encode(), len(content), content)


# keys and counts: rows that are read one after another share them, and making them took half of a row's time
_entry_of_key = lru_cache(16_384, typed=True)(_entry_of_text)


def short_seal(*values: Value) -> bytes:
    """What a row of packed evidence keeps of its `seal`; also a function in SQL."""
    return seal(*values)[:SHORT]


def packed(scores: bytes) -> bytes:
    """Scores as they are kept: a bit each where all of them are 0 or 1, as of an accuracy, else as they are.

    Args:
        scores: float32, little-endian, 4 n bytes. Of another length, as of a damaged row, they stay as they are.
    """
    found = np.frombuffer(scores, "<u4") if scores and len(scores) % 4 == 0 else None
    if found is None or not ((found == 0) | (found == ONE)).all():  # `isin` took half of writing a row
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


def put_evidence(
    db: sqlite3.Connection,
    rows: Iterable[tuple[Any, ...]],
    origin: str | None = None,
    digests: Sequence[bytes] | None = None,
) -> int:
    """Put rows of evidence into their tables; those that are there already stay as they are.

    Args:
        db: inside a transaction.
        rows: key of the cell, key of the batch, n, changed, scores as `packed` gives them, weights as bytes or `None`.
        origin: JSON, machine and versions that they were measured with; `None` where nobody knows.
        digests: `short_seal` of each row, where it is known.

    Returns:
        How many were new.
    """
    rows = list(rows)
    ids = _ids(db, (key for row in rows for key in row[:2]))
    # once for each, not for each row: rows share their batches and weights
    weights: dict[bytes | None, int | None] = {None: None}
    for content in {row[5] for row in rows} - {None}:
        digest = seal(content)
        db.execute("INSERT OR IGNORE INTO main.shared (content, digest) VALUES (?, ?)", (content, digest))
        weights[content] = db.execute("SELECT id FROM main.shared WHERE digest = ?", (digest,)).fetchone()[0]
    made = None
    if origin is not None:
        db.execute("INSERT OR IGNORE INTO main.origins (made_with) VALUES (?)", (origin,))
        made = db.execute("SELECT id FROM main.origins WHERE made_with = ?", (origin,)).fetchone()[0]
    if digests is None:
        digests = [short_seal(*row) for row in rows]
    return db.executemany(
        "INSERT OR IGNORE INTO main.evidence_rows VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (ids[cell], ids[batch], n, changed, scores, weights[shared], made, digest)
            for (cell, batch, n, changed, scores, shared), digest in zip(rows, digests, strict=True)
        ),
    ).rowcount


def put_losses(db: sqlite3.Connection, rows: Iterable[tuple[Any, ...]], digests: Sequence[bytes] | None = None) -> int:
    """As `put_evidence`: key of the cell, key of the batch, fingerprint of the loss's code, its values as bytes."""
    rows = list(rows)
    ids = _ids(db, (key for row in rows for key in row[:3]))
    if digests is None:
        digests = [short_seal(*row) for row in rows]
    return db.executemany(
        "INSERT OR IGNORE INTO main.loss_rows VALUES (?, ?, ?, ?, ?)",
        ((*(ids[key] for key in row[:3]), row[3], digest) for row, digest in zip(rows, digests, strict=True)),
    ).rowcount


def drop_rows(db: sqlite3.Connection, keys: Iterable[tuple[str, str]]) -> None:
    """Take evidence and losses of cells on batches out again: those that were found damaged."""
    key = "(SELECT id FROM main.keys WHERE key = ?)"
    keys = list(keys)
    for table in ("evidence_rows", "loss_rows"):
        db.executemany(f"DELETE FROM main.{table} WHERE cell = {key} AND batch = {key}", keys)


def _ids(db: sqlite3.Connection, keys: Iterable[str]) -> dict[str, int]:
    """Of keys the numbers that stand for them, given in the order in which they come: rows that follow lie together."""
    wanted = list(dict.fromkeys(keys))
    db.executemany("INSERT OR IGNORE INTO main.keys (key) VALUES (?)", ((key,) for key in wanted))
    return {key: db.execute("SELECT id FROM main.keys WHERE key = ?", (key,)).fetchone()[0] for key in wanted}
