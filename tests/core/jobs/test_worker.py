"""The worker: a process that may die at any moment, and whose work goes on from what is on disk."""

import dataclasses
import importlib
import json
import os
import signal
import threading
import time
from typing import get_args

import pytest
from filelock import FileLock

from core import Cut, SparsityPlan, SweepRequest, sweep
from core.jobs import launch, queue
from core.jobs.known.plan_book import PlanBook
from core.jobs.run import Kind
from core.jobs.runs import RunStore
from core.jobs.submissions import plan_submission, sweep_submission
from core.jobs.worker import execute
from core.jobs.works.measuring import described
from core.jobs.works.registry import HANDLERS
from core.plans.foreign import foreign_cuts
from core.profiling.target_flops import flops_by_target
from core.pruning import structure
from core.sensitivity.inside.request import UndoRequest
from core.sensitivity.inside.rows import cost_between, neighbours
from core.sensitivity.sweep import Sweep
from core.workload.description import describe
from core.workload.loading import load_workload
from core.workspace import Workspace

SPARSITIES = tuple((1 + 2 * i) / 20 for i in range(10))  # of two layers: 20 cells, of which a test can count some
N_MEASURED = 20 * 5  # of 40 examples: batches of 2, 8, 10, 10 and 10
WAYS = pytest.mark.parametrize("replay", [True, False], ids=["replay", "full passes"])


@pytest.fixture
def runs(tmp_path):
    return RunStore(Workspace(tmp_path / "ws"))


@pytest.fixture(autouse=True)
def _one_thread_and_no_worker_left(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    for process in launch._started:
        if process.poll() is None:
            process.kill()
        process.wait()


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return found


def evidence(workspace):
    with workspace.connect() as db:
        return [tuple(row) for row in db.execute("SELECT * FROM evidence ORDER BY cell, batch")]


@pytest.mark.process
@pytest.mark.slow
@WAYS
def test_killed_and_resumed_is_the_same_as_never_killed_bit_for_bit(runs, slow_file, tmp_path, replay):
    request = SweepRequest(str(slow_file), SPARSITIES, replay=replay)
    run, _ = launch.start_sweep(runs, request)
    until(lambda: runs.get(run.id).done >= 3)
    with runs.workspace.connect() as db:
        (pid,) = db.execute("SELECT pid FROM runs WHERE id = ?", (run.id,)).fetchone()
    os.kill(pid, signal.SIGKILL)
    until(lambda: runs.get(run.id).state == "interrupted")
    partial = evidence(runs.workspace)
    dead = runs.get(run.id)
    assert 3 <= dead.done < dead.total == N_MEASURED
    assert len(runs.report(dead).cells) == 20  # the map that there was can still be looked at

    launch.resume(runs, run.id)
    resumed = until(lambda: (found := runs.get(run.id)).state == "finished" and found)
    assert resumed.done == resumed.total == N_MEASURED
    assert 3 <= resumed.reused < N_MEASURED

    fresh = RunStore(Workspace(tmp_path / "fresh"))
    whole, _ = launch.start_sweep(fresh, request)
    whole = until(lambda: (found := fresh.get(whole.id)).state == "finished" and found)
    assert evidence(runs.workspace) == evidence(fresh.workspace)
    assert set(partial) <= set(evidence(runs.workspace))
    ours, theirs = runs.report(resumed), fresh.report(whole)
    assert (ours.dense, ours.cells) == (theirs.dense, theirs.cells)


@pytest.mark.process
@pytest.mark.slow
@WAYS
def test_cancelled_and_resumed_is_the_same_as_never_cancelled(runs, slow_file, tmp_path, replay):
    request = SweepRequest(str(slow_file), SPARSITIES, replay=replay)
    run, _ = launch.start_sweep(runs, request)
    until(lambda: runs.get(run.id).done >= 2)
    runs.ask_to_stop(run.id)
    stopped = until(lambda: (found := runs.get(run.id)).state not in ("queued", "running") and found)
    assert stopped.state == "cancelled", f"it ended before it heard the stop: {stopped}"
    assert 2 <= stopped.done < N_MEASURED
    assert stopped.error is None
    runs.requeue(run.id)
    assert execute(runs, run.id).state == "finished"
    whole = sweep(str(slow_file), workspace=tmp_path / "fresh", sparsities=SPARSITIES)
    assert runs.report(runs.get(run.id)).cells == whole.cells
    assert evidence(runs.workspace) == evidence(Workspace(tmp_path / "fresh"))


@pytest.mark.process
@pytest.mark.cold
def test_a_worker_leaves_a_log_and_its_error_in_the_run(runs, write_file):
    run, _ = launch.start_sweep(runs, SweepRequest(str(write_file("bad.py", "def workload(): return missing"))))
    failed = until(lambda: (found := runs.get(run.id)).state == "failed" and found)
    assert "raised NameError: name 'missing' is not defined" in failed.error
    assert (runs.workspace.folder / "logs" / f"{run.id}.log").is_file()


def submitted(runs, file, **fields):
    return runs.submit("sweep", *launch.sweep_submission(SweepRequest(str(file), **fields)))[0]


@pytest.mark.cold
def test_a_finished_run_counts_its_cells(runs, net_file):
    first = execute(runs, submitted(runs, net_file, sparsities=SPARSITIES).id)
    assert (first.state, first.done, first.total, first.reused, first.phase) == (
        "finished", N_MEASURED, N_MEASURED, 0, None
    )  # fmt: skip
    assert first.started <= first.ended
    again = execute(runs, submitted(runs, net_file, sparsities=SPARSITIES).id)
    assert (again.done, again.reused) == (N_MEASURED, N_MEASURED)
    assert str(net_file) in runs.descriptions()


def test_a_second_run_waits_for_the_first(runs, net_file):
    run = submitted(runs, net_file)
    with FileLock(runs.workspace.folder / "worker.lock"):
        thread = threading.Thread(target=execute, args=(runs, run.id))
        thread.start()
        until(lambda: runs.get(run.id).phase == "waiting for another run to end")
        time.sleep(2 * queue.POLL_SECONDS)
        assert runs.get(run.id).state == "queued"
    thread.join(60)
    assert runs.get(run.id).state == "finished"


def test_a_waiting_run_that_is_cancelled_never_starts(runs, net_file):
    run = submitted(runs, net_file)
    with FileLock(runs.workspace.folder / "worker.lock"):
        thread = threading.Thread(target=execute, args=(runs, run.id))
        thread.start()
        until(lambda: runs.get(run.id).phase)
        runs.ask_to_stop(run.id)
        assert runs.get(run.id).state == "cancelled"
        thread.join(60)
    found = runs.get(run.id)
    assert (found.state, found.started, found.total, found.phase) == ("cancelled", None, None, None)


def test_describing_does_not_wait(runs, net_file):
    run, _ = runs.submit("describe", str(net_file), {})
    with FileLock(runs.workspace.folder / "worker.lock"):
        assert execute(runs, run.id).state == "finished"
    assert runs.descriptions()[str(net_file)].name == "net"


def test_a_second_worker_of_the_same_run_does_not_undo_what_the_first_did(runs, net_file):
    """A slow start is taken for dead and resumed: then two workers come for one run."""
    run = submitted(runs, net_file)
    finished = execute(runs, run.id)
    assert execute(runs, run.id) == finished


@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), OSError(5, "odd")])
def test_an_error_that_nobody_foresaw_ends_the_run_as_failed(runs, net_file, monkeypatch, capsys, error):
    def explode(*args):
        raise error

    monkeypatch.setattr(Sweep, "run", explode)
    run = execute(runs, submitted(runs, net_file).id)
    assert run.state == "failed"
    assert f"{type(error).__name__}: {error}" in run.error
    assert f"{run.id}.log" in run.error
    assert "Traceback" in capsys.readouterr().err  # goes to the log


def test_a_keyboard_interrupt_ends_the_run_as_cancelled(runs, net_file, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Sweep, "run", interrupt)
    run = submitted(runs, net_file)
    with pytest.raises(KeyboardInterrupt):
        execute(runs, run.id)
    assert runs.get(run.id).state == "cancelled"


def test_a_plan_is_measured_as_the_sweep_of_its_one_cut(runs, net_file):
    report = sweep(str(net_file), workspace=runs.workspace.folder, sparsities=(0.7,), layers="fc1")
    plan = SparsityPlan((Cut("fc1", "weight", 0.7),))
    run, _ = runs.submit("measure", *launch.plan_submission(str(net_file), plan))
    result = execute(runs, run.id).result
    (cell,) = report.cells
    assert result["drop"]["value"] == cell.drop.value
    assert result["pruned"]["value"] == cell.metric.value
    assert (result["n_removed"], result["n_weights"]) == (cell.n_removed, 6 * 8 + 8 * 3)


def test_a_plan_is_measured_shrunk_on_the_same_examples_beside_the_masked_model(runs, net_file):
    plan = SparsityPlan((Cut("fc1", "channel", 0.5), Cut("fc2", "weight", 0.25)))
    masked, _ = runs.submit("measure", *launch.plan_submission(str(net_file), plan))
    shrunk, _ = runs.submit("measure", *launch.plan_submission(str(net_file), plan, form="shrunk"))
    alone, both = execute(runs, masked.id).result, execute(runs, shrunk.id).result
    assert alone == {key: value for key, value in both.items() if key != "shrunk"}
    assert both["shrunk"]["drop"] == pytest.approx(both["drop"])  # no score changed: see other_scores
    assert both["shrunk"]["metric"]["n"] == both["shrunk"]["difference"]["n"] == 40
    assert (both["shrunk"]["parameters"], both["shrunk"]["other_scores"]) == (4 * 7 + 3 * 5, 0)
    measured = PlanBook(runs.workspace).measured(str(net_file))
    # of the masked model both runs know, and the later one counts
    assert [(one.result.form, one.result.run) for one in measured] == [("masked", shrunk.id), ("shrunk", shrunk.id)]


def test_a_plan_that_gives_no_number_is_not_shrunk(runs, write_file, net_text):
    """The loss is infinite as soon as any weight of the first layer is 0."""
    text = net_text.replace("accuracy", "cross_entropy").replace("self.fc2(torch", "self.fc2(self.scaled(torch")
    text = text.replace("(x)))", "(x))))").replace(
        "    def forward", "    def scaled(self, x):\n        return x / self.fc1.weight.abs().min()\n\n    def forward"
    )
    plan = SparsityPlan((Cut("fc1", "weight", 0.5),))
    run, _ = runs.submit("measure", *launch.plan_submission(str(write_file("net.py", text)), plan, form="shrunk"))
    result = execute(runs, run.id).result
    assert (result["state"], result["drop"], "shrunk" in result) == ("failed", None, False)
    (one,) = PlanBook(runs.workspace).measured(run.workload)
    assert (one.result.form, one.result.drop, one.gap) == ("masked", None, None)


def test_every_kind_of_run_has_its_handler():
    assert set(HANDLERS) == set(get_args(Kind)) - {"gate"}  # which is a note of what a command did itself
    for place in HANDLERS.values():
        module, name = place.split(".")
        assert callable(getattr(importlib.import_module(f"core.jobs.works.{module}"), name))


def test_the_same_work_under_way_is_followed_and_not_begun_again(runs, net_file, monkeypatch):
    started = []
    monkeypatch.setattr(launch, "_start_worker", lambda runs, *queued: started.extend(run.id for run in queued))
    plan = SparsityPlan((Cut("fc1", "weight", 0.5),))
    for start in (
        lambda: launch.start_sweep(runs, SweepRequest(str(net_file), (0.5,))),
        lambda: launch.start_measure(runs, str(net_file), plan),
        lambda: launch.start_export(runs, str(net_file), plan),
    ):
        run, is_new = start()
        again, is_new_again = start()
        assert (is_new, is_new_again, again.id) == (True, False, run.id)
    assert len(started) == len(set(started)) == 3


def test_a_wrong_criterion_is_refused_before_the_dense_pass(runs, write_file, net_text):
    text = net_text.replace("time.sleep(PAUSE)", "raise RuntimeError('a pass was made')")
    submission = submitted(runs, write_file("net.py", text))
    runs.update(submission.id, request=json.dumps({**submission.request, "criteria": ["best"]}))
    run = execute(runs, submission.id)
    assert (run.state, run.result) == ("failed", None)
    assert "no criterion 'best'" in run.error


def test_a_sweep_of_weights_shows_a_cell_first_and_looks_for_coupled_groups_after_its_end(runs, net_file, monkeypatch):
    order, whole = [], structure.everything
    run, _ = runs.submit("sweep", *sweep_submission(SweepRequest(str(net_file), (0.25, 0.5))))

    def news(self, run_id, cells, *rest):
        told(self, run_id, cells, *rest)
        order.append(("cells", sum(cell.drop is not None for cell in cells.values())))

    def looking(workload):
        order.append(("groups", runs.get(run.id).state))
        assert not runs.description(str(net_file))[0].is_whole
        return whole(workload)

    told = RunStore.set_news
    monkeypatch.setattr(RunStore, "set_news", news)
    monkeypatch.setattr(structure, "everything", looking)
    assert execute(runs, run.id).state == "finished"
    assert order[0] == ("cells", 1)
    assert [one for one in order if one[0] == "groups"] == [("groups", "finished")]
    found = runs.description(str(net_file))[0]
    assert found == describe(str(net_file), load_workload(str(net_file)), whole, None, flops_by_target)
    assert found.channel_targets

    again, _ = runs.submit("sweep", *sweep_submission(SweepRequest(str(net_file), (0.75,))))
    assert execute(runs, again.id).state == "finished"  # and what is known of the model is not looked for again
    assert len([one for one in order if one[0] == "groups"]) == 1


def test_a_sweep_of_channels_looks_for_them_once(runs, net_file, monkeypatch):
    found = []
    original = structure.find_structure
    for place in ("core.pruning.structure.find_structure", "core.sensitivity.measuring.cutting.find_structure"):
        monkeypatch.setattr(place, lambda *given: found.append(1) or original(*given))
    run, _ = runs.submit("sweep", *sweep_submission(SweepRequest(str(net_file), (0.5,), channels=True)))
    assert execute(runs, run.id).state == "finished"
    assert runs.description(str(net_file))[0].is_whole
    assert len(found) == 1


PLANS = {
    "weights": (Cut("fc1", "weight", 0.5, "magnitude"), Cut("fc2", "weight", 0.5, "magnitude")),
    "channels": (Cut("fc1", "channel", 0.5, "magnitude"),),
}


@pytest.mark.parametrize("what", PLANS)
@pytest.mark.parametrize("kind", ["undo", "measure", pytest.param("export", marks=pytest.mark.process)])
def test_a_plan_of_weights_waits_for_no_coupled_groups(runs, net_file, monkeypatch, kind, what):
    """They are looked for after it, as after a sweep; one of channels needs them first."""
    states, whole, plan = [], structure.everything, SparsityPlan(PLANS[what])

    def looking(workload):
        states.append(runs.list(kind)[0].state)
        return whole(workload)

    monkeypatch.setattr(structure, "everything", looking)
    undo = kind == "undo"
    asked = sweep_submission(UndoRequest(str(net_file), plan.to_document(), damage=False)) if undo else None
    run, _ = runs.submit(kind, *(asked or plan_submission(str(net_file), plan)))
    done = execute(runs, run.id)
    assert done.state == "finished", done.error
    assert states == [{"weights": "finished", "channels": "running"}[what]]
    found = runs.description(str(net_file))[0]
    assert found == describe(str(net_file), load_workload(str(net_file)), whole, None, flops_by_target)


def test_what_undo_says_of_weights_does_not_hang_on_coupled_groups(net_file):
    workload, plan = load_workload(str(net_file)), SparsityPlan(PLANS["weights"])
    whole = describe(str(net_file), workload, structure.everything, None, flops_by_target)
    first = described(str(net_file), workload)
    assert whole.channel_targets
    assert not first.channel_targets
    for one in neighbours(plan, whole.targets):
        assert cost_between(one.without, plan, first) == cost_between(one.without, plan, whole)


def test_a_script_waits_for_no_coupled_groups(runs, net_file, monkeypatch):
    monkeypatch.setattr(structure, "everything", lambda workload: pytest.fail("it looked for them"))
    sweep(str(net_file), workspace=runs.workspace.folder, sparsities=(0.5,))
    found = runs.description(str(net_file))[0]
    assert not found.is_whole
    assert found.flops


def test_where_memory_is_short_groups_are_left_to_whoever_asks(runs, net_file, monkeypatch, capsys):
    monkeypatch.setattr("core.jobs.works.measuring.free_memory", lambda device: 0)
    run, _ = runs.submit("sweep", *sweep_submission(SweepRequest(str(net_file), (0.5,))))
    assert execute(runs, run.id).state == "finished"
    found = runs.description(str(net_file))[0]
    assert not found.is_whole
    assert not foreign_cuts(SparsityPlan((Cut("anything", "channel", 0.5, "magnitude"),)), found)
    assert foreign_cuts(SparsityPlan((Cut("anything", "weight", 0.5),)), found)
    assert "memory being short" in capsys.readouterr().out


@WAYS
def test_the_first_cell_is_measured_once_and_is_the_cell_of_every_other_sweep(runs, net_file, tmp_path, replay):
    request = SweepRequest(str(net_file), (0.25, 0.5), replay=replay)
    run, _ = runs.submit("sweep", *sweep_submission(request))
    execute(runs, run.id)
    of_two = evidence(runs.workspace)
    other = RunStore(Workspace(tmp_path / "other"))
    for sparsity in (0.5, 0.25):  # there the first cell is another
        one, _ = other.submit("sweep", *sweep_submission(dataclasses.replace(request, sparsities=(sparsity,))))
        execute(other, one.id)
    assert [row[:6] for row in of_two] == [row[:6] for row in evidence(other.workspace)]
