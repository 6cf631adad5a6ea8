"""What is attacked: each kind of work, in a workspace of its own, and what must come out of it."""

import hashlib
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from core import Cut, FineTuning, SparsityPlan, SweepRequest
from core.errors import SecateurError
from core.jobs.merging.merge import merge
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.submissions import plan_submission, sweep_submission
from core.jobs.worker import execute
from core.plans.schedules import Schedule
from core.recovery.request import RecoverRequest
from core.tuning.request import MinimiseRequest
from core.workspace import Workspace
from tests.campaign.children import Child, Moment, child
from tests.conftest import SLOW_METRIC, TRAINED, WORKLOAD_FILE

SPARSITIES = (0.25, 0.5, 0.75)
# of what a run tells: seconds, and what stands for a moment, an id or a place
PASSING = {"seconds", "cost", "cost_at", "created", "made", "run", "runs", "id", "folder", "timing", "began_with"}
NEEDS_SWEEP = ("minimise",)


@dataclass
class World:
    """A folder for everything, one workload file, and what each kind of work gives when nothing happens to it."""

    folder: Path
    file: Path
    text: str
    expected: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    writes: dict[str, int] = field(default_factory=dict)

    def fresh(self, kind: str, place: Path | None = None) -> "Job":
        """A workspace in which work of this kind is queued, in the folder `place`, else beside the others."""
        place = place or self.folder
        for old in place.glob("job-*"):
            shutil.rmtree(old, ignore_errors=True)
        folder = place / f"job-{time.monotonic_ns()}"
        template = self.folder / f"template-{kind}"
        shutil.copytree(template if template.exists() else self.folder / "template", folder)
        runs = RunStore(Workspace(folder))
        return Job(self, kind, runs, "" if kind == "merge" else submitted(self, kind, runs).id)


@dataclass
class Job:
    """Work of one kind in one workspace."""

    world: World
    kind: str
    runs: RunStore
    run: str

    @property
    def folder(self) -> Path:
        """Of its workspace."""
        return self.runs.workspace.folder

    def act(self) -> str | None:
        """Do the work in this process; what it says when it fails."""
        if self.kind == "merge":
            merge(Workspace(self.folder), self.world.folder / "another")
            return None
        runs = RunStore(Workspace(self.folder, patient=True))
        return execute(runs, self.run, later=False).error

    def start(self, at: Moment | None = None, before: Callable[[], None] = lambda: None) -> Child:
        """Do it in a process of its own, of which the run is told as whoever starts a worker tells it."""
        started = child(self.folder, self.act, at, before)
        if self.kind != "merge":
            with suppress(SecateurError):
                self.runs.note_started([self.run], started.pid)
        return started

    def state(self) -> str:
        """Of its run."""
        return "merge" if self.kind == "merge" else self.runs.get(self.run).state

    def resume(self) -> str | None:
        """Let it go on until its end, in a process of its own; what it says when it fails."""
        if self.kind != "merge" and self.runs.get(self.run).state != "queued":
            if self.runs.get(self.run).state == "finished":
                return None
            self.runs.requeue(self.run)
        ended = self.start().wait()
        return None if ended.code == 0 and not ended.said else ended.said or f"exit code {ended.code}"

    def found(self) -> Any:
        """What came of it, as plain values without what passes."""
        rows = evidence(self.folder)
        if self.kind == "merge":
            with self.runs.workspace.connect() as db:
                told = [tuple(row) for row in db.execute("SELECT kind, workload, result FROM runs ORDER BY created")]
            return rows, told, merged_files(self.folder)
        run = self.runs.get(self.run)
        return rows, outcome(self.runs, run), files(self.folder, run)


def submitted(world: World, kind: str, runs: RunStore) -> Run:
    """The run of that kind, queued."""
    ref = str(world.file)
    plan = SparsityPlan((Cut("fc1", "weight", 0.5), Cut("fc2", "weight", 0.25)))
    how = FineTuning(steps=4, batch_size=16, rate=1e-3)
    asked: dict[str, Callable[[], tuple[str, Any]]] = {
        "exact": lambda: sweep_submission(SweepRequest(ref, SPARSITIES)),
        "full passes": lambda: sweep_submission(SweepRequest(ref, SPARSITIES, replay=False, preview=False)),
        "tolerance": lambda: sweep_submission(SweepRequest(ref, SPARSITIES, mode="tolerance")),
        "race": lambda: sweep_submission(SweepRequest(ref, SPARSITIES, mode="race", width=0.2)),
        "minimise": lambda: sweep_submission(MinimiseRequest(ref, 0.2, max_plans=6)),
        "measure": lambda: plan_submission(ref, plan),
        "recover": lambda: (
            ref, RecoverRequest(ref, Schedule("linear", 0.0, 0.6, 3), how, tolerance=1.0).to_json(),
        ),
        "export": lambda: plan_submission(ref, plan, form="masked", formats=["safetensors"]),
    }  # fmt: skip
    named: Any = {"exact": "sweep", "full passes": "sweep", "tolerance": "sweep", "race": "sweep"}.get(kind, kind)
    return runs.submit(named, *asked[kind]())[0]


KINDS = ("exact", "full passes", "tolerance", "race", "minimise", "measure", "recover", "export", "merge")


def world(folder: Path, kinds: tuple[str, ...], pause: float = 0) -> World:
    """Make it, and do each kind of work twice to know what must come of it; of a model that sleeps so many seconds.

    Raises:
        AssertionError: two that nothing happened to differ, so that nothing could be told by comparing.
    """
    text = WORKLOAD_FILE.format(pause=pause).replace("def workload():", "def dense():") + TRAINED
    if pause:
        text = SLOW_METRIC + text.replace("accuracy(),", "slow(accuracy()),")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "net.py"
    file.write_text(text, encoding="utf-8")
    found = World(folder, file, text)
    Workspace(folder / "template")
    if {"merge", *NEEDS_SWEEP} & set(kinds):
        swept = found.fresh("exact")
        assert child(swept.folder, swept.act).wait().code == 0
        shutil.copytree(swept.folder, folder / "template-minimise")
    if "merge" in kinds:
        shutil.copytree(folder / "template-minimise", folder / "another")
        for kind in ("export", "recover"):
            runs = RunStore(Workspace(folder / "another"))
            trained = Job(found, kind, runs, submitted(found, kind, runs).id)
            assert child(trained.folder, trained.act).wait().code == 0
    for kind in kinds:
        outcomes = []
        for _ in range(2):
            job = found.fresh(kind)
            begun = time.monotonic()
            ended = child(job.folder, job.act).wait()
            found.seconds[kind] = time.monotonic() - begun
            assert (ended.code, ended.said) == (0, ""), kind
            assert job.state() in ("finished", "merge"), kind
            found.writes[kind] = ended.writes
            outcomes.append(job.found())
        assert outcomes[0] == outcomes[1], f"{kind}, twice: {difference(*outcomes)}"
        found.expected[kind] = outcomes[0]
    return found


def evidence(folder: Path) -> list[tuple[Any, ...]]:
    """All that was measured, as it lies on disk."""
    with Workspace(folder).connect() as db:
        return [tuple(row) for row in db.execute("SELECT * FROM evidence ORDER BY cell, batch")]


def outcome(runs: RunStore, run: Run) -> Any:
    """What a run tells: the cells of a map, or else its result."""
    if run.kind == "sweep":
        report = runs.report(run)
        return None if report is None else (report.dense, report.cells)
    return lasting(run.result)


def lasting(value: Any) -> Any:
    """Plain values without what differs from run to run."""
    if isinstance(value, dict):
        return {name: lasting(one) for name, one in value.items() if name not in PASSING and name != "manifest"}
    return [lasting(one) for one in value] if isinstance(value, list) else value


def files(folder: Path, run: Run) -> list[tuple[str, str]]:
    """Weights that a run has written, tensor by tensor, by hash: the header of a round tells seconds too."""
    named = {"recover": "recoveries/**/*.safetensors", "export": "bundles/[!.]*/model.safetensors"}.get(run.kind)
    if named is None:
        return []
    return [one for path in sorted(folder.glob(named)) for one in tensors(path)]


def merged_files(folder: Path) -> list[tuple[str, str]]:
    """Files that a merge takes over, by hash, and whatever else lies beside them."""
    found = [path for name in ("bundles", "recoveries") for path in sorted((folder / name).rglob("*"))]
    return [
        (str(p.relative_to(folder)), hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "") for p in found
    ]


def drafts(folder: Path) -> list[Path]:
    """What a writer has begun in a workspace and not put in its place: folders and files, with weights perhaps."""
    found = [*folder.rglob(".*"), *folder.rglob("*.partial"), *folder.rglob("*.part")]
    return [path for path in found if not any(parent in found for parent in path.parents)]


def tensors(path: Path) -> list[tuple[str, str]]:
    """Names and hashes of what a file of weights holds."""
    return [
        (f"{path.name}: {name}", hashlib.sha256(tensor.numpy().tobytes()).hexdigest())
        for name, tensor in sorted(load_file(path).items())
    ]


def difference(found: object, expected: object) -> str:
    """Where two outcomes differ, short."""
    if isinstance(found, tuple | list) and isinstance(expected, tuple | list):
        if len(found) != len(expected):
            return f"{len(found)} where {len(expected)} were expected"
        return next((difference(a, b) for a, b in zip(found, expected, strict=True) if a != b), "nothing")
    if isinstance(found, dict) and isinstance(expected, dict):
        names = [name for name in expected | found if found.get(name) != expected.get(name)]
        return f"{names}: " + difference(found.get(names[0]), expected.get(names[0]))
    return f"{str(found)[:100]!r}, expected {str(expected)[:100]!r}"
