"""What is damaged in a workspace: its database, every row of it, and the files beside it. Only read. No torch."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.delivery.manifest import read_manifest, sha256_of
from core.errors import SecateurError, first_line
from core.jobs.checking.sound_rows import SOUND, define_soundness
from core.jobs.known import left_out
from core.jobs.runs import RunStore
from core.numbers import count_text
from core.recovery.round_file import sound_round
from core.recovery.tickets.report import Trained
from core.workspace import SEALS, Workspace

KEYS = {
    "runs": ("id",), "cells": ("run", "position"), "workloads": ("ref",), "plans": ("workload", "plan"),
    "predictions": ("workload", "plan", "model"), "drafts": ("workload",), "draft_steps": ("workload", "position"),
    "rules": ("workload",), "evidence": ("cell", "batch"), "losses": ("cell", "batch", "loss"), "batches": ("batch",),
}  # fmt: skip
SEALED_BY = {"evidence": "short_seal", "losses": "short_seal", "batches": "seal"}
AGAIN = {
    "cells": "resume its run: what is on disk of its evidence is read back, the rest measured",
    "evidence": "the next sweep that needs it measures it again",
    "losses": "the next sweep that needs it measures it again",
    "batches": "the next sweep of that model says anew which examples it holds",
    "workloads": "`secateur targets MODEL` reads the model again",
    "runs": "ask for it again: what was measured lies in the evidence and is read back",
    "predictions": "`secateur predict` makes it again",
    "plans": "keep it again from its file, or from the run that measured it",
    "drafts": "the plan being made begins empty",
    "draft_steps": "this step cannot be undone to",
    "rules": "set the rules again",
    "bundles": "export it again",
    "recoveries": "resume its run: the rounds before it are kept",
    "tickets": "resume its run: it is trained again",
    "logs": "nothing is lost but what a worker said; runs that begin write new ones",
}


@dataclass(frozen=True)
class Damage:
    """One thing that cannot be read.

    Attributes:
        place: table, or folder of files.
        key: by its columns which row; of a file its path inside the workspace.
        why: what is wrong with it.
        again: what must be done for it to be there again.
        run: that it belongs to, if one is known.
    """

    place: str
    key: tuple[str | int, ...]
    why: str
    again: str
    run: str | None = None

    @property
    def title(self) -> str:
        """`cells 3f2a91bc 17`, `recoveries/…/round-2.safetensors`."""
        return str(self.key[0]) if self.place not in KEYS else f"{self.place} {' '.join(map(_brief, self.key))}"


@dataclass(frozen=True)
class Examined:
    """A workspace, examined.

    Attributes:
        folder: of it.
        rows: by table how many there are.
        files: bundles, rounds, trainings and logs that were looked at.
        broken: what SQLite says of the structure of the database, which no row can be blamed for.
        damages: rows and files that cannot be read.
        runs: ids of runs of which something is damaged.
        quarantine: the note of what was set aside, in the workspace; `None` if nothing was.
    """

    folder: str
    rows: dict[str, int]
    files: int
    broken: tuple[str, ...]
    damages: tuple[Damage, ...]
    runs: tuple[str, ...]
    quarantine: str | None = None

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damages and not self.broken

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "sound": self.is_sound}


def examine(workspace: Workspace) -> Examined:
    """Look at all of a workspace, and change nothing.

    Raises:
        SecateurError: its database cannot be opened.
    """
    with workspace.connect() as db:
        db.text_factory = _text
        broken = tuple(row[0] for row in db.execute("PRAGMA integrity_check(20)") if row[0] != "ok")
        broken += tuple(filter(None, (_nameless(db, table) for table in ("evidence", "loss"))))
        define_soundness(db)
        rows = {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in KEYS}
        damages = [damage for table in KEYS for damage in _of_table(db, table)]
        runs = _readers(db, {str(damage.key[1]) for damage in damages if damage.place in ("evidence", "losses")})
    n_files = 0
    for place, path, check in _files(workspace):
        n_files += 1
        try:
            check(path)
        except (*left_out.UNREADABLE, OSError) as error:
            inside = str(path.relative_to(workspace.folder))
            damages.append(Damage(place, (inside,), first_line(error)[:200], AGAIN[place]))
    runs |= {damage.run for damage in damages if damage.run is not None}
    return Examined(str(workspace.folder), rows, n_files, broken, tuple(damages), tuple(sorted(runs)))


def unsound(table: str) -> str:
    """What in SQL tells a damaged row of a table from a sound one."""
    if table in SEALED_BY:
        return f"{SEALED_BY[table]}({SEALS[table]}) IS NOT digest"
    return f"NOT {SOUND[table]}"


def _of_table(db: sqlite3.Connection, table: str) -> Iterator[Damage]:
    why = "it does not fit its digest" if table in SEALED_BY else "it cannot be read as what it should be"
    for row in db.execute(f"SELECT {', '.join(KEYS[table])} FROM {table} WHERE {unsound(table)}").fetchall():
        run = str(row[0]) if table in ("runs", "cells") else None
        yield Damage(table, tuple(row), why, AGAIN[table], run)


def _nameless(db: sqlite3.Connection, what: str) -> str | None:
    """Rows of evidence whose keys are gone, so that nobody finds them."""
    whole = "losses" if what == "loss" else what
    n: int = db.execute(f"SELECT (SELECT count(*) FROM {what}_rows) - (SELECT count(*) FROM {whole})").fetchone()[0]
    if not n:
        return None
    lost = "has lost its key" if n == 1 else "have lost their keys"
    return f"{count_text(n, 'row')} of {whole} {lost}, and nobody finds {'it' if n == 1 else 'them'}"


def _readers(db: sqlite3.Connection, batches: set[str]) -> set[str]:
    """Runs whose maps rest on some batches."""
    found = set()
    for row in db.execute("SELECT id, result FROM runs WHERE result NOTNULL") if batches else ():
        try:
            named = json.loads(row["result"]).get("batches") or ()
        except left_out.UNREADABLE:
            continue
        if batches.intersection(map(str, named)):
            found.add(str(row["id"]))
    return found


def _files(workspace: Workspace) -> Iterator[tuple[str, Path, Callable[[Path], object]]]:
    """Files that workers wrote, with what reads each."""
    folder = workspace.folder
    for run in RunStore(workspace).list("export"):
        path = RunStore(workspace).bundle_folder(run)
        if run.state == "finished" and path is not None and path.is_relative_to(folder) and path.exists():
            yield "bundles", path, _check_bundle
    for path in sorted(folder.glob("recoveries/*/round-*.safetensors")):
        yield "recoveries", path, sound_round
    for path in sorted(folder.glob("tickets/*/*-*-*.json")):
        yield "tickets", path, Trained.read
    logs = folder / "logs"
    for path in sorted(logs.iterdir()) if logs.is_dir() else [logs] if logs.exists() else ():
        yield "logs", path, _check_log


def _check_log(path: Path) -> None:
    """A log is text; what a disk has not written before it lost its power is zeros."""
    if path.name == "logs":
        raise SecateurError("it is no folder, so that no worker can be started")
    if not path.is_file():
        raise SecateurError("it is no file that a worker could write to")
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            if b"\0" in part:
                raise SecateurError("it holds zeros where there was text")


def _check_bundle(folder: Path) -> None:
    for name, entry in read_manifest(folder)["files"].items():
        if sha256_of(folder / name) != entry["sha256"]:
            raise SecateurError(f"{name} is another one than its manifest says")


def _brief(part: str | int) -> str:
    text = str(part)
    return text if len(text) <= 24 else f"{text[:12]}…"


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
