"""Merging: what was measured in another workspace, on another machine say, taken over into this one. No torch."""

import hashlib
import json
import math
import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import SecateurError
from core.jobs.merging.placing import place
from core.jobs.merging.sound_rows import define_soundness
from core.jobs.merging.taken_trainings import TakenTrainings, take_trainings
from core.jobs.runs import ACTIVE, Run, RunStore
from core.workspace import COLUMNS, DATABASE, VERSION, Workspace, columns_of

KINDS = (
    "sweep",
    "pairs",
    "bits",
    "measure",
    "profile",
    "export",
    "recover",
    "tickets",
)  # to describe says what its machine could load, which is no result

PLAN = "workload, plan, document, made_by, parent, created, name, note, goal"
PREDICTION = "workload, plan, model, made, n_plans, prediction"
# by table: what its rows must be to be taken over, see `core.jobs.merging.sound_rows`
SOUND = {
    "plans": "kept_plan(plan, document, made_by, parent, created, name, note, goal)",
    "predictions": "prediction(model, made, n_plans, prediction)",
    "drafts": "plan_text(plan)",
    "draft_steps": "plan_text(plan)",
    "rules": "rules(document)",
}

Stamp = tuple[int, int, int]  # of a file: changes when it is written to


class _Changed(Exception):  # noqa: N818 - not an error: it is read again in another way
    """The other database was written to while it was read."""


@dataclass(frozen=True)
class Merged:
    """What one merge brought.

    Attributes:
        source: folder of the other workspace.
        added: measurements (one cut on one batch) that were new here.
        known: measurements that were here already, the differing ones among them.
        differing: of the known, those whose numbers are not the same bit for bit. Those here stay.
        largest_difference: of one example's score (or weight) among them; `None` where that is no number: a NaN on one
            side only, say. 0 when just the note whether any output changed differs.
        runs: ids of the runs that were added, or brought further than they were here.
        unfinished: of these, the ones that were waiting or at work there: they stand as interrupted here.
        renamed: of these, new ids by their old ones, which name other runs here.
        models, drafts: descriptions of models, and plans being made, that were new here.
        bundles: exported bundles that were copied into this workspace.
        plans: kept plans that were new here.
        skipped: rows of kept plans, predictions, drafts and their rules that are damaged there, and were left there.
        rounds: checkpoints of recoveries that were copied into this workspace.
        tickets: trainings of ticket experiments that were copied.
        left: of both what was not, each with the reason: damaged there, or of another course than here.
    """

    source: str
    added: int
    known: int
    differing: int
    largest_difference: float | None
    runs: tuple[str, ...]
    unfinished: tuple[str, ...]
    renamed: Mapping[str, str]
    models: int
    drafts: int
    bundles: int
    plans: int
    skipped: int
    rounds: int
    tickets: int
    left: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


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
    read-only. What was only tried there (reading a model) and the logs of its workers stay there.

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
    stamp = _stamp(folder / DATABASE)  # before the look at what waits: that is written into the database

    def unchanged() -> bool:
        return _stamp(folder / DATABASE) == stamp

    if any(_size(folder / f"{DATABASE}{end}") for end in ("-wal", "-journal")):
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
        version = _attach(db, folder / DATABASE, how)
        bundles = _copy_bundles(db, here, folder, undo)
        trainings = take_trainings(here, folder, undo)
        db.execute("BEGIN IMMEDIATE")
        undo.callback(_roll_back, db)
        merged = _take_over(db, here, folder, version, bundles, trainings)
        if not may_commit():
            raise _Changed
        db.execute("COMMIT")
        undo.pop_all()
        return merged


def _attach(db: sqlite3.Connection, database: Path, how: str) -> int:
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
        if version < 1 or not {table for table, _ in columns_of(1)} <= {table for table, _ in there}:
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


def _take_over(
    db: sqlite3.Connection, here: Workspace, folder: Path, version: int, bundles: int, trainings: TakenTrainings
) -> Merged:
    define_soundness(db)
    total = db.execute("SELECT count(*) FROM other.evidence").fetchone()[0]
    differing, largest = _differences(db)
    added = _insert(db, "evidence", "cell, batch, n, changed, scores, weights")
    if version >= 4:
        _insert(db, "losses", "cell, batch, loss, values_")
    if version >= 2:
        _insert(db, "batches", "batch, n, positions, columns")
    models = _insert(db, "workloads", "ref, description, described")
    plans = _take_plans(db) if version >= 3 else 0
    if version >= 3:
        _take_histories(db)  # of drafts that are new here
    drafts = _insert(db, "drafts", "workload, plan", SOUND["drafts"])
    checked = SOUND if version >= 3 else ("drafts",)
    counts = [f"(SELECT count(*) FROM other.{table} WHERE NOT {SOUND[table]})" for table in checked]
    skipped = db.execute(f"SELECT {' + '.join(counts)}").fetchone()[0]
    taken, unfinished = _take_runs(db, RunStore(here))
    return Merged(
        source=str(folder),
        added=added,
        known=total - added,
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
    )


def _insert(db: sqlite3.Connection, table: str, columns: str, where: str = "1") -> int:
    """Rows of the other workspace that this one does not have; how many they were."""
    return db.execute(
        f"INSERT OR IGNORE INTO main.{table} ({columns}) SELECT {columns} FROM other.{table} WHERE {where}"
    ).rowcount


def _take_plans(db: sqlite3.Connection) -> int:
    """Kept plans with names, notes and predictions; how many were new. Of one that both have, what is said here stays.

    Two plans of one name keep it both: which of them was meant only a person can say.
    """
    said = ("made_by", "parent", "name", "note", "goal")
    columns = ", ".join(f"{column} = coalesce(main.plans.{column}, o.{column})" for column in said)
    db.execute(
        f"UPDATE main.plans SET {columns}, created = min(main.plans.created, o.created) "
        f"FROM (SELECT {PLAN} FROM other.plans WHERE {SOUND['plans']}) o "
        "WHERE main.plans.workload = o.workload AND main.plans.plan = o.plan"
    )
    _insert(db, "predictions", PREDICTION, SOUND["predictions"])
    return _insert(db, "plans", PLAN, SOUND["plans"])


def _take_histories(db: sqlite3.Connection) -> None:
    """What drafts were before, and the rules they are made by, where there is no draft here.

    A history with a damaged step stays there as a whole: undoing would lead into a gap.
    """
    new = "workload NOT IN (SELECT workload FROM main.drafts)"
    damaged = " UNION ".join(
        f"SELECT workload FROM other.{table} WHERE NOT {SOUND[table]}" for table in ("drafts", "draft_steps")
    )
    for table, columns in (("draft_steps", "workload, position, plan"), ("draft_cursors", "workload, position")):
        _insert(db, table, columns, f"{new} AND workload NOT IN ({damaged})")
    _insert(db, "rules", "workload, document", f"{new} AND {SOUND['rules']}")


def _differences(db: sqlite3.Connection) -> tuple[int, float]:
    """Evidence that both have with different numbers: how many rows, and the largest difference of a number."""
    rows = db.execute(
        "SELECT h.scores, o.scores, h.weights, o.weights "
        "FROM other.evidence o JOIN main.evidence h USING (cell, batch) "
        "WHERE h.scores IS NOT o.scores OR h.weights IS NOT o.weights OR h.changed != o.changed"
    )
    n, largest = 0, 0.0
    for scores, other_scores, weights, other_weights in rows:
        n += 1
        largest = max(largest, _gap(scores, other_scores), _gap(weights, other_weights))
    return n, largest


def _gap(a: bytes | None, b: bytes | None) -> float:
    """The largest difference of two arrays of float32; infinite where it is no number."""
    if a == b:
        return 0.0
    if a is None or b is None or len(a) != len(b):
        return math.inf
    x, y = (np.frombuffer(blob, "<f4").astype(np.float64) for blob in (a, b))
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    return float(np.nan_to_num(np.abs(x - y)[~same], nan=math.inf).max(initial=0.0))


def _take_runs(db: sqlite3.Connection, runs: RunStore) -> tuple[dict[str, str], list[str]]:
    """Take over runs and their maps.

    Returns:
        Ids here by ids there, oldest run first, and the ids there of those that had not ended.
    """
    ours = {run.id: run for run in runs.list()}  # another connection: what we write here is not runs
    taken: dict[str, str] = {}
    unfinished: list[str] = []
    rows = db.execute(
        f"SELECT id, kind, workload, request, state, done FROM other.runs WHERE kind IN {KINDS} ORDER BY created, id"
    ).fetchall()
    for row in rows:
        old, new = row["id"], _id_here(row, ours)
        if new in ours and not _is_further(row, ours[new]):
            continue
        _copy_run(db, old, new)
        taken[old] = new
        if row["state"] in ACTIVE:
            unfinished.append(old)
    return taken, unfinished


def _id_here(row: sqlite3.Row, ours: Mapping[str, Run]) -> str:
    """A run's own id, unless another run has it here; then one that the next merge finds again."""
    run_id: str = row["id"]
    while run_id in ours and not _is_same(row, ours[run_id]):
        text = f"{run_id}{row['kind']}{row['workload']}{row['request']}"
        run_id = hashlib.sha256(text.encode()).hexdigest()[:8]
    return run_id


def _is_same(row: sqlite3.Row, run: Run) -> bool:
    return (row["kind"], row["workload"], json.loads(row["request"])) == (run.kind, run.workload, run.request)


def _is_further(row: sqlite3.Row, run: Run) -> bool:
    """Whether the other side brought a run that both have further: resumed there, or merged before it had ended."""
    if run.active or run.state == "finished":
        return False
    return row["state"] == "finished" or row["done"] > run.done


def _copy_run(db: sqlite3.Connection, old: str, new: str) -> None:
    """Copy a run and its map. One that is under way there is nobody's work here: it is interrupted, and may go on."""
    db.execute("DELETE FROM main.cells WHERE run = ?", (new,))
    db.execute("INSERT INTO main.cells SELECT ?, position, cell FROM other.cells WHERE run = ?", (new, old))
    columns = "kind, workload, request, created, started, ended, done, reused, total, phase, error, result"
    db.execute(
        f"INSERT OR REPLACE INTO main.runs (id, state, {columns}) SELECT ?, "
        f"CASE WHEN state IN {ACTIVE} THEN 'interrupted' ELSE state END, {columns} FROM other.runs WHERE id = ?",
        (new, old),
    )


def _copy_bundles(db: sqlite3.Connection, here: Workspace, folder: Path, undo: ExitStack) -> int:
    """Copy bundles that lie in the other workspace and not in this one. One exported elsewhere stays where it is."""
    rows = db.execute(
        "SELECT json_extract(result, '$.folder') FROM other.runs "
        "WHERE kind = 'export' AND state = 'finished' AND json_valid(result)"
    ).fetchall()
    copied = 0
    for (name,) in rows:
        source, target = folder / str(name), here.folder / str(name)
        if Path(str(name)).parent != Path("bundles") or target.exists() or not source.is_dir():
            continue
        try:
            here.subfolder("bundles")
            for path in (source, source.with_name(f"{source.name}.zip")):
                if path.exists() and not path.is_symlink():
                    place(path, target.with_name(path.name), undo)
        except (OSError, shutil.Error) as error:
            raise SecateurError(
                f"cannot copy the bundle {source} into {here.folder} ({error}); free some space, or mend what it says"
            ) from None
        copied += 1
    return copied


def _roll_back(db: sqlite3.Connection) -> None:
    if db.in_transaction:  # a full disk has rolled back already
        db.execute("ROLLBACK")


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
