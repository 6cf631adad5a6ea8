"""The database of another workspace, looked at beside this one's and never written to."""

import sqlite3
from pathlib import Path

from core.errors import SecateurError
from core.workspace import COLUMNS, DATABASE, VERSION, columns_of

Stamp = tuple[int, int, int]  # of a file: changes when it is written to


def attach(db: sqlite3.Connection, database: Path, how: str) -> int:
    """The other database as `other`, whole and of a version that we know, which is returned."""
    folder = database.parent
    db.execute("PRAGMA trusted_schema = OFF")  # it may come from anywhere
    try:
        db.execute("ATTACH ? AS other", (f"{database.as_uri()}?{how}",))
        version = int(db.execute("PRAGMA other.user_version").fetchone()[0])
        if version > VERSION:
            raise SecateurError(
                f"the workspace {folder} was written by a newer Secateur (version {version}, this one reads "
                f"{VERSION}); upgrade secateur"
            )
        there = {tuple(row) for row in db.execute(COLUMNS.format(schema="other"))}
        always = {table for table, _ in columns_of(1) & columns_of(VERSION)}
        if version < 1 or not always <= {table for table, _ in there}:
            raise SecateurError(f"{database} is not a database of Secateur; name the folder of a workspace")
        if missing := sorted(columns_of(version) - there):
            raise SecateurError(
                f"the workspace {folder} is damaged: it is of version {version} and has no "
                f"{'.'.join(missing[0])}; copy it again"
            )
        problem = db.execute("PRAGMA other.quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise SecateurError(
            f"the workspace {folder} cannot be read ({error}): damaged, half copied, or locked? Copy it again"
        ) from None
    if problem != "ok":
        raise SecateurError(f"the workspace {folder} is damaged ({' '.join(problem.split())}); copy it again")
    return version


def stamp(folder: Path) -> Stamp:
    """Of a workspace's database."""
    try:
        found = (folder / DATABASE).stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def has_changes_waiting(folder: Path) -> bool:
    """Whether something was written that is not in a workspace's database yet."""
    beside = (folder / f"{DATABASE}{end}" for end in ("-wal", "-journal"))
    return any(path.exists() and path.stat().st_size for path in beside)
