"""Evidence, models, plans and drafts of the workspace attached as `other` that this one does not have."""

import math
import sqlite3

import numpy as np

from core.jobs.checking.sound_rows import SOUND
from core.workspace import SEALED, SEALS

PLAN = "workload, plan, document, made_by, parent, created, name, note, goal"
PREDICTION = "workload, plan, model, made, n_plans, prediction"


def insert(db: sqlite3.Connection, table: str, columns: str, where: str = "1") -> int:
    """Rows of the other workspace that this one does not have; how many they were."""
    return db.execute(
        f"INSERT OR IGNORE INTO main.{table} ({columns}) SELECT {columns} FROM other.{table} WHERE {where}"
    ).rowcount


def whole(table: str, version: int, schema: str = "other") -> str:
    """What in SQL tells a row of evidence that is as it was written from one that was damaged since.

    Args:
        table: one of `SEALS`.
        version: of the workspace; an old one has no digests, and its rows need only not contradict themselves.
        schema: where it is.
    """
    columns = ", ".join(f"{schema}.{table}.{column}" for column in SEALS[table].split(", "))
    if version >= SEALED:
        return f"(seal({columns}) IS {schema}.{table}.digest)"
    at = f"{schema}.{table}"
    if table == "evidence":
        fits = f"({at}.weights IS NULL OR length({at}.weights) = 4 * {at}.n)"
        return f"(length({at}.scores) = 4 * {at}.n AND {at}.changed IN (0, 1) AND {fits})"
    return f"(length({at}.values_) % 4 = 0)" if table == "losses" else f"(length({at}.positions) = 8 * {at}.n)"


def take_evidence(db: sqlite3.Connection, version: int) -> tuple[int, int]:
    """Evidence that is whole there; one that is damaged here gives way to it.

    Returns:
        Rows of scores that were new here, and rows of scores that are damaged there.
    """
    added = 0
    tables = ["evidence", *(["losses"] if version >= 4 else []), *(["batches"] if version >= 2 else [])]
    for table in tables:
        key = "batch" if table == "batches" else "cell, batch" if table == "evidence" else "cell, batch, loss"
        db.execute(
            f"DELETE FROM main.{table} WHERE NOT {whole(table, SEALED, 'main')} AND ({key}) IN "
            f"(SELECT {key} FROM other.{table} WHERE {whole(table, version)})"
        )
        columns = SEALS[table]
        new = db.execute(
            f"INSERT OR IGNORE INTO main.{table} ({columns}, digest) SELECT {columns}, seal({columns}) "
            f"FROM other.{table} WHERE {whole(table, version)}"
        ).rowcount
        added += new if table == "evidence" else 0
    damaged = db.execute(f"SELECT count(*) FROM other.evidence WHERE NOT {whole('evidence', version)}").fetchone()[0]
    return added, damaged


def take_plans(db: sqlite3.Connection) -> int:
    """Kept plans with names, notes and predictions; how many were new. Of one that both have, what is said here stays.

    Two plans of one name keep it both: which of them was meant only a person can say.
    """
    said = ("made_by", "parent", "name", "note", "goal")
    columns = ", ".join(f"{column} = coalesce(main.plans.{column}, o.{column})" for column in said)
    db.execute(
        f"UPDATE main.plans SET {columns}, created = min(main.plans.created, o.created) "
        f"FROM (SELECT {PLAN} FROM other.plans WHERE {SOUND['plans']}) o "
        "WHERE main.plans.workload = o.workload AND main.plans.plan = o.plan"
    )
    insert(db, "predictions", PREDICTION, SOUND["predictions"])
    return insert(db, "plans", PLAN, SOUND["plans"])


def take_histories(db: sqlite3.Connection) -> None:
    """What drafts were before, and the rules they are made by, where there is no draft here.

    A history with a damaged step stays there as a whole: undoing would lead into a gap.
    """
    new = "workload NOT IN (SELECT workload FROM main.drafts)"
    damaged = " UNION ".join(
        f"SELECT workload FROM other.{table} WHERE NOT {SOUND[table]}" for table in ("drafts", "draft_steps")
    )
    for table, columns in (("draft_steps", "workload, position, plan"), ("draft_cursors", "workload, position")):
        insert(db, table, columns, f"{new} AND workload NOT IN ({damaged})")
    insert(db, "rules", "workload, document", f"{new} AND {SOUND['rules']}")


def differences(db: sqlite3.Connection, version: int) -> tuple[int, float]:
    """Evidence that both have whole with different numbers: how many rows, and the largest difference of a number."""
    rows = db.execute(
        "SELECT main.evidence.scores, other.evidence.scores, main.evidence.weights, other.evidence.weights "
        "FROM other.evidence JOIN main.evidence USING (cell, batch) "
        "WHERE (main.evidence.scores IS NOT other.evidence.scores OR main.evidence.weights IS NOT "
        "other.evidence.weights OR main.evidence.changed != other.evidence.changed) "
        f"AND {whole('evidence', SEALED, 'main')} AND {whole('evidence', version)}"
    )
    n, largest = 0, 0.0
    for scores, other_scores, weights, other_weights in rows:
        n += 1
        largest = max(largest, _gap(scores, other_scores), _gap(weights, other_weights))
    return n, largest


def _gap(a: bytes | None, b: bytes | None) -> float:
    """The largest difference of two arrays of float32; infinite where it is no number."""
    if a == b:
        return 0.0
    if a is None or b is None or len(a) != len(b):
        return math.inf
    x, y = (np.frombuffer(blob, "<f4").astype(np.float64) for blob in (a, b))
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    return float(np.nan_to_num(np.abs(x - y)[~same], nan=math.inf).max(initial=0.0))
