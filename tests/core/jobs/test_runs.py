"""Runs in the workspace: what was asked, how far it is, and what came of it."""

import subprocess
import sys
import time
from dataclasses import asdict

import psutil
import pytest

from core import CellResult, Cut, Estimate, SecateurError, SparsityPlan, load_workload
from core.jobs import launch
from core.jobs import runs as runs_module
from core.jobs.runs import RunStore
from core.jobs.submissions import sweep_submission
from core.sensitivity.inside.request import UndoRequest
from core.tuning.request import MinimiseRequest, RefineRequest
from core.workload.description import describe
from core.workspace import Workspace


@pytest.fixture
def runs(tmp_path):
    return RunStore(Workspace(tmp_path / "ws"))


def at_work(runs, run_id, **columns):
    """Let a run be worked on by this very process."""
    me = psutil.Process()
    runs.update(run_id, state="running", started=time.time(), pid=me.pid, pid_started=me.create_time(), **columns)


def test_two_identical_submissions_are_one_run(runs):
    first, is_new = runs.submit("sweep", "m", {"a": 1, "b": 2})
    again, is_new_again = runs.submit("sweep", "m", {"b": 2, "a": 1})
    assert (is_new, is_new_again, again.id) == (True, False, first.id)
    assert len(runs.list()) == 1


@pytest.mark.parametrize("other", [("measure", "m", {}), ("sweep", "n", {}), ("sweep", "m", {"x": 1})])
def test_anything_else_is_a_run_of_its_own(runs, other):
    runs.submit("sweep", "m", {})
    assert runs.submit(*other)[1]


@pytest.mark.parametrize("state", ["finished", "failed", "cancelled"])
def test_what_has_ended_may_be_asked_again(runs, state):
    run, _ = runs.submit("sweep", "m", {})
    runs.update(run.id, state=state)
    assert runs.submit("sweep", "m", {})[1]


def test_what_is_about_to_stop_may_be_asked_again(runs):
    run, _ = runs.submit("sweep", "m", {})
    at_work(runs, run.id)
    runs.ask_to_stop(run.id)
    assert runs.get(run.id).stopping
    assert runs.submit("sweep", "m", {})[1]


@pytest.mark.process
def test_a_run_whose_worker_is_dead_is_interrupted(runs):
    run, _ = runs.submit("sweep", "m", {})
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    runs.update(run.id, state="running", pid=process.pid, pid_started=psutil.Process(process.pid).create_time())
    assert runs.get(run.id).state == "running"
    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert runs.get(run.id).state == "interrupted"  # dead, though nobody has collected it
    process.wait()
    process.stdin.close()
    assert runs.get(run.id).state == "interrupted"
    assert runs.submit("sweep", "m", {})[1]


def test_another_process_with_the_same_number_is_not_the_worker(runs):
    run, _ = runs.submit("sweep", "m", {})
    at_work(runs, run.id)
    runs.update(run.id, pid_started=1.0)
    assert runs.get(run.id).state == "interrupted"


def test_a_worker_that_never_reports_is_taken_for_dead(runs, monkeypatch):
    run, _ = runs.submit("sweep", "m", {})
    assert runs.get(run.id).state == "queued"
    monkeypatch.setattr("core.jobs.run.START_SECONDS", 0.0)
    assert runs.get(run.id).state == "interrupted"


def test_a_queued_run_is_cancelled_at_once(runs):
    run, _ = runs.submit("sweep", "m", {})
    runs.ask_to_stop(run.id)
    found = runs.get(run.id)
    assert (found.state, found.active) == ("cancelled", False)
    assert found.ended is not None


def test_an_interrupted_run_is_cancelled_at_once(runs):
    run, _ = runs.submit("sweep", "m", {})
    at_work(runs, run.id)
    runs.update(run.id, pid_started=1.0)
    runs.ask_to_stop(run.id)
    assert runs.get(run.id).state == "cancelled"


def test_cancelling_what_has_ended_changes_nothing(runs):
    run, _ = runs.submit("sweep", "m", {})
    runs.update(run.id, state="finished")
    before = runs.get(run.id)
    runs.ask_to_stop(run.id)
    assert runs.get(run.id) == before


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_run_that_ended_early_goes_back_to_the_queue(runs, state):
    run, _ = runs.submit("sweep", "m", {"a": 1})
    runs.update(run.id, state=state, error="e", done=3, reused=1, total=9, cancel=1, started=1.0, ended=2.0)
    again = runs.requeue(run.id)
    assert (again.id, again.state, again.request) == (run.id, "queued", {"a": 1})
    assert (again.done, again.reused, again.error, again.stopping, again.started) == (0, 0, None, False, None)


def test_a_run_at_work_or_finished_cannot_be_resumed(runs):
    run, _ = runs.submit("sweep", "m", {})
    with pytest.raises(SecateurError, match=f"{run.id} is queued; only an interrupted, stopped, cancelled or failed"):
        runs.requeue(run.id)
    runs.update(run.id, state="finished")
    with pytest.raises(SecateurError, match="is finished"):
        runs.requeue(run.id)


def test_a_run_is_found_by_the_beginning_of_its_id(runs):
    run, _ = runs.submit("sweep", "m", {})
    assert runs.get(run.id[:4]).id == run.id
    for wrong in ("zzzz", "", "%", run.id + "0"):
        with pytest.raises(SecateurError, match="`secateur runs` lists them"):
            runs.get(wrong)


def test_several_runs_with_one_beginning_are_told_apart(runs, monkeypatch):
    ids = iter(["abcd0000", "abcd0001"])
    monkeypatch.setattr(runs_module.secrets, "token_hex", lambda n: next(ids))
    runs.submit("sweep", "m", {})
    runs.submit("sweep", "n", {})
    with pytest.raises(SecateurError, match="2 runs start with 'abcd'"):
        runs.get("abcd")


def test_runs_are_listed_newest_first_and_by_kind_and_workload(runs):
    ids = [
        runs.submit(kind, workload, {})[0].id for kind, workload in (("sweep", "a"), ("export", "a"), ("sweep", "b"))
    ]
    assert [run.id for run in runs.list()] == ids[::-1]
    assert [run.id for run in runs.list(kind="sweep")] == [ids[2], ids[0]]
    assert [run.id for run in runs.list(kind="sweep", workload="a")] == [ids[0]]


CELLS = [CellResult(Cut("fc", "weight", s, "magnitude"), 1, 4) for s in (0.25, 0.5, 0.75)]


def test_progress_counts_cells_and_those_that_were_known(runs):
    run, _ = runs.submit("sweep", "m", {})
    at_work(runs, run.id)
    runs.set_cells(run.id, CELLS)
    assert (runs.get(run.id).done, runs.get(run.id).total) == (0, 3)
    estimate = Estimate(0.5, 0.4, 0.6, 10)
    measured = CellResult(CELLS[1].cut, 1, 4, "measured", estimate, estimate)
    scale = {"name": "a", "unit": "fraction", "higher_is_better": True, "low": 0, "high": 1, "aggregate": "mean"}
    result = {"scale": scale, "dense": None}
    runs.set_news(run.id, {1: measured}, 4, 3, 6, "3 cells, 5 of 10 examples", result)
    found = runs.get(run.id)
    assert (found.done, found.reused, found.total, found.phase) == (4, 3, 6, "3 cells, 5 of 10 examples")
    assert runs.report(found).cells == (CELLS[0], measured, CELLS[2])
    runs.set_news(run.id, {0: measured, 2: CELLS[2]}, 6, 3, None, "", {**result, "dense": asdict(estimate)})
    found = runs.get(run.id)
    assert (found.done, found.reused, found.total) == (6, 3, None)
    assert runs.report(found).cells == (measured, measured, CELLS[2])
    assert runs.report(found).dense == estimate


def test_the_time_left_is_by_the_pace_of_what_had_to_be_computed(runs):
    run, _ = runs.submit("sweep", "m", {})
    at_work(runs, run.id, done=5, reused=1, total=9)
    found = runs.get(run.id)
    assert found.seconds_left(now=found.started + 8) == pytest.approx(8.0)  # 2 s a cell, 4 cells
    runs.update(run.id, done=2)
    assert runs.get(run.id).seconds_left() is None  # one cell is no pace


def test_the_time_left_of_a_sweep_is_what_it_said_it_costs_until_a_quarter_is_done(runs):
    run, _ = runs.submit("sweep", "m", {})
    at_work(runs, run.id, done=5, total=40, result={"cost": {"seconds": 60.0}, "cost_at": 0.0})
    started = runs.get(run.id).started
    assert runs.get(run.id).seconds_left(now=started + 8) == pytest.approx(56.0)  # told before it was resumed: by pace
    runs.update(run.id, result={"cost": {"seconds": 60.0}, "cost_at": started + 10})
    assert runs.get(run.id).seconds_left(now=started + 30) == pytest.approx(40.0)
    assert runs.get(run.id).seconds_left(now=started + 80) == pytest.approx(490.0)  # it was wrong: 14 s a cell
    runs.update(run.id, done=10)
    assert runs.get(run.id).seconds_left(now=started + 30) == pytest.approx(60.0)  # 2 s a cell since then


def test_there_is_no_report_before_the_cells_are_laid_out(runs):
    assert runs.report(runs.submit("sweep", "m", {})[0]) is None


def test_descriptions_and_drafts_are_remembered(runs, net_file):
    description = describe(str(net_file), load_workload(str(net_file)))
    assert runs.description(str(net_file)) is None
    before = time.time()
    runs.remember(description)
    runs.remember(description)
    assert runs.descriptions() == {str(net_file): description}
    found, described = runs.description(str(net_file))
    assert found == description
    assert before <= described <= time.time()
    assert runs.workloads() == (str(net_file),)
    assert runs.draft("m") == SparsityPlan((), "m")
    plan = SparsityPlan((Cut("fc", "weight", 0.5),), "m")
    runs.save_draft("m", plan)
    assert runs.draft("m") == plan


def test_runs_that_wait_or_work_are_listed_oldest_first(runs):
    first, second, third, fourth = (runs.submit("sweep", name, {})[0] for name in "abcd")
    at_work(runs, second.id)
    at_work(runs, third.id)
    runs.update(third.id, pid_started=1.0)  # its worker is dead
    runs.update(fourth.id, state="finished")
    assert [run.id for run in runs.active()] == [first.id, second.id]


def test_workloads_are_all_that_was_read_or_tried_but_for_those_of_a_script(runs, net_file):
    runs.submit("describe", "/gone.py", {})
    runs.submit("sweep", "memory:mine", {})
    runs.remember(describe(str(net_file), load_workload(str(net_file))))
    assert set(runs.workloads()) == {"/gone.py", str(net_file)}
    assert runs.description("/gone.py") is None


def test_only_an_export_that_is_finished_has_a_bundle(runs):
    sweep, export = runs.submit("sweep", "m", {})[0], runs.submit("export", "m", {})[0]
    runs.update(sweep.id, result={"folder": "x"})
    assert runs.bundle_folder(runs.get(sweep.id)) is None
    assert runs.bundle_folder(export) is None
    runs.update(export.id, result={"folder": "bundles/x"})
    assert runs.bundle_folder(runs.get(export.id)) == runs.workspace.folder / "bundles" / "x"


def test_searches_that_ask_for_nothing_new_are_the_requests_of_former_builds():
    cuts = SparsityPlan((Cut("a", "weight", 0.5),)).to_document()
    new = {"batch", "length", "engine", "align", "costs", "size"}
    for request in (
        MinimiseRequest("fashion-vit", 0.1),
        RefineRequest("fashion-vit", 0.5),
        UndoRequest("fashion-vit", cuts),
    ):
        assert not new & set(sweep_submission(request)[1])
    asked = sweep_submission(MinimiseRequest("fashion-vit", 0.1, "milliseconds", engine="onnx", align=4))[1]
    assert (asked["engine"], asked["align"]) == ("onnx", 4)
    assert MinimiseRequest(**sweep_submission(MinimiseRequest("fashion-vit", 0.1))[1]).engine is None


@pytest.mark.process
@pytest.mark.cold
def test_a_worker_that_dies_before_it_says_a_word_is_known_dead_at_once_and_its_run_can_be_resumed(runs, monkeypatch):
    monkeypatch.setattr(launch.sys, "executable", "/bin/false")
    run, _ = launch.start_graph(runs, "fashion-vit")
    launch._started[-1].wait(10)
    assert runs.get(run.id).state == "interrupted"
    assert launch.resume(runs, run.id).id == run.id
    launch._started[-1].wait(10)
    assert runs.get(run.id).state == "interrupted"


def test_who_started_a_worker_does_not_speak_for_one_that_has_spoken(runs):
    run, _ = runs.submit("sweep", "w", {})
    runs.update(run.id, pid=1, pid_started=2.0)
    runs.note_started([run.id], 3)
    with runs.workspace.connect() as db:
        assert tuple(db.execute("SELECT pid, pid_started FROM runs").fetchone()) == (1, 2.0)


@pytest.mark.process
@pytest.mark.cold
@pytest.mark.parametrize("logs", ["a file", "not writable"])
def test_where_no_log_can_be_written_no_run_waits_for_a_worker(runs, logs):
    folder = runs.workspace.folder / "logs"
    if logs == "a file":
        folder.write_text("")
        with pytest.raises(SecateurError, match=r"cannot use the folder .*logs: .*; move away what lies there"):
            launch.start_graph(runs, "fashion-vit")
        assert runs.list() == ()
        return
    run, _ = runs.submit("graph", "fashion-vit", {})
    folder.mkdir()
    (folder / f"{run.id}.log").mkdir()
    with pytest.raises(SecateurError, match=rf"run {run.id}: no worker could be started: .*; mend it"):
        launch._start_worker(runs, run)
    assert runs.get(run.id).state == "failed"
