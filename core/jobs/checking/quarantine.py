"""What is damaged in a workspace is set aside, not thrown away: rows with a note, files as they are. No torch."""

import os
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from core.errors import SecateurError
from core.jobs.checking.aside import NOTE, new_folder, write_note
from core.jobs.checking.examined import KEYS, Damage, Examined
from core.jobs.checking.sound_rows import define_soundness
from core.jobs.runs import RunStore
from core.workspace import Workspace


def set_aside(workspace: Workspace, found: Examined) -> Examined:
    """Move what was found damaged into the folder `quarantine` of the workspace, with a note of every row.

    The note is on disk before a row goes. A finished run of whose map a cell goes can be resumed.

    Raises:
        SecateurError: a run is at work, the workspace may not be written, or its disk is full.
    """
    workspace.check_writable()
    if active := RunStore(workspace).active():
        raise SecateurError(f"run {active[0].id} is at work; wait until it has ended, or `secateur stop` it, then mend")
    if not found.damages:
        return found
    place = new_folder(workspace)
    rows = [damage for damage in found.damages if damage.place in KEYS]
    files = [damage for damage in found.damages if damage.place not in KEYS]
    with workspace.write() as db:
        db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        define_soundness(db)
        note = {
            "set_aside": time.strftime("%Y-%m-%dT%H:%M:%S"),
            "rows": [{**asdict(damage), "row": _row(db, damage)} for damage in rows],
            "files": [asdict(damage) for damage in files],
        }
        write_note(place, note)
        for damage in rows:
            _take_out(db, damage)
        for run in {str(damage.key[0]) for damage in rows if damage.place == "cells"}:
            db.execute("UPDATE runs SET state = 'interrupted' WHERE id = ? AND state = 'finished'", (run,))
    _move(workspace, place, files)
    return replace(found, quarantine=str((place / NOTE).relative_to(workspace.folder)))


def _where(damage: Damage) -> tuple[str, tuple[Any, ...]]:
    values = tuple(str(v).encode("utf-8", "surrogateescape") if _is_odd(v) else v for v in damage.key)
    columns = (f"CAST({name} AS BLOB) = ?" if isinstance(v, bytes) else f"{name} = ?"
               for name, v in zip(KEYS[damage.place], values, strict=True))  # fmt: skip
    return " AND ".join(columns), values


def _is_odd(value: str | int) -> bool:
    """Whether a key is no text that could be asked for."""
    return isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value)


def _row(db: sqlite3.Connection, damage: Damage) -> dict[str, Any]:
    where, values = _where(damage)
    row = db.execute(f"SELECT * FROM {damage.place} WHERE {where}", values).fetchone()
    return {name: {"hex": row[name].hex()} if isinstance(row[name], bytes) else row[name] for name in row.keys()}  # noqa: SIM118


def _take_out(db: sqlite3.Connection, damage: Damage) -> None:
    where, values = _where(damage)
    if damage.place not in ("evidence", "losses"):
        db.execute(f"DELETE FROM {damage.place} WHERE {where}", values)
        return
    # views: their rows lie in tables of numbers; scores go with their losses, which say nothing alone
    key = "(SELECT id FROM keys WHERE key = ?)"
    columns = KEYS[damage.place]
    tables = ("evidence_rows", "loss_rows") if damage.place == "evidence" else ("loss_rows",)
    for table in tables:
        db.execute(f"DELETE FROM {table} WHERE {' AND '.join(f'{name} = {key}' for name in columns)}", damage.key)


def _move(workspace: Workspace, place: Path, files: Sequence[Damage]) -> None:
    for damage in files:
        source = workspace.folder / str(damage.key[0])
        for path in (source, source.with_name(f"{source.name}.zip")) if damage.place == "bundles" else (source,):
            if not path.exists():
                continue
            target = place / "files" / path.relative_to(workspace.folder)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
            except OSError as error:
                raise SecateurError(
                    f"cannot move {path} into {place}: {error.strerror}; mend its permissions, and check again"
                ) from None
