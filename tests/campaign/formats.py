"""Workspaces of every earlier version, brought up to date while that is killed; those of a newer Secateur refused."""

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from core.errors import SecateurError
from core.jobs.runs import RunStore
from core.workspace import PACKED, PAGE_BYTES, SEALED, STEPS, VERSION, Workspace, seal
from core.workspace.rows import define_functions, put_evidence
from tests.campaign.children import child
from tests.campaign.kills import one_line
from tests.campaign.outcomes import Outcomes
from tests.campaign.works import World, evidence

N_ROWS = 400


def formats(world: World, n: int, rng: random.Random, outcomes: Outcomes) -> None:
    """n updates of workspaces of drawn versions, each killed on the way; and a newer one."""
    for _ in range(n):
        version = rng.randint(1, VERSION - 1)
        folder = world.folder / "job-older"
        shutil.rmtree(folder, ignore_errors=True)
        rows = older(folder, version, rng)
        at = (1, rng.choice(("inside", "after", "before")))
        ended = child(folder, lambda folder=folder: Workspace(folder) and None, at).wait()  # type: ignore[misc]
        family = f"version {version} killed while brought up to date"
        outcomes.injected(family, "workspace")
        if ended.code >= 0:
            outcomes.bad("unsaid", family, "workspace", f"it was not killed: {ended}")
        try:
            found = {tuple(row[:2]): row for row in evidence(folder)}
            listed = RunStore(Workspace(folder)).list()
        except SecateurError as error:
            outcomes.bad("stuck", family, "workspace", str(error))
            continue
        if lost := rows - {(*key, row[2]) for key, row in found.items()}:
            outcomes.bad("lost", family, "workspace", f"{len(lost)} rows of evidence")
        if len(listed) != 1:
            outcomes.bad("lost", family, "workspace", "its run")
        if not (folder / f"secateur-version-{version}.sqlite").exists():
            outcomes.bad("lost", family, "workspace", "no copy of what was")
    _newer(world.folder / "job-newer", outcomes)


def older(folder: Path, version: int, rng: random.Random) -> set[tuple[str, str, int]]:
    """Make a workspace as a build of that version left it; its rows of evidence: cell, batch, n."""
    folder.mkdir(parents=True)
    rows = set()
    with closing(sqlite3.connect(folder / "secateur.sqlite")) as db:
        define_functions(db)
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        for step in STEPS[:version]:
            db.executescript(step)
        for i in range(N_ROWS):
            row = (f"cell{i // 20:060}", f"batch{i % 20:059}", 8, 1, rng.randbytes(32), None)
            rows.add((row[0], row[1], row[2]))
            if version >= PACKED:
                put_evidence(db, [row])
                continue
            digest = (seal(*row),) if version >= SEALED else ()
            marks = ", ".join("?" * (len(row) + len(digest)))
            db.execute(f"INSERT INTO evidence VALUES ({marks})", (*row, *digest))
        db.execute(
            "INSERT INTO runs (id, kind, workload, request, state, created) "
            "VALUES ('0123abcd', 'sweep', 'w', '{}', 'cancelled', 1)"
        )
        db.execute(f"PRAGMA user_version = {version}")
        db.commit()
    return rows


def _newer(folder: Path, outcomes: Outcomes) -> None:
    Workspace(folder)
    with closing(sqlite3.connect(folder / "secateur.sqlite")) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    family = "of a newer version"
    outcomes.injected(family, "workspace")
    try:
        Workspace(folder)
    except SecateurError as error:
        outcomes.said(family, str(error).replace(str(folder), "WORKSPACE"))
        if not one_line(str(error)):
            outcomes.bad("unsaid", family, "workspace", str(error))
    else:
        outcomes.bad("wrong", family, "workspace", "it was opened")
