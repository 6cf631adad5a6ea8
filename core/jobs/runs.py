"""Runs: what was asked of the worker, how far it is, and what came of it. Rows in the workspace; no torch."""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Row
from typing import Any, Literal

import psutil

from core.errors import SecateurError
from core.jobs.drafts import Drafts
from core.plans.plan import SparsityPlan
from core.profiling.report import ProfileReport
from core.quantization.report import QuantizationReport, QuantizedCell
from core.sensitivity.pairs import PairResult, PairsReport, PartResult
from core.sensitivity.report import CellResult, Estimate, SensitivityReport
from core.workload.description import Description
from core.workload.scale import Scale
from core.workspace import Workspace

Kind = Literal[
    "describe", "sweep", "pairs", "measure", "anchors", "minimise", "refine", "recover", "tickets", "bits", "quantize",
    "profile", "export", "verify",
]  # fmt: skip
State = Literal["queued", "running", "finished", "failed", "cancelled", "interrupted"]
ACTIVE: tuple[State, ...] = ("queued", "running")
Found = CellResult | PartResult | PairResult | QuantizedCell  # what is kept of a run, row by row
START_SECONDS = 30.0  # a queued run whose worker has not reported its pid by then is taken for dead


@dataclass(frozen=True)
class Run:
    """One piece of long work.

    Attributes:
        id: eight hexadecimal digits.
        kind: what is done. `"describe"`: list the targets of a workload. `"pairs"`: measure cuts two at a time.
            `"measure"`: a plan. `"anchors"`: a few plans that tell how cuts interact. `"minimise"`: search for the
            cheapest plan within a tolerance. `"refine"`: a solved plan made better by measuring around it.
            `"recover"`: rounds of pruning and fine-tuning. `"bits"`: the map of pruning × quantization. `"quantize"`: a
            quantized model is written. `"profile"`: sizes and times. `"verify"`: a bundle is checked again. The others
            are plain.
        workload: name or path.
        request: what was asked, as plain values.
        state: `"interrupted"`: the worker died; `secateur resume` goes on from what is on disk.
        created, started, ended: seconds since the epoch, `None` if it has not come to that.
        done, reused, total: steps finished, how many of them were known before, and of how many; `total` is `None`
            until the worker knows.
        phase: what the worker is doing, for a person.
        error: why it failed.
        result: what came of it, as plain values.
        stopping: somebody asked it to stop.
    """

    id: str
    kind: Kind
    workload: str
    request: Mapping[str, Any]
    state: State
    created: float
    started: float | None
    ended: float | None
    done: int
    reused: int
    total: int | None
    phase: str | None
    error: str | None
    result: Mapping[str, Any] | None
    stopping: bool

    @property
    def active(self) -> bool:
        """Waiting for its turn, or at work."""
        return self.state in ACTIVE

    def seconds_left(self, now: float | None = None) -> float | None:
        """Estimate from the pace so far of what had to be computed; `None` while there is none to go by.

        What a sweep said it costs is believed until a quarter is done, for it begins with the smallest batches. It is
        the cost of all examples of all cells, the most that a search can need.
        """
        now, fresh, result = now or time.time(), self.done - self.reused, self.result or {}
        if self.state != "running" or self.total is None or self.started is None:
            return None
        told = result.get("cost_at", 0.0)
        left = told + result["cost"]["seconds"] - now if told >= self.started else 0.0  # older: before it was resumed
        if left > 0 and self.done < self.total / 4:
            return float(left)
        if fresh < 2:
            return None
        return (now - max(told, self.started)) / fresh * (self.total - self.done)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "seconds_left": self.seconds_left()}


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
            for row in rows:
                run = _run_of(row)
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
            run = _run_of(db.execute("SELECT * FROM runs WHERE id = ?", (run.id,)).fetchone())
            if run.active or run.state == "finished":
                raise SecateurError(
                    f"run {run.id} is {run.state}; only an interrupted, cancelled or failed run can be resumed"
                )
            db.execute(
                "UPDATE runs SET state = 'queued', created = ?, started = NULL, ended = NULL, pid = NULL, "
                "pid_started = NULL, done = 0, reused = 0, error = NULL, phase = NULL, cancel = 0 WHERE id = ?",
                (time.time(), run.id),
            )
        return self.get(run.id)

    def get(self, run_id: str) -> Run:
        """The run whose id starts with `run_id`.

        Raises:
            SecateurError: none does, or several do.
        """
        with self.workspace.connect() as db:
            rows = db.execute(
                "SELECT * FROM runs WHERE substr(id, 1, ?) = ? ORDER BY created DESC", (len(run_id), run_id)
            ).fetchall()
        if len(rows) != 1 or not run_id:
            what = "no run" if not rows else f"{len(rows)} runs start with"
            raise SecateurError(f"{what} {run_id!r} in {self.workspace.folder}; `secateur runs` lists them")
        return _run_of(rows[0])

    def list(self, kind: Kind | None = None, workload: str | None = None) -> tuple[Run, ...]:
        """Runs, newest first."""
        with self.workspace.connect() as db:
            rows = db.execute(
                "SELECT * FROM runs WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR workload = ?2) "
                "ORDER BY created DESC, rowid DESC",
                (kind, workload),
            ).fetchall()
        return tuple(_run_of(row) for row in rows)

    def ask_to_stop(self, run_id: str) -> None:
        """The worker stops before its next forward pass; a run that waits, or whose worker is gone, stops at once."""
        run = self.get(run_id)
        with self.workspace.write() as db:
            db.execute("UPDATE runs SET cancel = 1 WHERE id = ? AND state IN ('queued', 'running')", (run.id,))
            if run.state in ("queued", "interrupted"):
                db.execute("UPDATE runs SET state = 'cancelled', ended = ? WHERE id = ?", (time.time(), run.id))

    def update(self, run_id: str, **columns: Any) -> None:
        """Write columns of a run; `result` may be plain values."""
        if "result" in columns:
            columns["result"] = json.dumps(columns["result"])
        names = ", ".join(f"{name} = ?" for name in columns)
        with self.workspace.write() as db:
            db.execute(f"UPDATE runs SET {names} WHERE id = ?", (*columns.values(), run_id))

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

    def report(self, run: Run) -> SensitivityReport | None:
        """The map of a sweep as far as it is measured; `None` until the worker has laid out its cells."""
        if run.result is None:
            return None
        with self.workspace.connect() as db:
            rows = db.execute("SELECT cell FROM cells WHERE run = ? ORDER BY position", (run.id,)).fetchall()
        dense = run.result.get("dense")
        preview = run.result.get("preview") or {"n": 0, "reason": None}
        return SensitivityReport(
            run.id,
            run.workload,
            Scale.from_json(run.result["scale"]),
            Estimate(**dense) if dense else None,
            tuple(CellResult.from_json(json.loads(row["cell"])) for row in rows),
            preview["n"],
            preview["reason"],
            run.result.get("n", 0),
        )

    def pairs_report(self, run: Run) -> PairsReport | None:
        """What a run over pairs found so far; `None` until the worker has laid out its pairs."""
        if run.kind != "pairs" or run.result is None:
            return None
        with self.workspace.connect() as db:
            rows = db.execute("SELECT cell FROM cells WHERE run = ? ORDER BY position", (run.id,)).fetchall()
        found = [json.loads(row["cell"]) for row in rows]
        dense, mean = run.result["dense"], run.result["mean"]
        return PairsReport(
            run.id,
            run.workload,
            Scale.from_json(run.result["metric"]),
            Scale.from_json(run.result["scale"]),
            Estimate(**dense) if dense else None,
            tuple(PartResult.from_json(fields) for fields in found if "cut" in fields),
            tuple(PairResult.from_json(fields) for fields in found if "cut" not in fields),
            Estimate(**mean) if mean else None,
        )

    def quantization_report(self, run: Run) -> QuantizationReport | None:
        """What a map of pruning × quantization found so far; `None` until the worker has laid out its cells."""
        if run.kind != "bits" or run.result is None:
            return None
        with self.workspace.connect() as db:
            rows = db.execute("SELECT cell FROM cells WHERE run = ? ORDER BY position", (run.id,)).fetchall()
        dense = run.result["dense"]
        return QuantizationReport(
            run.id,
            run.workload,
            Scale.from_json(run.result["metric"]),
            Scale.from_json(run.result["scale"]),
            Estimate(**dense) if dense else None,
            run.result["tolerance"],
            tuple(QuantizedCell.from_json(json.loads(row["cell"])) for row in rows),
            tuple((s, bits, Estimate(**mean) if mean else None) for s, bits, mean in run.result["means"]),
        )

    def profile_report(self, run: Run) -> ProfileReport | None:
        """What a profile measured; `None` of a run of another kind, and until it is finished."""
        return ProfileReport.from_json(dict(run.result)) if run.kind == "profile" and run.result else None

    def remember(self, description: Description) -> None:
        """Keep what a workload is made of, and since when that is known."""
        with self.workspace.write() as db:
            db.execute(
                "INSERT OR REPLACE INTO workloads VALUES (?, ?, ?)",
                (description.ref, json.dumps(description.to_json()), time.time()),
            )

    def descriptions(self) -> dict[str, Description]:
        """Every workload that this workspace has seen, by reference."""
        with self.workspace.connect() as db:
            rows = db.execute("SELECT ref, description FROM workloads ORDER BY rowid").fetchall()
        return {row["ref"]: Description.from_json(json.loads(row["description"])) for row in rows}

    def description(self, workload: str) -> tuple[Description, float] | None:
        """What is known of one workload, and when it was read (seconds since the epoch)."""
        with self.workspace.connect() as db:
            row = db.execute("SELECT * FROM workloads WHERE ref = ?", (workload,)).fetchone()
        return (Description.from_json(json.loads(row["description"])), row["described"]) if row else None

    def active(self) -> tuple[Run, ...]:
        """Runs that wait or work, oldest first; for a page that asks every second."""
        with self.workspace.connect() as db:
            rows = db.execute("SELECT * FROM runs WHERE state IN ('queued', 'running') ORDER BY created").fetchall()
        return tuple(run for run in map(_run_of, rows) if run.active)

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


def _run_of(row: Row) -> Run:
    state: State = row["state"]
    if state in ACTIVE and _is_dead(row):
        state = "interrupted"
    return Run(
        row["id"], row["kind"], row["workload"], json.loads(row["request"]), state,
        row["created"], row["started"], row["ended"], row["done"], row["reused"], row["total"], row["phase"],
        row["error"],
        json.loads(row["result"]) if row["result"] else None, bool(row["cancel"]),
    )  # fmt: skip


def _is_dead(row: Row) -> bool:
    if row["pid"] is None:
        return time.time() - float(row["created"]) > START_SECONDS
    try:  # the start time guards against another process that got the same number
        process = psutil.Process(row["pid"])
        return process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - row["pid_started"]) > 2
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
