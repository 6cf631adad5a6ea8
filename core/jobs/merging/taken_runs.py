"""Runs and their maps of the workspace attached as `other`: those that this one does not have, or not as far."""

import hashlib
import json
import sqlite3
from collections.abc import Mapping

from core.jobs.checking.sound_rows import SOUND
from core.jobs.run import ACTIVE, Run
from core.jobs.runs import RunStore
from core.workspace import LABELLED, SEALED

# to describe says what its machine could load, which is no result
KINDS = ("sweep", "pairs", "bits", "measure", "profile", "export", "recover", "tickets", "undo", "gate")


def take_runs(db: sqlite3.Connection, runs: RunStore, version: int) -> tuple[dict[str, str], list[str]]:
    """Take over runs and their maps; `version` is of the other workspace.

    Returns:
        Ids here by ids there, oldest run first, and the ids there of those that had not ended.
    """
    ours = {run.id: run for run in runs.list()}  # another connection: what we write here is not runs
    taken: dict[str, str] = {}
    unfinished: list[str] = []
    rows = db.execute(
        f"SELECT id, kind, workload, request, state, done FROM other.runs WHERE kind IN {KINDS} AND {SOUND['runs']} "
        "ORDER BY created, id"
    ).fetchall()
    for row in rows:
        old, new = row["id"], _id_here(row, ours)
        if new in ours and not _is_further(row, ours[new]):
            continue
        _copy_run(db, old, new, version)
        taken[old] = new
        if row["state"] in ACTIVE:
            unfinished.append(old)
    return taken, unfinished


def _id_here(row: sqlite3.Row, ours: Mapping[str, Run]) -> str:
    """A run's own id, unless another run has it here; then one that the next merge finds again."""
    run_id: str = row["id"]
    while run_id in ours and not _is_same(row, ours[run_id]):
        text = f"{run_id}{row['kind']}{row['workload']}{row['request']}"
        run_id = hashlib.sha256(text.encode()).hexdigest()[:8]
    return run_id


def _is_same(row: sqlite3.Row, run: Run) -> bool:
    return (row["kind"], row["workload"], json.loads(row["request"])) == (run.kind, run.workload, run.request)


def _is_further(row: sqlite3.Row, run: Run) -> bool:
    """Whether the other side brought a run that both have further: resumed there, or merged before it had ended."""
    if run.active or run.state == "finished":
        return False
    return row["state"] == "finished" or row["done"] > run.done


def _copy_run(db: sqlite3.Connection, old: str, new: str, version: int) -> None:
    """Copy a run and its map. One that is under way there is nobody's work here: it is interrupted, and may go on."""
    db.execute("DELETE FROM main.cells WHERE run = ?", (new,))
    db.execute(
        "INSERT INTO main.cells SELECT ?, position, cell FROM other.cells WHERE run = ? AND " + SOUND["cells"],
        (new, old),
    )
    columns = "kind, workload, request, created, started, ended, done, reused, total, phase, error, result"
    columns += ", damaged, data" if version >= SEALED else ""
    columns += ", made_with, name, note, star" if version >= LABELLED else ""
    mine = db.execute("SELECT name, note, star FROM main.runs WHERE id = ?", (new,)).fetchone()
    db.execute(
        f"INSERT OR REPLACE INTO main.runs (id, state, {columns}) SELECT ?, "
        f"CASE WHEN state IN {ACTIVE} THEN 'interrupted' ELSE state END, {columns} FROM other.runs WHERE id = ?",
        (new, old),
    )
    if mine is not None and any(mine):  # what somebody wrote here stays
        db.execute("UPDATE main.runs SET name = ?, note = ?, star = ? WHERE id = ?", (*mine, new))
    # a name that another run has here would stand for two
    taken = "SELECT name FROM main.runs WHERE id != ?1 AND name NOTNULL"
    db.execute(f"UPDATE main.runs SET name = NULL WHERE id = ?1 AND name IN ({taken})", (new,))
