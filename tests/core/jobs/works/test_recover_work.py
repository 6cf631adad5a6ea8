"""Recovery as a run: told of while it works, stopped, resumed, and found again."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from core import FineTuning
from core.jobs import launch
from core.jobs.runs import RunStore
from core.jobs.worker import execute
from core.plans.schedules import Schedule
from core.recovery.checkpoint import read_checkpoint
from core.recovery.request import RecoverRequest
from core.workspace import Workspace


@pytest.fixture
def slow_file(trained):
    """Each pass of the model and of its teacher takes 40 milliseconds, so that a round takes two seconds."""
    text = trained.read_text()
    assert text.count("PAUSE = 0 ") == 1
    trained.write_text(text.replace("PAUSE = 0 ", "PAUSE = 0.04 "))
    return trained


@pytest.fixture(autouse=True)
def _no_worker_is_left():
    yield
    for process in launch._started:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture
def runs(tmp_path):
    return RunStore(Workspace(tmp_path / "ws"))


def until(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def request(trained, **fields):
    how = FineTuning(steps=20, batch_size=16, rate=1e-3)
    return RecoverRequest(str(trained), Schedule("linear", 0.0, 0.6, 3), how, tolerance=1.0, **fields)


def test_a_request_is_the_same_after_it_was_written_down(trained):
    asked = request(trained, spread="lamp")
    assert RecoverRequest.from_json(asked.to_json()) == asked


def test_what_a_finished_run_tells(runs, trained, worker_here):
    run, is_new = launch.start_recover(runs, request(trained))
    assert is_new
    done = runs.get(run.id)
    assert (done.state, done.error) == ("finished", None)
    assert done.done == done.total == 60
    result = done.result
    assert [row["iteration"] for row in result["history"]] == [1, 2, 3]
    assert result["schedule"] == pytest.approx([0.2, 0.4, 0.6])
    assert all(row["after"]["n"] == result["dense"]["n"] == 40 for row in result["history"])
    assert result["best"] == 3  # a tolerance of everything
    assert len(result["losses"]) == 60
    kept = read_checkpoint(runs.workspace.folder / result["checkpoint"])
    assert len(kept.history) == 3

    again, _ = launch.start_recover(runs, request(trained))  # every round is on disk
    twice = runs.get(again.id)
    assert twice.result["losses"] == []
    assert (done.reused, twice.reused) == (0, 60)
    assert twice.result["history"] == result["history"]


@pytest.mark.process
@pytest.mark.slow
def test_killed_and_resumed_is_the_same_as_never_killed(runs, slow_file, tmp_path):
    run, _ = launch.start_recover(runs, request(slow_file))
    until(lambda: (found := runs.get(run.id)).result and found.result["history"])
    with runs.workspace.connect() as db:
        (pid,) = db.execute("SELECT pid FROM runs WHERE id = ?", (run.id,)).fetchone()
    os.kill(pid, signal.SIGKILL)
    until(lambda: runs.get(run.id).state != "running")
    assert runs.get(run.id).state == "interrupted"
    launch.resume(runs, run.id)
    fresh = RunStore(Workspace(tmp_path / "fresh"))
    whole, _ = launch.start_recover(fresh, request(slow_file))
    checkpoints = []
    for store, one in ((runs, run.id), (fresh, whole.id)):
        until(lambda store=store, one=one: not store.get(one).active)
        assert store.get(one).state == "finished", store.get(one).error
        checkpoints.append(read_checkpoint(store.workspace.folder / store.get(one).result["checkpoint"]))
    for part in ("model", "masks", "optimiser"):
        ours, theirs = (getattr(checkpoint, part) for checkpoint in checkpoints)
        assert ours.keys() == theirs.keys()
        assert all(ours[name].equal(theirs[name]) for name in ours)


class Killed(BaseException):
    """As SIGKILL: nothing that would tidy up hears of it."""


@pytest.mark.parametrize("when", ["before its first word", "when a round is on disk"])
def test_a_kill_loses_no_point_of_the_loss_curves(runs, trained, monkeypatch, when):
    document = request(trained).to_json()
    whole, _ = runs.submit("recover", document["workload"], document)
    run = runs.get(whole.id)
    n_killed = []

    def killed(self, run_id, **columns):
        of_a_round = len((columns.get("result") or {}).get("history", ())) == 1
        if of_a_round and not n_killed:
            n_killed.append(1)
            if when == "when a round is on disk":
                raise Killed
        update(self, run_id, **columns)
        if when == "before its first word" and columns.get("phase") == "pruning" and len(n_killed) == 2:
            n_killed.append(1)
            raise Killed
        if when == "before its first word" and of_a_round and len(n_killed) == 1:
            n_killed.append(1)
            raise Killed

    update = RunStore.update
    for _ in range(3):
        monkeypatch.setattr(RunStore, "update", killed)
        try:
            execute(runs, run.id)
        except Killed:
            monkeypatch.setattr(RunStore, "update", update)
            runs.update(run.id, state="cancelled")
            runs.requeue(run.id)
    assert n_killed
    done = runs.get(run.id)
    assert done.state == "finished"
    assert [tuple(point[:2]) for point in done.result["losses"]] == [(i, s) for i in (1, 2, 3) for s in range(1, 21)]


def test_a_model_without_training_data_fails_with_what_to_add(runs, net_file, worker_here):
    run, _ = launch.start_recover(runs, RecoverRequest(str(net_file)))
    assert "give the workload training=Examples" in runs.get(run.id).error


def test_a_stopped_run_keeps_its_rounds_and_goes_on(runs, slow_file, monkeypatch):
    document = request(slow_file).to_json()
    run, _ = runs.submit("recover", document["workload"], document)
    update = RunStore.update

    def stop_after_the_first_round(self, run_id, **columns):
        update(self, run_id, **columns)
        if columns.get("result") and len(columns["result"].get("history", ())) == 1:
            self.ask_to_stop(run_id)

    monkeypatch.setattr(RunStore, "update", stop_after_the_first_round)
    assert execute(runs, run.id).state == "cancelled"
    monkeypatch.setattr(RunStore, "update", update)
    assert len(runs.get(run.id).result["history"]) == 1
    runs.requeue(run.id)
    done = execute(runs, run.id)
    assert done.state == "finished"
    assert {iteration for iteration, *_ in done.result["losses"]} == {1, 2, 3}
    assert (done.reused, done.done, done.total) == (20, 60, 60)  # the first round was on disk


def test_a_disk_that_fills_up_fails_with_the_reason_and_goes_on_once_there_is_space(
    runs, trained, worker_here, tmp_path
):
    from core.recovery import checkpoint

    save = checkpoint.save_file

    def full(tensors, path, metadata):
        path.write_bytes(b"the first half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save_file", lambda *args: (full if "round-002" in str(args[1]) else save)(*args))
        run, _ = launch.start_recover(runs, request(trained))
    failed = runs.get(run.id)
    assert failed.state == "failed"
    assert "round-002.safetensors, could not be written" in failed.error
    assert "No space left on device" in failed.error
    assert "round 1 is kept: free some space and resume" in failed.error
    assert len(failed.result["history"]) == 1
    (folder,) = (runs.workspace.folder / "recoveries").iterdir()
    assert [path.name for path in folder.iterdir()] == ["round-001.safetensors"]
    launch.resume(runs, run.id)
    done = runs.get(run.id)
    assert (done.state, done.error, done.reused) == ("finished", None, 20)
    fresh = RunStore(Workspace(tmp_path / "fresh"))
    whole, _ = launch.start_recover(fresh, request(trained))
    assert_same_tensors((runs, run.id), (fresh, whole.id))


@pytest.mark.process
@pytest.mark.slow
def test_fashion_vit_by_the_command_line_killed_in_a_round_and_run_again_is_bit_identical(tmp_path):
    """The comparison that a person makes: `kill -9` of the worker, the same command again, another workspace."""
    words = "recover fashion-vit --final 0.6 --iterations 3 --steps 40 --batch-size 32 --samples 200 --json"
    start = "from core.cli import main; main()"

    def secateur(workspace, *more):
        command = [sys.executable, "-P", "-c", start, *words.split(), "--workspace", str(workspace), *more]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=600)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["run"]["id"]

    killed = RunStore(Workspace(tmp_path / "killed"))
    first = secateur(tmp_path / "killed", "--detach")

    def in_the_second_round():
        found = killed.get(first)
        assert found.state in ("queued", "running"), found.error
        return (found.phase or "").startswith("round 2 of 3")

    until(in_the_second_round)
    with killed.workspace.connect() as db:
        (pid,) = db.execute("SELECT pid FROM runs WHERE id = ?", (first,)).fetchone()
    os.kill(pid, signal.SIGKILL)
    until(lambda: killed.get(first).state == "interrupted")
    assert len(killed.get(first).result["history"]) == 1
    again = secateur(tmp_path / "killed")
    whole = secateur(tmp_path / "whole")
    assert killed.get(again).reused == 40
    assert_same_tensors((killed, again), (RunStore(Workspace(tmp_path / "whole")), whole))


def assert_same_tensors(*finished):
    """Of the last checkpoints of two runs, every tensor bit for bit, and what was measured."""
    ours, theirs = (
        read_checkpoint(store.workspace.folder / store.get(one).result["checkpoint"]) for store, one in finished
    )
    assert ours.model
    for part in ("model", "masks", "gone", "optimiser"):
        mine, other = getattr(ours, part), getattr(theirs, part)
        assert mine.keys() == other.keys()
        assert all(mine[name].equal(other[name]) for name in mine)
    rows = [[replace(row, seconds=0.0) for row in one.history] for one in (ours, theirs)]
    assert rows[0] == rows[1]


def test_after_a_roll_back_the_work_is_counted_from_what_the_rounds_before_took(runs, trained, worker_here):
    first, _ = launch.start_recover(runs, request(trained))
    from core.jobs.known.kept_rounds import round_of

    told = []
    update = RunStore.update
    shorter = replace(request(trained), fine_tuning=FineTuning(steps=2, batch_size=16, rate=1e-3))
    back = replace(shorter, start=str(round_of(runs, first.id, 2)))

    def noting(self, run_id, **columns):
        update(self, run_id, **columns)
        found = self.get(run_id)
        told.append((found.done, found.total))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunStore, "update", noting)
        again, _ = launch.start_recover(runs, back)
    assert (done := runs.get(again.id)).state == "finished", done.error
    assert (done.reused, done.done, done.total) == (40, 42, 42)
    assert all(n <= total for n, total in told if total)
