"""What came with a merged workspace and nobody here has named yet: shown, and neither loaded nor served. No torch.

A workload is a file that is run as Python, and a run may name any path. Whoever merges a workspace has named neither.
"""

import shlex
import sqlite3
from collections.abc import Iterable

from core.errors import SecateurError
from core.workload.loading import sample_names
from core.workload.sources.reference import runs_python
from core.workspace import Workspace


def mark_workloads(db: sqlite3.Connection) -> None:
    """Mark the workloads of the workspace attached as `other` that are unknown here; before its rows are taken."""
    samples = sample_names()
    db.execute(
        "INSERT OR IGNORE INTO main.merged SELECT 'workload', ref FROM ("
        "SELECT workload AS ref FROM other.runs UNION SELECT ref FROM other.workloads UNION "
        "SELECT workload FROM other.drafts) WHERE ref NOT LIKE 'memory:%' AND ref NOT IN "
        "(SELECT workload FROM main.runs UNION SELECT ref FROM main.workloads) "
        f"AND ref NOT IN ({', '.join('?' * len(samples))})",
        samples,
    )


def mark_runs(db: sqlite3.Connection, runs: Iterable[str]) -> None:
    """Mark runs, by their ids here, that were taken over from another workspace."""
    db.executemany("INSERT OR IGNORE INTO main.merged VALUES ('run', ?)", [(run,) for run in runs])


def is_stranger(workspace: Workspace, workload: str) -> bool:
    """Whether a workload came by merging and nobody has named or confirmed it here since."""
    return _is_marked(workspace, "workload", workload)


def was_merged(workspace: Workspace, run: str) -> bool:
    """Whether what a run found was written by another workspace's worker."""
    return _is_marked(workspace, "run", run)


def _is_marked(workspace: Workspace, kind: str, name: str) -> bool:
    with workspace.connect() as db:
        return db.execute("SELECT 1 FROM merged WHERE kind = ? AND name = ?", (kind, name)).fetchone() is not None


def confirm(workspace: Workspace, workload: str) -> None:
    """A person names the workload, on the command line or by a click: from now on it may be loaded."""
    if is_stranger(workspace, workload):
        with workspace.write() as db:
            db.execute("DELETE FROM merged WHERE kind = 'workload' AND name = ?", (workload,))


def check_named(workspace: Workspace, workload: str) -> None:
    """Raises `SecateurError` of a workload that came by merging and was not confirmed."""
    if is_stranger(workspace, workload):
        what = "is run as Python when it is loaded" if runs_python(workload) else "names files on this machine"
        raise SecateurError(
            f"{workload} came with a merged workspace and {what}; look at it, then confirm it on its screen, or name "
            f"it once in a terminal: `secateur targets {shlex.quote(workload)}`"
        )
