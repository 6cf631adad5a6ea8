"""Runs wait in the order in which they were asked for, whoever is quick, killed or cancelled meanwhile."""

import os
import signal
import time

import pytest
from filelock import FileLock

from core import SweepRequest
from core.jobs import launch, queue
from core.jobs.runs import RunStore
from core.workspace import Workspace


@pytest.fixture
def runs(tmp_path):
    yield RunStore(Workspace(tmp_path / "ws"))
    for process in launch._started:
        if process.poll() is None:
            process.kill()
        process.wait()


def until(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def pid_of(runs, run):
    with runs.workspace.connect() as db:
        return db.execute("SELECT pid FROM runs WHERE id = ?", (run.id,)).fetchone()["pid"]


def test_who_waits_is_told_in_order_and_who_only_reads_a_model_is_not_among_them(runs):
    first, second = (runs.submit("sweep", "m", {"n": n})[0] for n in (1, 2))
    runs.submit("describe", "m", {})
    assert [run.id for run in queue.waiting(runs)] == [first.id, second.id]
    assert queue.place_of(second.id, queue.waiting(runs)) == 2
    runs.ask_to_stop(first.id)
    assert queue.place_of(second.id, queue.waiting(runs)) == 1
    assert queue.place_of(first.id, queue.waiting(runs)) is None
    resumed = runs.requeue(first.id)
    assert [run.id for run in queue.waiting(runs)] == [second.id, resumed.id]  # it queues up again, behind


def test_only_a_run_that_waits_can_begin(runs):
    run, _ = runs.submit("sweep", "m", {})
    assert runs.begin(run.id, "loading")
    assert not runs.begin(run.id, "loading")
    other, _ = runs.submit("sweep", "m", {"n": 2})
    runs.ask_to_stop(other.id)
    assert not runs.begin(other.id, "loading")


@pytest.mark.process
def test_the_order_holds_between_processes_and_survives_killed_and_cancelled_ones(runs, net_file):
    submissions = [launch.sweep_submission(SweepRequest(str(net_file), (0.5,), seed=seed)) for seed in range(5)]
    submitted = [runs.submit("sweep", *submission)[0] for submission in submissions]
    first, killed, cancelled, third, last = submitted
    with FileLock(runs.workspace.folder / "worker.lock"):
        for run in reversed(submitted):  # the last asked for is the first to be ready
            launch._start_worker(runs, run)
        until(lambda: all(pid_of(runs, run) for run in submitted))
        until(lambda: runs.get(last.id).phase == queue.place_text(5))
        os.kill(pid_of(runs, killed), signal.SIGKILL)
        runs.ask_to_stop(cancelled.id)
        until(lambda: [run.id for run in queue.waiting(runs)] == [first.id, third.id, last.id])
        until(lambda: runs.get(last.id).phase == queue.place_text(3))
    until(lambda: not runs.active())
    ended = [runs.get(run.id) for run in submitted]
    assert [run.state for run in ended] == ["finished", "interrupted", "cancelled", "finished", "finished"]
    assert ended[2].started is None
    first, third, last = (run for run in ended if run.state == "finished")
    assert first.ended <= third.started
    assert third.ended <= last.started
