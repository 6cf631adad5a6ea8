"""Merging: what was measured in another workspace, on another machine say, taken over into this one. No torch."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from core.errors import SecateurError
from core.jobs.checking.sound_rows import SOUND, define_soundness
from core.jobs.merging.attached import attach, has_changes_waiting, stamp
from core.jobs.merging.merged import Merged
from core.jobs.merging.origins import origin_text
from core.jobs.merging.taken_bundles import copy_bundles
from core.jobs.merging.taken_evidence import Differences, Taken, differences, take_batches, take_evidence
from core.jobs.merging.taken_rows import insert, take_histories, take_plans
from core.jobs.merging.taken_runs import take_runs
from core.jobs.merging.taken_trainings import TakenTrainings, take_trainings
from core.jobs.runs import RunStore
from core.jobs.strangers import mark_runs, mark_workloads
from core.workspace import DATABASE, Workspace


class _Changed(Exception):  # noqa: N818 - not an error: it is read again in another way
    """The other database was written to while it was read."""


def mergeable(folder: Path, here: Path) -> Path:
    """The folder of another workspace, looked at only from outside.

    Raises:
        SecateurError: there is none, or it is the workspace `here` itself.
    """
    database = folder / DATABASE
    if not database.is_file():
        inside = next((found.parent for found in folder.glob(f".*/{DATABASE}")), None)
        mend = f"did you mean {inside}?" if inside else f"name a folder that holds a {DATABASE}"
        raise SecateurError(f"there is no workspace at {folder}; {mend}")
    if (here / DATABASE).exists() and os.path.samefile(database, here / DATABASE):
        raise SecateurError(f"{folder} is the workspace to merge into; name another one")
    return folder.resolve()


def merge(here: Workspace, folder: Path, tolerance: float = 0.0) -> Merged:
    """Take over what another workspace has: evidence, runs with their maps, models, kept plans, drafts, bundles,
    rounds of recoveries and trainings of tickets.

    What is here stays as it is. Evidence comes in slices, so that whoever measures here meanwhile waits for none of
    them long; all else in one transaction, or not at all. The other workspace is opened read-only. What was only tried
    there (reading a model) and the logs of its workers stay there. Models that were unknown here are shown, and not
    loaded until a person names them, see `strangers`.

    Args:
        here: grows.
        folder: of the other workspace, of this version or an older one; never changed.
        tolerance: how far scores of one example may differ where both have measured the same, in the unit of the
            scores, ≥ 0; those here stay.

    Raises:
        SecateurError: `folder` holds no workspace, a damaged one, one of a newer Secateur, or `here` itself; both have
            measured the same and differ by more than `tolerance`; or this workspace is locked, read-only, or its disk
            is full. Nothing was merged then but evidence that is right by itself, and merging again goes on.
    """
    if not tolerance >= 0:
        raise SecateurError(f"a tolerance of {tolerance:g}: how far two scores of one example may differ, 0 or more")
    folder = mergeable(folder, here.folder)
    here.check_writable()  # before a bundle is copied
    taken = Taken()
    return _merge_at_rest(here, folder, tolerance, taken) or _merge(here, folder, tolerance, taken, "mode=ro")


def _merge_at_rest(here: Workspace, folder: Path, tolerance: float, taken: Taken) -> Merged | None:
    """Merge from a database that nobody writes to; `None`, and nothing merged, if somebody does.

    A reader that takes part in SQLite's locking leaves -wal and -shm files beside a database that has none. Where no
    changes wait in such a file we read the database as it lies, and look afterwards whether it still is what it was.
    """
    before = stamp(folder)  # before the look at what waits: that is written into the database

    def unchanged() -> bool:
        return stamp(folder) == before

    if has_changes_waiting(folder):
        return None
    try:
        return _merge(here, folder, tolerance, taken, "immutable=1", unchanged)
    except _Changed:
        return None
    except SecateurError:
        if unchanged():
            raise
        return None  # pages of two states do not fit together


def _merge(
    here: Workspace,
    folder: Path,
    tolerance: float,
    taken: Taken,
    how: str,
    may_commit: Callable[[], bool] = lambda: True,
) -> Merged:
    def check() -> None:
        if not may_commit():
            raise _Changed

    with here.connect() as db, here.connect() as evidence, ExitStack() as undo:
        version = attach(db, folder / DATABASE, how)
        undo.callback(_roll_back, db)
        db.execute(
            "BEGIN"
        )  # what is read there from here on is of one moment; here nothing is read before it is written
        differing = differences(db, evidence, version)
        _check(differing, tolerance, here, folder)
        bundles = copy_bundles(db, here, folder, undo)
        trainings = take_trainings(here, folder, undo)
        take_evidence(db, evidence, version, check, taken)
        merged = _take_over(db, here, folder, version, taken, differing, bundles, trainings)
        check()
        db.execute("COMMIT")
        undo.pop_all()
        return merged


def _check(found: Differences, tolerance: float, here: Workspace, folder: Path) -> None:
    if found.largest <= tolerance:
        return
    mine, theirs = (
        f"in {where}: {origin_text(origin)}" for where, origin in zip((here.folder, folder), found.origins, strict=True)
    )
    if not np.isfinite(found.largest):
        gap, mend = "one is no number, or of another length, where the other is a number", ""
    else:
        gap = f"by up to {found.largest:.3g} in one example's score"
        mend = f"merge with --atol {_above(found.largest)} to keep those here, or "
    what = "measurement" if found.n == 1 else "measurements"
    raise SecateurError(
        f"{found.n:,} {what} that both have differ, {gap} ({mine}; {theirs}), and {tolerance:g} is allowed: two "
        f"machines compute otherwise, or a model is another one than it says; {mend}measure again on one of them, in a "
        "new workspace"
    )


def _above(gap: float) -> str:
    """A short number that is not below a difference."""
    text = f"{gap:.2g}"
    return text if float(text) >= gap else f"{gap * 1.1:.2g}"


def _take_over(
    db: sqlite3.Connection,
    here: Workspace,
    folder: Path,
    version: int,
    taken: Taken,
    differing: Differences,
    bundles: int,
    trainings: TakenTrainings,
) -> Merged:
    # begins to write: had it read here first, whoever writes between would end it
    db.execute("DELETE FROM main.merged WHERE 0")
    define_soundness(db)
    mark_workloads(db)
    take_batches(db, version)
    models = insert(db, "workloads", "ref, description, described", SOUND["workloads"])
    plans = take_plans(db) if version >= 3 else 0
    if version >= 3:
        take_histories(db)  # of drafts that are new here
    drafts = insert(db, "drafts", "workload, plan", SOUND["drafts"])
    checked = SOUND if version >= 3 else ("drafts", "runs", "cells", "workloads")
    counts = [f"(SELECT count(*) FROM other.{table} WHERE NOT {SOUND[table]})" for table in checked]
    skipped = db.execute(f"SELECT {' + '.join(counts)}").fetchone()[0]
    runs, unfinished = take_runs(db, RunStore(here), version)
    mark_runs(db, runs.values())
    return Merged(
        source=str(folder),
        added=taken.added,
        known=taken.total - taken.added - taken.damaged,
        differing=differing.n,
        largest_difference=differing.largest if np.isfinite(differing.largest) else None,
        runs=tuple(runs.values()),
        unfinished=tuple(runs[run] for run in unfinished),
        renamed={old: new for old, new in runs.items() if old != new},
        models=models,
        drafts=drafts,
        bundles=bundles,
        plans=plans,
        skipped=skipped,
        rounds=trainings.rounds,
        tickets=trainings.tickets,
        left=trainings.left,
        damaged=taken.damaged,
    )


def _roll_back(db: sqlite3.Connection) -> None:
    if db.in_transaction:  # a full disk has rolled back already
        db.execute("ROLLBACK")
