"""A database written anew, page after page full: the same rows in fewer bytes. No torch."""

import os
import shutil
import sqlite3
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.errors import SecateurError
from core.jobs.queue import nobodys_turn
from core.jobs.runs import RunStore
from core.workspace import DATABASE, PAGE_BYTES, Workspace

# to wait for readers before the log is cut: else it is cut when they have gone
MOST_MILLISECONDS = 1_000


@dataclass(frozen=True)
class Compacted:
    """What compacting brought: bytes of the database, its log included, before and after."""

    before: int
    after: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def compact(workspace: Workspace) -> Compacted:
    """Write the database anew, in the order of its keys and without gaps. No row changes, so no figure does.

    A sweep adds a batch of all cells after the other, between the rows that are there, and leaves pages a seventh
    empty; what an upgrade or `--mend` took out stays as empty pages. A process that is killed here leaves the database
    as it was or as it will be: SQLite commits all of it at once. Runs that are asked for meanwhile wait for their turn.
    Who else writes meanwhile is refused when its patience ends; of a database in small pages, who reads too.

    Raises:
        SecateurError: a run is at work or another program holds the database; the workspace may not be written; or its
            disk, or the one for temporary files, has too little room or fails. Nothing has changed then.
    """
    workspace.check_writable()
    runs = RunStore(workspace)
    with nobodys_turn(runs) as free:
        if active := runs.active():
            raise SecateurError(
                f"run {active[0].id} is at work; wait until it has ended, or `secateur stop` it, then compact"
            )
        if not free:
            raise SecateurError("a run is at work in this workspace; wait until it has ended, then compact")
        before = _size(workspace.folder)
        _check_room(workspace.folder, before)
        with workspace.connect() as db:
            _write_anew(db, workspace.folder)
            db.execute(f"PRAGMA busy_timeout = {MOST_MILLISECONDS}")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return Compacted(before, _size(workspace.folder))


def _write_anew(db: sqlite3.Connection, folder: Path) -> None:
    """Of a database whose pages are of an older build's size, in pages of today's where nobody else has it open."""
    if db.execute("PRAGMA page_size").fetchone()[0] != PAGE_BYTES:
        with suppress(sqlite3.OperationalError):  # a dashboard has it open: it keeps its pages
            db.execute("PRAGMA journal_mode = DELETE")  # with a log beside it SQLite keeps the size
            db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    try:
        db.execute("VACUUM")
    except sqlite3.OperationalError as error:
        if (name := error.sqlite_errorname) == "SQLITE_FULL" or name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN")):
            places = {place: f"{place} has {shutil.disk_usage(place).free:,} bytes free" for place in _places(folder)}
            raise SecateurError(
                f"compacting failed ({error}): it writes beside the database and into the folder for temporary files "
                f"(SQLITE_TMPDIR names it); {', '.join(places.values())}; free some space there: nothing has changed"
            ) from error
        raise
    finally:
        with suppress(sqlite3.Error):  # whoever opens the workspace next does it
            db.execute("PRAGMA journal_mode = WAL")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / f"{DATABASE}{end}" for end in ("", "-wal")) if path.exists())


def _check_room(folder: Path, size: int) -> None:
    """SQLite writes a copy among the temporary files, and then, beside the database, what becomes of it."""
    beside, temporary = _places(folder)
    wanted = [
        (beside, size, "beside the database"),
        (temporary, size, "for temporary files (SQLITE_TMPDIR names their folder)"),
    ]
    if beside.stat().st_dev == temporary.stat().st_dev:
        wanted = [(beside, 2 * size, "beside the database, temporary files included")]
    for place, needed, what in wanted:
        if (there := shutil.disk_usage(place).free) < needed:
            raise SecateurError(
                f"compacting needs {needed:,} bytes {what}, and {place} has {there:,} free; free some space: nothing "
                "has changed"
            )


def _places(folder: Path) -> tuple[Path, Path]:
    """Where SQLite writes: the workspace, and the first folder that its `unixTempFileDir` may write to."""
    named = (os.environ.get(name) for name in ("SQLITE_TMPDIR", "TMPDIR"))
    for place in (*named, "/var/tmp", "/usr/tmp", "/tmp"):
        if place and Path(place).is_dir() and os.access(place, os.W_OK | os.X_OK):
            return folder, Path(place)
    return folder, Path.cwd()
