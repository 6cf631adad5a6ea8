"""Disks that are full, files that may not grow, databases that are locked, and a memory that is small."""

import os
import random
import resource
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from core.workspace import folder as workspace_folder
from tests.campaign.kills import at_the_end, one_line, survived
from tests.campaign.outcomes import Outcomes
from tests.campaign.works import Job, World, evidence

KINDS = ("full database", "files may not grow", "read-only", "locked", "locked too long", "little memory")


def disks(world: World, kind: str, n: int, rng: random.Random, outcomes: Outcomes) -> None:
    """n of the faults above, each drawn."""
    for _ in range(n):
        family = rng.choice(KINDS)
        job = world.fresh(kind)
        before = set(evidence(job.folder))
        locked = None
        if family.startswith("locked"):
            locked = _locked(job, rng.uniform(0.2, 1.0) * world.seconds[kind], 2.0 if "long" in family else 0.6)
        at_work = job.start(before=_in_the_way(family, job, rng))
        ended = at_work.wait()
        if locked is not None:
            locked.join()
        outcomes.injected(family, kind)
        told(job, family, ended.said, ended.code, outcomes)
        survived(job, family, before, at_work.acknowledged(), outcomes)
        at_the_end(job, family, outcomes)


def told(job: Job, family: str, said: str, code: int, outcomes: Outcomes) -> None:
    """A fault that the work did not get over is told of on one line, by the command or in its run."""
    if code == 0 and not said:
        outcomes.said(family, "nothing: the work went on to its end")
        return
    outcomes.said(family, _without_paths(said, job))
    if not one_line(said):
        outcomes.bad("unsaid", family, job.kind, f"exit code {code}: {said!r}")


def _without_paths(said: str, job: Job) -> str:
    said = said.replace(str(job.folder), "WORKSPACE").replace(str(job.world.folder), "FOLDER")
    return said.replace(job.run, "RUN") if job.run else said


def _in_the_way(family: str, job: Job, rng: random.Random) -> Callable[[], None]:
    """What a child does first, so that the fault comes."""
    extra, database = rng.randint(0, 3), job.runs.workspace.database
    with closing(sqlite3.connect(database)) as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0] + extra
    room = rng.choice((0, 20_000, 60_000, 200_000))

    def full() -> None:
        real = sqlite3.connect

        def limited(*args: object, **options: object) -> sqlite3.Connection:
            connection = real(*args, **options)  # type: ignore[call-overload]
            connection.execute(f"PRAGMA max_page_count = {pages}")
            return connection

        sqlite3.connect = limited  # type: ignore[assignment]

    def small_files() -> None:
        limit = database.stat().st_size + room
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    def read_only() -> None:
        os.access = lambda path, mode, **how: not mode & os.W_OK  # type: ignore[assignment]

    def impatient() -> None:
        workspace_folder.PATIENT_SECONDS = workspace_folder.LOCK_SECONDS = 0.5

    def little_memory() -> None:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limit = used + rng.choice((1, 4, 16, 64)) * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    return {
        "full database": full, "files may not grow": small_files, "read-only": read_only,
        "locked": lambda: None, "locked too long": impatient, "little memory": little_memory,
    }[family]  # fmt: skip


def _locked(job: Job, after: float, seconds: float) -> threading.Thread:
    """Another program holds the database for a while."""

    def hold() -> None:
        time.sleep(after)
        database = job.runs.workspace.database
        with closing(sqlite3.connect(database, timeout=5, isolation_level=None)) as db, suppress(sqlite3.Error):
            db.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            db.execute("ROLLBACK")

    thread = threading.Thread(target=hold)
    thread.start()
    return thread
