"""What a run offers to its helpers: bundles of plans in the database, who has taken which, and what is done. No torch.

A bundle is done only with its evidence on disk, in the same transaction. What a dead worker had taken comes back.
"""

import json
import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any

from core.jobs.places.asked import Asked, Bundle
from core.jobs.places.workers import is_alive
from core.processes import is_gone, started
from core.workspace import Workspace

OWN = -1  # in the place of a helper's number: the run's own worker


@dataclass(frozen=True)
class Offer:
    """A run that shares what it measures.

    Attributes:
        asked: how its measurement was made.
        positions: int64, of its examples in the order that they are measured in.
        origin: JSON, machine and versions that its evidence is kept with.
    """

    asked: Asked
    positions: bytes
    origin: str | None


def open_board(workspace: Workspace, offer: Offer) -> None:
    """Let helpers know of a run, whose worker this process is; bundles that an earlier one has left are taken away."""
    pid = os.getpid()
    with workspace.write() as db:
        db.execute("DELETE FROM bundles WHERE run = ?", (offer.asked.run,))
        db.execute(
            "INSERT OR REPLACE INTO boards VALUES (?, ?, ?, ?, ?, ?)",
            (offer.asked.run, pid, started(pid), offer.asked.to_json(), offer.positions, offer.origin),
        )


def close_board(workspace: Workspace, run: str) -> None:
    """Nothing more is offered; what a helper has under way it still puts on disk."""
    with workspace.write() as db:
        db.execute("DELETE FROM bundles WHERE run = ?", (run,))
        db.execute("DELETE FROM boards WHERE run = ?", (run,))


def offers(workspace: Workspace) -> dict[str, Offer]:
    """Runs that share what they measure and whose worker lives, by id."""
    with workspace.connect() as db:
        rows = db.execute("SELECT * FROM boards ORDER BY rowid").fetchall()
    return {
        row["run"]: Offer(Asked.from_json(row["asked"]), row["positions"], row["origin"])
        for row in rows
        if not is_gone(row["pid"], row["pid_started"])
    }


def put(workspace: Workspace, run: str, bundles: Sequence[Bundle]) -> list[int]:
    """Offer bundles; their numbers."""
    with workspace.write() as db:
        return [
            db.execute("INSERT INTO bundles (run, work) VALUES (?, ?)", (run, bundle.to_json())).lastrowid or 0
            for bundle in bundles
        ]


def take(workspace: Workspace, run: str, helper: int) -> tuple[int, str] | None:
    """Take the next bundle of a run that nobody has: its number and its work; `None` if there is none."""
    free = "SELECT min(id) FROM bundles WHERE run = ? AND helper IS NULL AND answer IS NULL"
    with workspace.connect() as db:  # to look is cheap, to write waits for who writes
        if db.execute(free, (run,)).fetchone()[0] is None:
            return None
    with workspace.write() as db:
        row = db.execute(
            f"UPDATE bundles SET helper = ? WHERE id = ({free}) RETURNING id, work", (helper, run)
        ).fetchone()
    return None if row is None else (row["id"], row["work"])


def done(db: Connection, number: int, helper: int, answer: Mapping[str, Any]) -> None:
    """A bundle is measured; in the transaction that writes its evidence. One that was taken away needs no answer."""
    db.execute("UPDATE bundles SET answer = ? WHERE id = ?", (json.dumps(answer), number))
    db.execute("UPDATE helpers SET done = done + 1 WHERE id = ?", (helper,))


def answers(workspace: Workspace, run: str, known: Container[int] = ()) -> dict[int, dict[str, Any]]:
    """What helpers have answered to bundles of a run, by number, but for those that are `known`."""
    with workspace.connect() as db:
        rows = db.execute("SELECT id, answer FROM bundles WHERE run = ? AND answer NOTNULL", (run,)).fetchall()
    return {row["id"]: json.loads(row["answer"]) for row in rows if row["id"] not in known}


def remove(workspace: Workspace, run: str, numbers: Sequence[int]) -> None:
    """Take bundles away again: those that are measured, and those that nobody needs any more."""
    with workspace.write() as db:
        db.executemany("DELETE FROM bundles WHERE run = ? AND id = ?", [(run, number) for number in numbers])


def give_back(workspace: Workspace, number: int) -> None:
    """Whoever has taken a bundle does not measure it."""
    with workspace.write() as db:
        db.execute("UPDATE bundles SET helper = NULL WHERE id = ? AND answer IS NULL", (number,))


def take_from_the_dead(workspace: Workspace, run: str) -> tuple[int, ...]:
    """Bundles of workers that died are offered again; the numbers of these workers."""
    with workspace.connect() as db:
        held = db.execute(
            "SELECT DISTINCT helper FROM bundles WHERE run = ? AND helper > 0 AND answer IS NULL", (run,)
        ).fetchall()
        rows = {row["id"]: row for row in db.execute("SELECT * FROM helpers")}
    dead = [one["helper"] for one in held if one["helper"] not in rows or not is_alive(rows[one["helper"]])]
    if not dead:
        return ()
    with workspace.write() as db:
        for number in dead:
            db.execute("UPDATE bundles SET helper = NULL WHERE helper = ? AND answer IS NULL", (number,))
            db.execute("DELETE FROM helpers WHERE id = ?", (number,))
    return tuple(dead)
