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
from core.jobs.merging.taken_bundles import copy_bundles
from core.jobs.merging.taken_rows import differences, insert, take_evidence, take_histories, take_plans
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


def merge(here: Workspace, folder: Path) -> Merged:
    """Take over what another workspace has: evidence, runs with their maps, models, kept plans, drafts, bundles,
    rounds of recoveries and trainings of tickets.

    What is here stays as it is; one transaction takes over all of it or nothing. The other workspace is opened
    read-only. What was only tried there (reading a model) and the logs of its workers stay there. Models that were
    unknown here are shown, and not loaded until a person names them, see `strangers`.

    Args:
        here: grows.
        folder: of the other workspace, of this version or an older one; never changed.

    Raises:
        SecateurError: `folder` holds no workspace, a damaged one, one of a newer Secateur, or `here` itself; or this
            workspace is locked, or its disk is full. Nothing was merged then.
    """
    folder = mergeable(folder, here.folder)
    return _merge_at_rest(here, folder) or _merge(here, folder, "mode=ro")


def _merge_at_rest(here: Workspace, folder: Path) -> Merged | None:
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
        return _merge(here, folder, "immutable=1", unchanged)
    except _Changed:
        return None
    except SecateurError:
        if unchanged():
            raise
        return None  # pages of two states do not fit together


def _merge(here: Workspace, folder: Path, how: str, may_commit: Callable[[], bool] = lambda: True) -> Merged:
    with here.connect() as db, ExitStack() as undo:
        version = attach(db, folder / DATABASE, how)
        bundles = copy_bundles(db, here, folder, undo)
        trainings = take_trainings(here, folder, undo)
        db.execute("BEGIN IMMEDIATE")
        undo.callback(_roll_back, db)
        merged = _take_over(db, here, folder, version, bundles, trainings)
        if not may_commit():
            raise _Changed
        db.execute("COMMIT")
        undo.pop_all()
        return merged


def _take_over(
    db: sqlite3.Connection, here: Workspace, folder: Path, version: int, bundles: int, trainings: TakenTrainings
) -> Merged:
    define_soundness(db)
    mark_workloads(db)
    total = db.execute("SELECT count(*) FROM other.evidence").fetchone()[0]
    differing, largest = differences(db, version)
    added, damaged = take_evidence(db, version)
    models = insert(db, "workloads", "ref, description, described", SOUND["workloads"])
    plans = take_plans(db) if version >= 3 else 0
    if version >= 3:
        take_histories(db)  # of drafts that are new here
    drafts = insert(db, "drafts", "workload, plan", SOUND["drafts"])
    checked = SOUND if version >= 3 else ("drafts", "runs", "cells", "workloads")
    counts = [f"(SELECT count(*) FROM other.{table} WHERE NOT {SOUND[table]})" for table in checked]
    skipped = db.execute(f"SELECT {' + '.join(counts)}").fetchone()[0]
    taken, unfinished = take_runs(db, RunStore(here), version)
    mark_runs(db, taken.values())
    return Merged(
        source=str(folder),
        added=added,
        known=total - added - damaged,
        differing=differing,
        largest_difference=largest if np.isfinite(largest) else None,
        runs=tuple(taken.values()),
        unfinished=tuple(taken[run] for run in unfinished),
        renamed={old: new for old, new in taken.items() if old != new},
        models=models,
        drafts=drafts,
        bundles=bundles,
        plans=plans,
        skipped=skipped,
        rounds=trainings.rounds,
        tickets=trainings.tickets,
        left=trainings.left,
        damaged=damaged,
    )


def _roll_back(db: sqlite3.Connection) -> None:
    if db.in_transaction:  # a full disk has rolled back already
        db.execute("ROLLBACK")
