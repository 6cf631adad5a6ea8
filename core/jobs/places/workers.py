"""Workers that help the runs of a workspace: who they are, whether they live, adding and stopping them. No torch."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from sqlite3 import Row
from typing import Any

from core.errors import SecateurError
from core.jobs.run import Kind, Run
from core.jobs.submissions import IN_MEMORY
from core.processes import is_gone, started
from core.workspace import Workspace

SILENT_SECONDS = 30.0  # without a word a worker is taken for dead, though its process lives: it is suspended, or hangs
BEAT_SECONDS = 2.0
SHARED: tuple[Kind, ...] = ("sweep", "pairs", "bits", "undo")  # runs of many plans, of which workers measure a part


@dataclass(frozen=True)
class Helper:
    """A worker of `secateur work`.

    Attributes:
        id: its number in the workspace.
        pid: of its process.
        threads: cells that it measures at a time.
        since: when it began, seconds since the epoch.
        run: whose model it has loaded; `None` while it waits for one.
        done: bundles that it has measured.
        refused: run that it does not help, and why; `None` if there is none.
        stopping: somebody asked it to stop.
    """

    id: int
    pid: int
    threads: int
    since: float
    run: str | None
    done: int
    refused: str | None
    stopping: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dict(vars(self))

    @property
    def text(self) -> str:
        """What it does, for a person."""
        if self.stopping:
            return "stops after what it has under way"
        if self.refused is not None:
            return f"does not help {self.refused}"
        done = f", {self.done:,} bundles measured" if self.done else ""
        return (f"helps run {self.run}" if self.run else "waits for a run") + done


def is_shared(run: Run) -> bool:
    """Whether workers may measure a part of a run."""
    return run.kind in SHARED and not run.request.get("ray") and not run.workload.startswith(IN_MEMORY)


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def helpers(workspace: Workspace) -> tuple[Helper, ...]:
    """Workers that live, oldest first."""
    with workspace.connect() as db:
        rows = db.execute("SELECT * FROM helpers ORDER BY id").fetchall()
    return tuple(_helper(row) for row in rows if is_alive(row))


def is_listed(workspace: Workspace, number: int) -> bool:
    """Whether a worker has not left by itself: of one that does not live, it died."""
    with workspace.connect() as db:
        return db.execute("SELECT 1 FROM helpers WHERE id = ?", (number,)).fetchone() is not None


def is_alive(row: Row) -> bool:
    """Whether the worker of a row of `helpers` lives and has said so lately."""
    return time.time() - float(row["beat"]) < SILENT_SECONDS and not is_gone(row["pid"], row["pid_started"])


def register(workspace: Workspace, threads: int) -> int:
    """Let this process be a worker; its number.

    Raises:
        SecateurError: with it more threads would compute than there are cores, and all would be slower.
    """
    pid, now, cores = os.getpid(), time.time(), usable_cores()
    with workspace.write() as db:
        rows = db.execute("SELECT * FROM helpers").fetchall()
        others = sum(row["threads"] for row in rows if is_alive(row))
        if threads < 1 or others + threads > cores:
            raise SecateurError(
                f"this machine has {cores} cores for Secateur and its workers take {others}; with {threads} more they "
                "would slow each other down. Stop one (`secateur work --stop N`), or give fewer --at-once"
            )
        return int(
            db.execute(
                "INSERT INTO helpers (pid, pid_started, threads, since, beat) VALUES (?, ?, ?, ?, ?)",
                (pid, started(pid), threads, now, now),
            ).lastrowid
            or 0
        )


def spare_cores(workspace: Workspace, number: int | None = None) -> int:
    """Cores that no other worker takes, less one for the run itself; at least one.

    Args:
        number: of a worker whose own do not count.
    """
    others = sum(one.threads for one in helpers(workspace) if one.id != number)
    return max(1, usable_cores() - 1 - others)


def take(workspace: Workspace, number: int, threads: int) -> None:
    """A worker measures so many cells at a time from now on."""
    with workspace.write() as db:
        db.execute("UPDATE helpers SET threads = ? WHERE id = ?", (threads, number))


def beat(workspace: Workspace, number: int) -> bool:
    """Say that this worker lives; `False` once somebody asked it to stop, or took it for dead."""
    with workspace.write() as db:
        db.execute("UPDATE helpers SET beat = ? WHERE id = ?", (time.time(), number))
        row = db.execute("SELECT stop FROM helpers WHERE id = ?", (number,)).fetchone()
    return row is not None and not row["stop"]


def say(workspace: Workspace, number: int, run: str | None, refused: str | None = None) -> None:
    """Say whose model a worker has loaded, or why it does not help a run."""
    with workspace.write() as db:
        db.execute("UPDATE helpers SET run = ?, refused = ? WHERE id = ?", (run, refused, number))


def leave(workspace: Workspace, number: int) -> None:
    """A worker ends: it is listed no more, and what it had under way comes back."""
    with workspace.write() as db:
        db.execute("UPDATE bundles SET helper = NULL WHERE helper = ? AND answer IS NULL", (number,))
        db.execute("DELETE FROM helpers WHERE id = ?", (number,))


def ask_to_stop(workspace: Workspace, number: int | None = None) -> tuple[Helper, ...]:
    """Let a worker end after what it has under way, or all of them; those that were asked.

    Raises:
        SecateurError: none has that number.
    """
    found = tuple(one for one in helpers(workspace) if number in (None, one.id))
    if number is not None and not found:
        raise SecateurError(f"no worker {number} in {workspace.folder}; `secateur work --list` lists them")
    with workspace.write() as db:
        db.executemany("UPDATE helpers SET stop = 1 WHERE id = ?", [(one.id,) for one in found])
    return found


def add(workspace: Workspace, threads: int = 1) -> None:
    """Start one more worker in a process of its own, which goes on until it is asked to stop.

    Raises:
        SecateurError: there are as many threads as cores.
    """
    workspace.check_writable()
    cores, taken = usable_cores(), sum(one.threads for one in helpers(workspace))
    if taken + threads > cores:
        raise SecateurError(f"this machine has {cores} cores for Secateur, and its workers take all of them")
    with (workspace.subfolder("logs") / "workers.log").open("ab") as output:
        subprocess.Popen(
            [sys.executable, "-P", "-m", "core.jobs.places.helping", str(workspace.folder), str(threads)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def _helper(row: Row) -> Helper:
    return Helper(
        row["id"], row["pid"], row["threads"], row["since"], row["run"], row["done"], row["refused"], bool(row["stop"])
    )
