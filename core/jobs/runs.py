"""Runs of a workspace, as rows of its database: asked for, under way, and what came of them. No torch."""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from sqlite3 import Row
from typing import Any, TypeVar

import psutil

from core.errors import SecateurError
from core.graph.network import Network
from core.jobs import reports
from core.jobs.drafts import Drafts
from core.jobs.known import left_out
from core.jobs.reports import Found, Result, Rows
from core.jobs.run import Kind, Run, run_of
from core.plans.plan import SparsityPlan
from core.processes import started
from core.profiling.frontier.report import FrontierReport
from core.profiling.pays.report import PaysReport
from core.profiling.report import ProfileReport
from core.profiling.stairs.report import StairsReport
from core.quantization.report import QuantizationReport
from core.sensitivity.inside.report import UndoReport
from core.sensitivity.pairs import PairsReport
from core.sensitivity.report import SensitivityReport
from core.workload.description import Description
from core.workspace import Workspace

Made = TypeVar("Made")


class RunStore:
    """The runs of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def submit(self, kind: Kind, workload: str, request: Mapping[str, Any]) -> tuple[Run, bool]:
        """Queue a run, unless the same one is queued or running already (two browsers, one click each).

        Returns:
            The run, and whether it is new: a new one needs a worker.
        """
        text = json.dumps(request, sort_keys=True)
        with self.workspace.write() as db:
            rows = db.execute(
                "SELECT * FROM runs WHERE kind = ? AND workload = ? AND request = ? "
                "AND state IN ('queued', 'running') AND NOT cancel",
                (kind, workload, text),
            ).fetchall()
            for run in _read(rows):
                if run.active:
                    return run, False
            run_id = secrets.token_hex(4)
            db.execute(
                "INSERT INTO runs (id, kind, workload, request, state, created) VALUES (?, ?, ?, ?, 'queued', ?)",
                (run_id, kind, workload, text, time.time()),
            )
        return self.get(run_id), True

    def note_finished(
        self, kind: Kind, workload: str, request: Mapping[str, Any], result: Mapping[str, Any], started: float
    ) -> None:
        """Note work that was done on the way of a longer run, as if it had been a run of its own.

        The same work with the same result that is noted already is not noted again, as when a run goes on.
        """
        asked, found = json.dumps(request, sort_keys=True), json.dumps(result)
        with self.workspace.write() as db:
            known = db.execute(
                "SELECT 1 FROM runs WHERE kind = ? AND workload = ? AND request = ? AND result = ? "
                "AND state = 'finished'",
                (kind, workload, asked, found),
            ).fetchone()
            if known is None:
                db.execute(
                    "INSERT INTO runs "
                    "(id, kind, workload, request, state, created, started, ended, done, total, result) VALUES "
                    "(?, ?, ?, ?, 'finished', ?, ?, ?, 1, 1, ?)",
                    (secrets.token_hex(4), kind, workload, asked, started, started, time.time(), found),
                )

    def requeue(self, run_id: str) -> Run:
        """Make an interrupted, cancelled or failed run ready to go on.

        Raises:
            SecateurError: it is still at work, or finished.
        """
        run = self.get(run_id)
        with self.workspace.write() as db:  # looked at inside the transaction: two browsers, one click each
            run = run_of(db.execute("SELECT * FROM runs WHERE id = ?", (run.id,)).fetchone())
            if run.active or run.state == "finished":
                raise SecateurError(
                    f"run {run.id} is {run.state}; only an interrupted, stopped, cancelled or failed run can be resumed"
                )
            db.execute(
                "UPDATE runs SET state = 'queued', created = ?, started = NULL, ended = NULL, pid = NULL, "
                "pid_started = NULL, done = 0, reused = 0, error = NULL, phase = NULL, cancel = 0 WHERE id = ?",
                (time.time(), run.id),
            )
        return self.get(run.id)

    def get(self, run_id: str) -> Run:
        """The run of that name, or else the one whose id starts with `run_id`.

        Raises:
            SecateurError: none does, or several do.
        """
        with self.workspace.connect() as db:
            rows = (
                db.execute("SELECT * FROM runs WHERE name = ?", (run_id,)).fetchall()
                or db.execute(
                    "SELECT * FROM runs WHERE substr(id, 1, ?) = ? ORDER BY created DESC", (len(run_id), run_id)
                ).fetchall()
            )
        if len(rows) != 1 or not run_id:
            alike = "are called" if rows and rows[0]["name"] == run_id else "start with"
            what = "no run" if not rows else f"{len(rows)} runs {alike}"
            raise SecateurError(f"{what} {run_id!r} in {self.workspace.folder}; `secateur runs` lists them")
        return run_of(rows[0])

    def list(self, kind: Kind | None = None, workload: str | None = None) -> tuple[Run, ...]:
        """Runs, newest first."""
        with self.workspace.connect() as db:
            rows = db.execute(
                "SELECT * FROM runs WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR workload = ?2) "
                "ORDER BY created DESC, rowid DESC",
                (kind, workload),
            ).fetchall()
        return _read(rows)

    def of_other_data(self, run: Run) -> Run | None:
        """The run of the same workload before this one, if it was measured on other evaluation data."""
        with self.workspace.connect() as db:
            row = db.execute(
                "SELECT * FROM runs WHERE workload = ? AND kind != 'describe' AND data NOT NULL AND created < ? "
                "ORDER BY created DESC LIMIT 1",
                (run.workload, run.created),
            ).fetchone()
        return next(iter(_read([row])), None) if row is not None and run.data not in (None, row["data"]) else None

    def ask_to_stop(self, run_id: str) -> None:
        """The worker stops before its next forward pass; a run that waits, or whose worker is gone, stops at once."""
        run = self.get(run_id)
        with self.workspace.write() as db:  # looked at inside: it may begin at this very moment
            run = run_of(db.execute("SELECT * FROM runs WHERE id = ?", (run.id,)).fetchone())
            db.execute("UPDATE runs SET cancel = 1 WHERE id = ? AND state IN ('queued', 'running')", (run.id,))
            if run.state in ("queued", "interrupted"):
                db.execute("UPDATE runs SET state = 'cancelled', ended = ? WHERE id = ?", (time.time(), run.id))

    def begin(self, run_id: str, phase: str) -> bool:
        """Let a run that waits be at work; `False` if it does not wait any more, or was stopped."""
        with self.workspace.write() as db:
            begun = db.execute(
                "UPDATE runs SET state = 'running', started = ?, phase = ? "
                "WHERE id = ? AND state = 'queued' AND NOT cancel",
                (time.time(), phase, run_id),
            )
            return begun.rowcount == 1

    def note_started(self, run_ids: Sequence[str], pid: int) -> None:
        """Whoever starts a worker says which process it is, so that one which dies before it says so is known dead."""
        try:
            began: float = started(pid)
        except psutil.NoSuchProcess:  # it is dead by now
            began = time.time()
        with self.workspace.write() as db:
            db.executemany(
                "UPDATE runs SET pid = ?, pid_started = ? WHERE id = ? AND pid IS NULL AND state = 'queued'",
                [(pid, began, run_id) for run_id in run_ids],
            )

    def update(self, run_id: str, **columns: Any) -> None:
        """Write columns of a run; `result` and `made_with` are plain values."""
        for name in {"result", "made_with"} & columns.keys():
            columns[name] = json.dumps(columns[name])
        names = ", ".join(f"{name} = ?" for name in columns)
        with self.workspace.write() as db:
            db.execute(f"UPDATE runs SET {names} WHERE id = ?", (*columns.values(), run_id))

    def note_damage(self, run_id: str, n: int) -> None:
        """Count measurements that the run had to make again, because what was on disk of them is damaged."""
        with self.workspace.write() as db:
            db.execute("UPDATE runs SET damaged = damaged + ? WHERE id = ?", (n, run_id))

    def stopping(self, run_id: str) -> bool:
        """Whether somebody asked the run to stop."""
        with self.workspace.connect() as db:
            row = db.execute("SELECT cancel FROM runs WHERE id = ?", (run_id,)).fetchone()
        return bool(row["cancel"])

    def set_cells(self, run_id: str, cells: Sequence[Found]) -> None:
        """The map of a run, before or after measuring; of a run over pairs, the cuts alone and then the pairs."""
        rows = [(run_id, position, json.dumps(cell.to_json())) for position, cell in enumerate(cells)]
        with self.workspace.write() as db:
            db.execute("DELETE FROM cells WHERE run = ?", (run_id,))
            db.executemany("INSERT INTO cells VALUES (?, ?, ?)", rows)
            db.execute("UPDATE runs SET total = ?, done = 0, reused = 0 WHERE id = ?", (len(rows), run_id))

    def set_news(
        self,
        run_id: str,
        cells: Mapping[int, Found],
        done: int,
        reused: int,
        total: int | None,
        phase: str,
        result: Mapping[str, Any],
    ) -> None:
        """Cells that have changed, by position, and how far the run is."""
        with self.workspace.write() as db:
            db.executemany(
                "UPDATE cells SET cell = ? WHERE run = ? AND position = ?",
                [(json.dumps(cell.to_json()), run_id, position) for position, cell in cells.items()],
            )
            db.execute(
                "UPDATE runs SET done = ?, reused = ?, total = ?, phase = ?, result = ? WHERE id = ?",
                (done, reused, total, phase, json.dumps(result), run_id),
            )

    def _rows(self, run: Run) -> Rows:
        with self.workspace.connect() as db:
            rows = db.execute("SELECT position, cell FROM cells WHERE run = ? ORDER BY position", (run.id,)).fetchall()
        return left_out.readable(
            rows, lambda row: _object(row["cell"]), lambda row: f"cell {row['position']} of run {run.id}"
        )

    def _mapped(self, run: Run, made: Callable[[Run, Result, Rows], Made]) -> Made | None:
        """A report of a run and of what is kept of it row by row; of a damaged row as much as can be read."""
        if run.result is None:
            return None
        result, rows = run.result, self._rows(run)
        try:
            return made(run, result, rows)
        except left_out.UNREADABLE:  # which row it is, each alone tells
            whole = list(enumerate(rows))
            sound = left_out.readable(
                whole,
                lambda one: (made(run, result, [one[1]]), one[1])[1],
                lambda one: f"cell {one[0]} of run {run.id}",
            )
            return _whole(run, lambda: made(run, result, sound))

    def report(self, run: Run) -> SensitivityReport | None:
        """The map of a sweep as far as it is measured; `None` until the worker has laid out its cells."""
        return self._mapped(run, reports.sensitivity_report)

    def pairs_report(self, run: Run) -> PairsReport | None:
        """What a run over pairs found so far; `None` until the worker has laid out its pairs, and of a shard."""
        return self._mapped(run, reports.pairs_report) if run.kind == "pairs" and not _is_shard(run) else None

    def undo_report(self, run: Run) -> UndoReport | None:
        """What the map inside a plan shows so far; `None` until the worker has laid out its rows, and of a shard."""
        return self._mapped(run, reports.undo_report) if run.kind == "undo" and not _is_shard(run) else None

    def quantization_report(self, run: Run) -> QuantizationReport | None:
        """What a map of pruning × quantization found so far; `None` until its cells are laid out, and of a shard."""
        return self._mapped(run, reports.quantization_report) if run.kind == "bits" and not _is_shard(run) else None

    def pays_report(self, run: Run) -> PaysReport | None:
        """What engines made of a plan so far; `None` of a run of another kind, and before its first engine."""
        return _result_of(run, "pays", PaysReport.from_json)

    def frontier_report(self, run: Run) -> FrontierReport | None:
        """What a frontier found so far; `None` of a run of another kind, and before its plans are made."""
        return _result_of(run, "frontier", FrontierReport.from_json)

    def stairs_report(self, run: Run) -> StairsReport | None:
        """Milliseconds against width so far; `None` of a run of another kind, and before its first handful."""
        return _result_of(run, "stairs", StairsReport.from_json)

    def network(self, run: Run) -> Network | None:
        """The network that a run has drawn; `None` of a run of another kind, and until it is drawn."""
        return _result_of(run, "graph", lambda result: Network.from_json(result["network"]))

    def profile_report(self, run: Run) -> ProfileReport | None:
        """What a profile measured; `None` of a run of another kind, and until it is finished."""
        return _result_of(run, "profile", ProfileReport.from_json)

    def remember(self, description: Description) -> None:
        """Keep what a workload is made of, and since when that is known.

        Of the same model, with inputs of the same shapes, what was counted of its memory stays.
        """
        known = self.description(description.ref) if description.memory is None else None
        now = description.fingerprint, description.inputs
        if known is not None and (known[0].fingerprint, known[0].inputs) == now:
            description = replace(description, memory=known[0].memory)
        with self.workspace.write() as db:
            db.execute(
                "INSERT OR REPLACE INTO workloads VALUES (?, ?, ?)",
                (description.ref, json.dumps(description.to_json()), time.time()),
            )

    def descriptions(self) -> dict[str, Description]:
        """Every workload that this workspace has seen, by reference."""
        with self.workspace.connect() as db:
            rows = db.execute("SELECT ref, description FROM workloads ORDER BY rowid").fetchall()
        return dict(left_out.readable(rows, lambda row: (row["ref"], _described(row)), _model_of))

    def description(self, workload: str) -> tuple[Description, float] | None:
        """What is known of one workload, and when it was read (seconds since the epoch)."""
        with self.workspace.connect() as db:
            row = db.execute("SELECT * FROM workloads WHERE ref = ?", (workload,)).fetchone()
        rows = [row] if row else []
        return next(iter(left_out.readable(rows, lambda row: (_described(row), row["described"]), _model_of)), None)

    def active(self) -> tuple[Run, ...]:
        """Runs that wait or work, oldest first; for a page that asks every second."""
        with self.workspace.connect() as db:
            rows = db.execute(
                "SELECT * FROM runs WHERE state IN ('queued', 'running') ORDER BY created, rowid"
            ).fetchall()
        return tuple(run for run in _read(rows) if run.active)

    def ended_since(self, moment: float) -> tuple[Run, ...]:
        """Runs that ended after a moment (seconds since the epoch), newest first, but for work on the way of others."""
        with self.workspace.connect() as db:
            rows = db.execute(
                "SELECT * FROM runs WHERE ended > ? AND started > created AND state IN ('finished', 'failed') "
                "ORDER BY ended DESC",
                (moment,),
            ).fetchall()
        return _read(rows)

    def workloads(self) -> tuple[str, ...]:
        """Every workload that was ever read here, or tried to be, oldest first."""
        with self.workspace.connect() as db:
            rows = db.execute(
                "SELECT workload FROM runs WHERE workload NOT LIKE 'memory:%' "
                "UNION SELECT ref FROM workloads ORDER BY 1"
            ).fetchall()
        return tuple(row[0] for row in rows)

    def bundle_folder(self, run: Run) -> Path | None:
        """Where the bundle of a finished export lies; one inside the workspace is found wherever that was moved."""
        if run.kind != "export" or not run.result:
            return None
        return self.workspace.folder / str(run.result["folder"])  # an absolute path stays what it is

    def quantized_file(self, run: Run) -> Path | None:
        """Where the quantized model of a finished run lies; one inside the workspace is found wherever that was moved.

        What a run of `secateur quantize` wrote elsewhere stays there.
        """
        if run.kind != "quantize" or not run.result:
            return None
        return self.workspace.folder / str(run.result["path"])  # an absolute path stays what it is

    def draft(self, workload: str) -> SparsityPlan:
        """The plan that is being made for a workload; empty at first."""
        return Drafts(self.workspace).present(workload)

    def save_draft(self, workload: str, plan: SparsityPlan) -> None:
        """Keep the plan that is being made; what it was before can be had again, see `Drafts`."""
        Drafts(self.workspace).save(workload, plan)


def _read(rows: Sequence[Row]) -> tuple[Run, ...]:
    return tuple(left_out.readable(rows, run_of, lambda row: f"run {row['id']}"))


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError("no object")
    return found


def _described(row: Row) -> Description:
    return Description.from_json(json.loads(row["description"]))


def _model_of(row: Row) -> str:
    return f"what is known of the model {str(row['ref'])[:80]}"


def _whole(run: Run, made: Callable[[], Made]) -> Made | None:
    """What is made of a run's result; `None`, and noted, where it cannot be read."""
    try:
        return made()
    except left_out.UNREADABLE as error:
        left_out.note(f"what run {run.id} found", error)
        return None


def _is_shard(run: Run) -> bool:
    """One of several machines' parts, which leaves evidence alone: what is made of it is made of all parts at once."""
    return bool(run.request.get("shard"))


def _result_of(run: Run, kind: Kind, made: Callable[[dict[str, Any]], Made]) -> Made | None:
    return _whole(run, lambda: made(dict(run.result or {}))) if run.kind == kind and run.result else None
