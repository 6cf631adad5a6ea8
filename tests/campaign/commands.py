"""Command lines that are killed, interrupted once or twice, or terminated during work; its worker with them."""

import random
import signal
import time
from collections.abc import Callable

import psutil

from core.cli import main
from tests.campaign.children import PATIENCE, Child, child
from tests.campaign.kills import at_the_end, one_line, survived
from tests.campaign.outcomes import Outcomes
from tests.campaign.works import SPARSITIES, Job, World

KILLED, WITH_WORKER = "kill -9 of a command", "kill -9 of a command and its worker"
WAYS = {
    KILLED: (signal.SIGKILL,),
    WITH_WORKER: (signal.SIGKILL,),
    "SIGINT to a command": (signal.SIGINT,),
    "SIGINT twice to a command": (signal.SIGINT, signal.SIGINT),
    "SIGTERM to a command": (signal.SIGTERM,),
}


def commands(world: World, kind: str, n: int, rng: random.Random, outcomes: Outcomes) -> None:
    """n attacked commands: `secateur sweep` or `merge`, of other kinds `secateur resume` of a run that waits."""
    for _ in range(n):
        one_command(world, kind, rng.choice(sorted(WAYS)), rng, outcomes)


def one_command(world: World, kind: str, family: str, rng: random.Random, outcomes: Outcomes) -> None:
    """Its worker is another process, which outlives a kill, and stops at an interrupt; then the work goes on."""
    job = world.fresh("measure" if kind == "exact" else kind)
    if kind != "merge":
        job.runs.ask_to_stop(job.run)
    words = _words(world, job, kind)

    begun = job.folder.with_suffix(".begun")

    def act() -> str | None:
        begun.touch()
        try:
            main([*words, "--workspace", str(job.folder)])
        except SystemExit as end:
            return f"ended with {end.code}" if end.code else None
        return None

    at_work = child(job.folder, act)
    try:
        if kind == "exact" and came(lambda: job.runs.list("sweep")):
            job = Job(world, kind, job.runs, job.runs.list("sweep")[0].id)
        has_begun = begun.exists if kind == "merge" else (lambda: job.kind == kind and job.state() != "cancelled")
        if came(has_begun):
            _attacked(job, at_work, family, rng, outcomes)
        else:
            outcomes.too_late(family)
    finally:
        at_work.end()
        if kind != "merge" and job.runs.get(job.run).active:
            _kill_worker(job)


def _attacked(job: Job, at_work: Child, family: str, rng: random.Random, outcomes: Outcomes) -> None:
    kind = job.kind
    if kind == "merge":
        time.sleep(0.1)  # before its first line of ours an interrupt is Python's
    time.sleep(rng.uniform(0, 1.2) * job.world.seconds[kind])
    if family == WITH_WORKER and kind != "merge":
        _kill_worker(job)
    for sent in WAYS[family]:
        at_work.kill(sent)
        time.sleep(0.05)
    ended = at_work.wait()
    if WAYS[family] != (signal.SIGKILL,) or ended.code < 0:
        outcomes.injected(family, kind)
    else:  # it was done before
        outcomes.too_late(family)
    last = [line for line in at_work.log.read_text(encoding="utf-8").splitlines() if line.startswith("secateur: ")]
    outcomes.said(family, last[-1].replace(job.run or "no run", "RUN") if last else f"nothing, exit code {ended.code}")
    if WAYS[family] != (signal.SIGKILL,) and ended.code and not (last and one_line(last[-1])):
        outcomes.bad("unsaid", family, kind, f"{ended}: {at_work.log.read_text(encoding='utf-8')[-300:]}")
    if kind != "merge" and not came(lambda: not job.runs.get(job.run).active):
        outcomes.bad("stuck", family, kind, f"its run is {job.state()} still")
        return
    survived(job, family, set(), at_work.acknowledged(), outcomes)
    at_the_end(job, family, outcomes)


def _words(world: World, job: Job, kind: str) -> list[str]:
    if kind == "merge":
        return ["merge", str(world.folder / "another")]
    if kind == "exact":
        return ["sweep", str(world.file), "--sparsities", ",".join(map(str, SPARSITIES))]
    return ["resume", job.run]


def _kill_worker(job: Job) -> None:
    with job.runs.workspace.connect() as db:
        pid = db.execute("SELECT pid FROM runs WHERE id = ?", (job.run,)).fetchone()["pid"]
    for process in with_children(pid) if pid else ():
        process.kill()


def with_children(pid: int) -> list[psutil.Process]:
    """A process, and before it all that it has started."""
    try:
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return []


def came(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Wait for something; whether it came in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
