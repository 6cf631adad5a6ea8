"""Several processes on one workspace, of which one is attacked: servers, workers that help, people who make a plan."""

import contextlib
import functools
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil

from core import Cut, SparsityPlan
from core.errors import SecateurError
from core.jobs.drafts import Drafts
from core.jobs.places import board, claimed, workers
from core.jobs.places.helping import help_out
from core.jobs.runs import RunStore
from core.workspace import Workspace
from tests.campaign.children import PATIENCE, Child, Moment, child, die_with
from tests.campaign.commands import came, with_children
from tests.campaign.kills import PLACES, at_the_end, survived
from tests.campaign.outcomes import Outcomes
from tests.campaign.works import Job, World, submitted

SENT = {"kill -9": signal.SIGKILL, "SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM}
STEPS = 30  # that each of two people makes


def helpers(world: World, kind: str, n: int, rng: random.Random, outcomes: Outcomes) -> None:
    """n attacks on a worker of `secateur work`: the run it helps ends as it would have, and nothing is done twice.

    Args:
        world: of a model that takes its time, or there would be nothing to help with.
    """
    for _ in range(n):
        way = rng.choice((*SENT, "kill -9 around a write"))
        at: Moment | None = (rng.randint(2, 12), rng.choice(PLACES)) if "write" in way else None
        job = world.fresh(kind)

        def act(folder: Path = job.folder) -> None:
            with contextlib.suppress(KeyboardInterrupt):
                help_out(Workspace(folder, patient=True), 1, lambda line: None)

        started = [child(job.folder.with_name("helper"), act, at, _terminated_as_interrupted)]
        try:
            _one_helper(job, way, at, started, rng, outcomes)
        finally:
            for one in started:
                one.end()


def _one_helper(
    job: Job, way: str, at: Moment | None, started: list[Child], rng: random.Random, outcomes: Outcomes
) -> None:
    """Attack the helper that was started; the run that it helps is started here."""
    family, kind, (helper,) = f"{way} to a worker that helps", job.kind, started
    if at is None and not came(lambda: workers.helpers(job.runs.workspace)):
        outcomes.too_late(family)
        return
    at_work = job.start(before=lambda: _helped(job.folder))
    started.append(at_work)
    if at is None:
        came(lambda: at_work.is_over() or any(one.run for one in workers.helpers(job.runs.workspace)))
        if at_work.is_over() or not any(one.run for one in workers.helpers(job.runs.workspace)):
            outcomes.too_late(family)
            return
        time.sleep(rng.uniform(0, 0.5) * job.world.seconds[kind])
        helper.kill(SENT[way])
        gone = helper.wait()
    ended = at_work.wait()
    if at is not None:
        helper.kill(signal.SIGINT)  # that write may not have come
        gone = helper.wait()
    if at is None or gone.code == -signal.SIGKILL:
        outcomes.injected(family, kind)
    else:
        outcomes.too_late(family)
    if gone.said:
        outcomes.bad("unsaid", family, kind, gone.said)
    if ended.said or ended.code:
        outcomes.bad("stuck", family, kind, f"the run: {ended}")
    part = "a part" if helper.acknowledged() else "nothing"
    outcomes.said(family, f"nothing: the run is {job.state()}, of which it had measured {part}")
    survived(job, family, set(), at_work.acknowledged() | helper.acknowledged(), outcomes)
    at_the_end(job, family, outcomes)
    if left := workers.helpers(job.runs.workspace):
        outcomes.bad("stuck", family, kind, f"listed still: {left}")


def _helped(folder: Path) -> None:
    """Of so small a model nothing would be left when a worker is ready: bundles are small, and it is waited for."""
    claimed.DENSE_TIMES = 0
    claimed.SMALLEST = claimed.LARGEST = claimed.LOOK_SECONDS = 0.0
    take, here, end = board.take, Workspace(folder), time.monotonic() + PATIENCE

    def patiently(workspace: Workspace, run: str, helper: int) -> tuple[int, str] | None:
        while helper == board.OWN and not board.answers(here, run) and time.monotonic() < end:
            if not workers.helpers(here):
                break
            time.sleep(0.02)
        return take(workspace, run, helper)

    board.take = patiently


def _terminated_as_interrupted() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def plans(world: World, n: int, rng: random.Random, outcomes: Outcomes) -> None:
    """n times two people make a plan of one model at once, and what one of them does it in is killed."""
    family = "kill -9 of one of two who make a plan"
    for _ in range(n):
        folder = world.fresh("exact").folder
        at = (rng.randint(1, STEPS), rng.choice(PLACES))
        who = [_makes_a_plan(folder, name, at if not name else None) for name in range(2)]
        try:
            ended = [one.wait() for one in who]
        finally:
            for one in who:
                one.end()
        if ended[0].code == -signal.SIGKILL:
            outcomes.injected(family, "plan")
        else:
            outcomes.too_late(family)
        drafts, told = Drafts(Workspace(folder)), {step for one in who for step in _steps(one)}
        try:
            found = _history(drafts, str(world.file))
        except SecateurError as error:
            outcomes.bad("stuck", family, "plan", str(error))
            continue
        if lost := told - set(found):
            outcomes.bad("lost", family, "plan", f"{len(lost)} steps of which somebody was told")
        outcomes.said(family, "nothing: every step that was made can be undone")


def _makes_a_plan(folder: Path, name: int, at: Moment | None) -> Child:
    beside = folder.with_name(f"{folder.name}-{name}")

    def act() -> None:
        drafts, told = Drafts(Workspace(folder)), os.open(beside.with_suffix(".told"), os.O_WRONLY | os.O_APPEND)
        for step in range(STEPS):
            drafts.save(str(folder.parent / "net.py"), _plan(name * STEPS + step))
            os.write(told, f"kept step {name * STEPS + step}\n".encode())

    return child(beside, act, at)


def _plan(number: int) -> SparsityPlan:
    return SparsityPlan((Cut("fc1", "weight", (number + 1) / 100),))


def _steps(one: Child) -> set[float]:
    return {(int(number) + 1) / 100 for _, number in one.acknowledged()}


def _history(drafts: Drafts, ref: str) -> list[float]:
    found = [drafts.present(ref)]
    while (before := drafts.undo(ref)) is not None:
        found.append(before)
    return [plan.cuts[0].sparsity for plan in found if plan.cuts]


def servers(world: World, n: int, rng: random.Random, outcomes: Outcomes) -> None:
    """n times one of two servers on one workspace is attacked while a sweep is at work: the other answers."""
    started: list[tuple[subprocess.Popen[bytes], int]] = []
    folder = world.folder / "served"
    try:
        for _ in range(n):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(world.folder / "template", folder)
            runs = RunStore(Workspace(folder))
            job = Job(world, "exact", runs, submitted(world, "exact", runs).id)
            started += [_started(folder) for _ in range(2 - len(started))]
            if not all(came(lambda port=port: _answers(port)) for _, port in started):  # type: ignore[misc]
                outcomes.too_late("one of two servers")
                return
            one = started.pop(rng.randrange(2))
            _one_of_two(job, one, started[0][1], rng, outcomes)
    finally:
        for process, _ in started:
            _end(process)


def _one_of_two(
    job: Job, attacked: tuple[subprocess.Popen[bytes], int], other: int, rng: random.Random, outcomes: Outcomes
) -> None:
    way = rng.choice(sorted(SENT))
    at_work = job.start()
    try:
        _one_of_two_ended(job, at_work, way, attacked, other, rng, outcomes)
    finally:
        at_work.end()


def _one_of_two_ended(
    job: Job, at_work: Child, way: str, attacked: tuple[subprocess.Popen[bytes], int], other: int,
    rng: random.Random, outcomes: Outcomes,
) -> None:  # fmt: skip
    family = f"{way} to one of two servers"
    time.sleep(rng.uniform(0, 0.9) * job.world.seconds["exact"])
    attacked[0].send_signal(SENT[way])
    outcomes.injected(family, "exact")
    try:
        attacked[0].wait(PATIENCE)
    except subprocess.TimeoutExpired:
        outcomes.bad("stuck", family, "exact", "the server does not end")
        _end(attacked[0])
    if not came(lambda: _answers(other)) or _answers(attacked[1]):
        outcomes.bad("stuck", family, "exact", "the other server does not answer, or the one that was ended does")
    ended = at_work.wait()
    if ended.code or ended.said:
        outcomes.bad("stuck", family, "exact", f"the sweep beside it: {ended}")
    outcomes.said(family, "nothing: the other answers, and the sweep ends as it should")
    survived(job, family, set(), at_work.acknowledged(), outcomes)
    at_the_end(job, family, outcomes)


def _started(folder: Path) -> "tuple[subprocess.Popen[bytes], int]":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    words = ["dashboard", "--no-browser", "--workspace", str(folder), "--port", str(port)]
    command = [sys.executable, "-c", "from core.cli import main; main()", *words]
    null = subprocess.DEVNULL
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    ends = functools.partial(die_with, os.getpid())
    return subprocess.Popen(command, env=env, stdin=null, stdout=null, stderr=null, preexec_fn=ends), port


def _end(server: "subprocess.Popen[bytes]") -> None:
    for process in with_children(server.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    server.wait()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
