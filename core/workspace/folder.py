"""The folder of a workspace, and connections to its database."""

import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from core.drafted import draft_beside
from core.errors import SecateurError
from core.workspace.rows import define_functions
from core.workspace.schema import PAGE_BYTES, STEPS, VERSION

DEFAULT_WORKSPACE = Path(".secateur")
DATABASE = "secateur.sqlite"
LOCK_SECONDS = 10.0
# Of a worker, who has measured what it wants to write: a backup tool may hold the database for minutes.
PATIENT_SECONDS = 900.0
ENOUGH_BYTES = 256 << 20  # of a disk with more that is free nobody is told that it is full


class Workspace:
    """An open workspace folder. Connections are made per use, so threads and processes may share the folder.

    Args:
        folder: made if it does not exist.
        create: else it must exist: a command that only looks should not leave an empty workspace where it looked.
        patient: wait for a quarter of an hour, not for ten seconds, while another program holds the database.

    Attributes:
        read_only: the folder or its database may not be written: what lies there can be looked at, and `write` refuses.

    Raises:
        SecateurError: the folder cannot be made, or may not be written and has no database of this version; its
            database is damaged, locked for more than ten seconds, or was written by a newer Secateur.
    """

    def __init__(self, folder: Path | str = DEFAULT_WORKSPACE, create: bool = True, patient: bool = False) -> None:
        self.folder = Path(folder).resolve()
        self._patient = patient
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
    def _patience(self) -> float:
        return PATIENT_SECONDS if self._patient else LOCK_SECONDS

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
                if not self.read_only and db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    db.execute("PRAGMA journal_mode = WAL")  # who compacted it was killed
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
            if version:
                self._keep_copy(db, version)
        with self.write() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]  # another process may have been first
            for step in STEPS[version:]:
                for statement in step.split(";\n"):
                    db.execute(statement)
            if version < VERSION:
                db.execute(f"PRAGMA user_version = {VERSION}")

    def _keep_copy(self, db: sqlite3.Connection, version: int) -> None:
        """The database as the older build left it, which can still open it there: `secateur-version-7.sqlite`."""
        kept = self.folder / f"{self.database.stem}-version-{version}{self.database.suffix}"
        begun: Path | None = None
        try:
            begun = draft_beside(kept)
            shutil.copymode(self.database, begun)
            with closing(sqlite3.connect(begun)) as copy:
                db.backup(copy)
                was = copy.execute("PRAGMA user_version").fetchone()[0]
            if was == version:  # else another process was first, and has kept one
                begun.replace(kept)
        except (OSError, sqlite3.Error) as error:
            raise SecateurError(
                f"the workspace {self.folder} was written by an older Secateur (version {version}), and no copy of it "
                f"could be kept before it is brought up to date ({error}); free {self.database.stat().st_size:,} bytes "
                "on its disk"
            ) from None
        finally:
            if begun is not None:
                begun.unlink(missing_ok=True)

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
            db = sqlite3.connect(self._uri(), uri=True, timeout=self._patience, isolation_level=None)
            db.row_factory = sqlite3.Row
            db.text_factory = _text
            define_functions(db)
            yield db
        except sqlite3.Error as error:
            raise SecateurError(self.explained(error)) from error
        except UnicodeDecodeError as error:  # SQLite names what is damaged by damaged letters
            if b"malformed" not in error.object:
                raise
            raise SecateurError(self.explained(sqlite3.DatabaseError(_text(error.object)))) from error
        finally:
            if db is not None:
                db.close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of the block is on disk after it, or nothing is."""
        self.check_writable()
        with self.connect() as db:
            begun = time.monotonic()
            db.execute("BEGIN IMMEDIATE")
            if (waited := time.monotonic() - begun) > LOCK_SECONDS:  # of a worker, for its log
                print(f"waited for {waited:.0f} s: another program held {self.database}", file=sys.stderr, flush=True)
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
            return (
                f"{where} is locked by another process for more than {self._patience:.0f} s; stop that process or wait"
            )
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


def _text(raw: bytes) -> str:
    """A damaged letter stands as �: its row is judged by what it says, and nothing else is given up for it."""
    return raw.decode("utf-8", "replace")
