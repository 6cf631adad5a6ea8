"""The workspace: one folder with one SQLite database, the only state there is.

Deleting the folder forgets everything; copying it moves everything. No torch: the dashboard opens it too.
"""

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path

from core.errors import SecateurError

DEFAULT_WORKSPACE = Path(".secateur")
DATABASE = "secateur.sqlite"
LOCK_SECONDS = 10.0
ENOUGH_BYTES = 256 << 20  # of a disk with more that is free nobody is told that it is full
# A row of a table without row numbers that is longer than a quarter of a page takes whole pages for what is too long:
# with SQLite's 4,096 the scores of 250 examples took 4.7 times their size.
PAGE_BYTES = 16_384
# Step i brings a workspace from version i to i + 1; a new one goes through all of them.
STEPS = (
    """
CREATE TABLE workloads (ref TEXT PRIMARY KEY, description TEXT NOT NULL, described REAL NOT NULL) STRICT;
CREATE TABLE evidence (
    cell TEXT, batch TEXT, n INTEGER NOT NULL, changed INTEGER NOT NULL, scores BLOB NOT NULL, weights BLOB,
    PRIMARY KEY (cell, batch)
) STRICT, WITHOUT ROWID;
CREATE TABLE runs (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, workload TEXT NOT NULL, request TEXT NOT NULL, state TEXT NOT NULL,
    created REAL NOT NULL, started REAL, ended REAL, pid INTEGER, pid_started REAL,
    done INTEGER NOT NULL DEFAULT 0, reused INTEGER NOT NULL DEFAULT 0, total INTEGER, phase TEXT,
    error TEXT, result TEXT, cancel INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE cells (run TEXT, position INTEGER, cell TEXT NOT NULL, PRIMARY KEY (run, position)) STRICT, WITHOUT ROWID;
CREATE TABLE drafts (workload TEXT PRIMARY KEY, plan TEXT NOT NULL) STRICT;
""",
    # positions: int64, of the examples in the evaluation data; columns: JSON, {"class": ["shirt", ...], ...}
    """
CREATE TABLE batches (
    batch TEXT PRIMARY KEY, n INTEGER NOT NULL, positions BLOB NOT NULL, columns TEXT NOT NULL
) STRICT, WITHOUT ROWID;
""",
    # plan: fingerprint of its cuts; document: the plan file; draft_steps: what a draft was, step by step, and where in
    # them it stands; rules: JSON, as the Tune screen keeps them
    """
CREATE TABLE plans (
    workload TEXT, plan TEXT, document TEXT NOT NULL, made_by TEXT, parent TEXT, created REAL NOT NULL,
    name TEXT, note TEXT, goal TEXT, PRIMARY KEY (workload, plan)
) STRICT, WITHOUT ROWID;
CREATE TABLE predictions (
    workload TEXT, plan TEXT, model TEXT, made REAL NOT NULL, n_plans INTEGER NOT NULL, prediction TEXT NOT NULL,
    PRIMARY KEY (workload, plan, model)
) STRICT, WITHOUT ROWID;
CREATE TABLE draft_steps (
    workload TEXT, position INTEGER, plan TEXT NOT NULL, PRIMARY KEY (workload, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE draft_cursors (workload TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT;
CREATE TABLE rules (workload TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
""",
    # beside the scores of the evidence: the loss of each example, float32, by the fingerprint of the loss's code
    """
CREATE TABLE losses (
    cell TEXT, batch TEXT, loss TEXT, values_ BLOB NOT NULL, PRIMARY KEY (cell, batch, loss)
) STRICT, WITHOUT ROWID;
""",
    # what came from another workspace: runs, and workloads that nobody has named here yet; kind: 'run' or 'workload'
    """
CREATE TABLE merged (kind TEXT, name TEXT, PRIMARY KEY (kind, name)) STRICT, WITHOUT ROWID;
""",
    # digest: of the rest of the row, see `seal`. Of rows that were written without one nothing else is known, so they
    # get that of what they say now, unless they contradict themselves. damaged: measurements of a run that had to be
    # made again because their row was; data: fingerprint of the evaluation data that a run began with
    """
ALTER TABLE evidence ADD COLUMN digest BLOB;
UPDATE evidence SET digest = seal(cell, batch, n, changed, scores, weights)
    WHERE length(scores) = 4 * n AND changed IN (0, 1) AND (weights IS NULL OR length(weights) = 4 * n);
ALTER TABLE losses ADD COLUMN digest BLOB;
UPDATE losses SET digest = seal(cell, batch, loss, values_);
ALTER TABLE batches ADD COLUMN digest BLOB;
UPDATE batches SET digest = seal(batch, n, positions, columns) WHERE length(positions) = 8 * n;
ALTER TABLE runs ADD COLUMN damaged INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN data TEXT;
""",
    # made_with: JSON, the machine and the versions that a run was measured with; name, note, star: a person's
    """
ALTER TABLE runs ADD COLUMN made_with TEXT;
ALTER TABLE runs ADD COLUMN name TEXT;
ALTER TABLE runs ADD COLUMN note TEXT;
ALTER TABLE runs ADD COLUMN star INTEGER NOT NULL DEFAULT 0;
""",
)
VERSION = len(STEPS)
SEALED = 6  # version from which on rows of evidence have a digest
LABELLED = 7  # from which on runs say what they were measured with, and have names
# by table: the columns that the digest of a row is of
SEALS = {
    "evidence": "cell, batch, n, changed, scores, weights",
    "losses": "cell, batch, loss, values_",
    "batches": "batch, n, positions, columns",
}
COLUMNS = (
    "SELECT t.name, c.name FROM {schema}.sqlite_master t, pragma_table_info(t.name, '{schema}') c "
    "WHERE t.type = 'table'"
)


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


@lru_cache
def columns_of(version: int) -> frozenset[tuple[str, str]]:
    """Tables and their columns that a workspace of that version has."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.create_function("seal", -1, seal, deterministic=True)
        for step in STEPS[:version]:
            db.executescript(step)
        return frozenset(db.execute(COLUMNS.format(schema="main")).fetchall())


class Workspace:
    """An open workspace folder. Connections are made per use, so threads and processes may share the folder.

    Args:
        folder: made if it does not exist.
        create: else it must exist: a command that only looks should not leave an empty workspace where it looked.

    Attributes:
        read_only: the folder or its database may not be written: what lies there can be looked at, and `write` refuses.

    Raises:
        SecateurError: the folder cannot be made, or may not be written and has no database of this version; its
            database is damaged, locked for more than ten seconds, or was written by a newer Secateur.
    """

    def __init__(self, folder: Path | str = DEFAULT_WORKSPACE, create: bool = True) -> None:
        self.folder = Path(folder).resolve()
        if not create and not self.database.exists():
            raise SecateurError(
                f"there is no workspace at {self.folder}; name it with --workspace, or start a sweep here"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SecateurError(
                f"cannot make the workspace {self.folder}: {error.strerror}; choose another with --workspace"
            ) from None
        written = [path for path in (self.folder, self.database) if path.exists()]
        self.read_only = not all(os.access(path, os.W_OK) for path in written)
        if self.read_only and not self.database.exists():
            raise SecateurError(f"the folder {self.folder} is read-only; choose another with --workspace")
        self._prepare()

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / DATABASE

    def subfolder(self, name: str) -> Path:
        """A folder inside the workspace, made if needed: `logs`, `bundles`."""
        path = self.folder / name
        try:
            if not self.read_only:
                path.mkdir(exist_ok=True)
        except OSError as error:
            raise SecateurError(
                f"cannot use the folder {path}: {error.strerror}; move away what lies there, or mend its permissions"
            ) from None
        return path

    def check_writable(self) -> None:
        """Raises `SecateurError` if the workspace can only be looked at."""
        if self.read_only:
            raise SecateurError(
                f"the workspace {self.folder} is read-only: it can be looked at, but nothing can be measured or "
                "changed in it; copy the folder and open the copy, or choose another with --workspace"
            )

    def _prepare(self) -> None:
        with self.connect() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version == VERSION:
                return
            if version > VERSION:
                raise SecateurError(
                    f"the workspace {self.folder} was written by a newer Secateur (version {version}, this one reads "
                    f"{VERSION}); upgrade secateur, or choose another with --workspace"
                )
            if self.read_only:
                raise SecateurError(
                    f"the workspace {self.folder} is read-only and was written by an older Secateur (version "
                    f"{version}, this one reads {VERSION}); copy the folder and open the copy, which is brought up to "
                    "date"
                )
            if version == 0:
                db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            db.execute("PRAGMA journal_mode = WAL")
        with self.write() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]  # another process may have been first
            for step in STEPS[version:]:
                for statement in step.split(";\n"):
                    db.execute(statement)
            if version < VERSION:
                db.execute(f"PRAGMA user_version = {VERSION}")

    def _uri(self) -> str:
        """Of a read-only workspace so that nothing is written beside the database, not even SQLite's own files.

        While somebody else writes to it, his log lies beside it and is read as well; without one the database is whole,
        and nobody who may not write to its folder could make the log that SQLite asks for.
        """
        if not self.read_only:
            return self.database.as_uri()
        log = self.database.with_name(f"{DATABASE}-wal")
        has_log = log.exists() and log.stat().st_size > 0
        return f"{self.database.as_uri()}?{'mode=ro' if has_log else 'immutable=1'}"

    @contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        """A connection in autocommit mode; rows answer to column names. SQLite's errors come out as ours."""
        db = None
        try:
            # by URI, so that another workspace may be attached read-only
            db = sqlite3.connect(self._uri(), uri=True, timeout=LOCK_SECONDS, isolation_level=None)
            db.row_factory = sqlite3.Row
            db.create_function("seal", -1, seal, deterministic=True)
            yield db
        except sqlite3.Error as error:
            raise SecateurError(self.explained(error)) from error
        finally:
            if db is not None:
                db.close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of the block is on disk after it, or nothing is."""
        self.check_writable()
        with self.connect() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                if db.in_transaction:  # a full disk has rolled back already
                    db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def _free_bytes(self) -> int:
        try:
            return shutil.disk_usage(self.folder).free
        except OSError:
            return 0

    def explained(self, error: sqlite3.Error) -> str:
        """What an error of SQLite means for this workspace, and how to mend it."""
        text, where = str(error), f"the workspace {self.folder}"
        if "locked" in text or "busy" in text:
            return f"{where} is locked by another process for more than {LOCK_SECONDS:.0f} s; stop that process or wait"
        if not self.folder.exists():
            return f"{where} does not exist any more; put it back, or start again with another --workspace"
        if "readonly" in text or "unable to open" in text:
            return f"{where} is read-only or cannot be opened ({text}); choose another with --workspace"
        if "NOMEM" in getattr(error, "sqlite_errorname", "") or "out of memory" in text:
            return f"there is not enough memory to use {where} ({text}); end other programs: what was measured is kept"
        if "disk I/O" in text and (free := self._free_bytes()) > ENOUGH_BYTES:
            return (
                f"{where} cannot be read or written ({text}), though {free / 1e9:.1f} GB of its disk are free: the "
                "disk fails, or memory is short; what was measured is kept"
            )
        if "full" in text or "disk I/O" in text:
            return f"the disk of {where} is full or failing ({text}); free some space: what was measured is kept"
        if "not a database" in text or "malformed" in text:
            return f"{where} is damaged ({text}); move {self.database.name} away, or choose another with --workspace"
        return f"{where} cannot be used ({text}); move {self.database.name} away, or choose another with --workspace"
