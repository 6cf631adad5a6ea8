"""Command lines and servers that are killed, interrupted once or twice, or terminated while a sweep is under way."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable

import psutil

from tests.campaign.children import child
from tests.campaign.kills import at_the_end, one_line
from tests.campaign.outcomes import Outcomes
from tests.campaign.works import SPARSITIES, Job, World, evidence

WAYS = {
    "kill -9 of a command": (signal.SIGKILL,),
    "SIGINT to a command": (signal.SIGINT,),
    "SIGINT twice to a command": (signal.SIGINT, signal.SIGINT),
    "SIGTERM to a command": (signal.SIGTERM,),
}
SERVERS = 2


def commands(world: World, n: int, rng: random.Random, outcomes: Outcomes) -> None:
    """n attacked commands `secateur sweep`, and two servers on one workspace of which one is killed."""
    for _ in range(n):
        family = rng.choice(sorted(WAYS))
        one_command(world, family, rng, outcomes)
    servers(world, outcomes)


def one_command(world: World, family: str, rng: random.Random, outcomes: Outcomes) -> None:
    """Its worker is another process, which outlives a kill, and stops at an interrupt; then the run goes on."""
    job = world.fresh("measure")
    folder = job.folder
    sparsities = ",".join(map(str, SPARSITIES))

    def act() -> str | None:
        from core.cli import main

        try:
            main(["sweep", str(world.file), "--workspace", str(folder), "--sparsities", sparsities])
        except SystemExit as end:
            return f"ended with {end.code}" if end.code else None
        return None

    job.runs.ask_to_stop(job.run)
    at_work = child(folder, act)
    _until(lambda: any(run.kind == "sweep" for run in job.runs.list()), 60)
    time.sleep(rng.uniform(0, 1.2) * world.seconds["exact"])
    for sent in WAYS[family]:
        at_work.kill(sent)
        time.sleep(0.05)
    ended = at_work.wait()
    outcomes.injected(family, "exact")
    last = [line for line in at_work.log.read_text(encoding="utf-8").splitlines() if line.startswith("secateur: ")]
    (run,) = job.runs.list("sweep")
    outcomes.said(family, last[-1].replace(run.id, "RUN") if last else f"nothing, exit code {ended.code}")
    if family != "kill -9 of a command" and ended.code != 0 and not (last and one_line(last[-1])):
        outcomes.bad("unsaid", family, "exact", f"{ended}: {at_work.log.read_text(encoding='utf-8')[-300:]}")
    _until(lambda: not job.runs.get(run.id).active, 60)
    goes_on = Job(world, "exact", job.runs, run.id)
    at_the_end(goes_on, family, outcomes)


def servers(world: World, outcomes: Outcomes) -> None:
    """Two on one workspace while a sweep is at work; one is killed, the other answers, the sweep ends as it should."""
    job, family = world.fresh("exact"), "kill -9 of one of two servers"
    started = []
    for _ in range(SERVERS):
        port = _free_port()
        words = ["dashboard", "--no-browser", "--workspace", str(job.folder), "--port", str(port)]
        started.append((_started(words), port))
    try:
        for _, port in started:
            _until(lambda port=port: _answers(port), 90)  # type: ignore[misc]
        at_work = child(job.folder, job.act)
        for process in _with_children(started[0][0].pid):
            process.kill()
        outcomes.injected(family, "exact")
        if not _answers(started[1][1]):
            outcomes.bad("stuck", family, "exact", "the other server does not answer")
        ended = at_work.wait()
        if ended.code != 0 or job.found() != world.expected["exact"]:
            outcomes.bad("wrong", family, "exact", f"the sweep beside it: {ended}")
        outcomes.said(family, "the other answers, and the sweep ends as it should")
    finally:
        for one, _ in started:
            for process in _with_children(one.pid):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            one.wait()
    assert evidence(job.folder)


def _started(words: list[str]) -> "subprocess.Popen[bytes]":
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    null = subprocess.DEVNULL
    command = [sys.executable, "-c", "from core.cli import main; main()", *words]
    return subprocess.Popen(command, env=env, stdin=null, stdout=null, stderr=null)


def _with_children(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return []


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _until(condition: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
