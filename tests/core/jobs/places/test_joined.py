"""Who helps a run is told as it joins, leaves or dies, and is kept with the run."""

from dataclasses import replace

import pytest

from core.jobs.places import claimed, workers
from core.jobs.places.joined import Company, Joined, joined
from core.jobs.runs import RunStore
from core.jobs.worker import execute
from core.reports.words import measured_table
from core.workspace import Workspace
from tests.core.cli.running import document_of, secateur
from tests.core.jobs.places.contract import net_file, submitted

RUN = "0123abcd"


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "ws")


@pytest.fixture
def company(workspace):
    said, kept = [], []
    return Company(workspace, RUN, said.append, kept.append), said, kept


def helping(workspace, run=RUN):
    number = workers.register(workspace, 1)
    workers.say(workspace, number, run)
    return workers.helpers(workspace)[-1]


def test_one_that_waits_or_helps_another_run_has_not_joined(workspace, company):
    look, said, kept = company
    workers.register(workspace, 1)
    look.look(workers.helpers(workspace))
    assert (said, kept) == ([], [])


def test_one_that_joins_and_leaves_is_told_with_what_it_has_measured(workspace, company):
    look, said, kept = company
    one = helping(workspace)
    look.look([one])
    look.look([replace(one, done=7)])
    workers.leave(workspace, one.id)
    look.look([])
    look.look([])
    assert said == [
        f"run {RUN}: worker {one.id} (process {one.pid}) joins", f"run {RUN}: worker {one.id} (process {one.pid}) left",
    ]  # fmt: skip
    assert kept[-1] == [{"worker": one.id, "pid": one.pid, "bundles": 7, "ended": "left"}]
    assert len(kept) == 3


def test_one_that_dies_is_told_as_dead_though_it_had_nothing_under_way(workspace, company):
    look, said, kept = company
    one = helping(workspace)
    look.look([one])
    with workspace.write() as db:
        db.execute("UPDATE helpers SET pid_started = 1.0")
    look.look(workers.helpers(workspace))
    assert said[-1] == (f"run {RUN}: worker {one.id} (process {one.pid}) died; what it had under way is measured again")
    assert kept[-1][0]["ended"] == "died"


def test_those_that_helped_before_a_resume_are_kept_and_go_on_counting(workspace):
    said, kept = [], []
    one = helping(workspace)
    before = [Joined(one.id, one.pid, 5), Joined(77, 7, 3, "died")]
    look = Company(workspace, RUN, said.append, kept.append, before)
    look.look([])
    assert (said, kept) == ([], [])
    look.look([replace(one, done=50)])  # of which 45 were for other runs, or have been counted
    look.look([replace(one, done=52)])
    assert kept[-1] == [dict(vars(replace(before[0], bundles=7))), dict(vars(before[1]))]
    assert said == [f"run {RUN}: worker {one.id} (process {one.pid}) joins"]


def test_one_that_leaves_and_one_that_dies_at_the_same_look_are_told_apart(workspace, company):
    look, _, kept = company
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(workers, "usable_cores", lambda: 2)
        leaves, dies = helping(workspace), helping(workspace)
    look.look([leaves, dies])
    workers.leave(workspace, leaves.id)
    look.look([])
    assert {row["worker"]: row["ended"] for row in kept[-1]} == {leaves.id: "left", dies.id: "died"}


@pytest.mark.model
def test_who_has_helped_a_run_is_still_told_after_it_was_resumed(tmp_path, workspace, monkeypatch):
    for name in ("LARGEST", "SMALLEST", "DENSE_TIMES", "LOOK_SECONDS"):
        monkeypatch.setattr(claimed, name, 0)
    runs, dead = RunStore(workspace), Joined(9, 77, 3, "died")
    run = submitted(runs, "exact", net_file(tmp_path))
    runs.update(run.id, made_with={"threads": 1, "workers": [dict(vars(dead))]})
    one = helping(workspace, run.id)
    ended = execute(runs, run.id, later=False)
    assert ended.state == "finished", ended.error
    assert [told.worker for told in joined(ended)] == [dead.worker, one.id]
    assert joined(ended)[0] == dead
    assert ended.made_with["cpu"]
    assert dict(measured_table(ended))["workers beside its own"].startswith(dead.text)
    with workspace.connect() as db:  # that is told of the run, not of what it measured
        assert not [row for row in db.execute("SELECT made_with FROM origins") if "workers" in row[0]]


def test_runs_and_show_tell_of_those_that_help_and_of_those_that_died(workspace):
    runs = RunStore(workspace)
    run, _ = runs.submit("sweep", "net.py", {})
    me = workers.register(workspace, 1)
    with workspace.write() as db:
        row = db.execute("SELECT pid, pid_started FROM helpers").fetchone()
    runs.begin(run.id, "measuring")
    runs.update(run.id, pid=row["pid"], pid_started=row["pid_started"])
    workers.say(workspace, me, run.id)
    dead = {"worker": 9, "pid": 77, "bundles": 3, "ended": "died"}
    runs.update(run.id, made_with={"threads": 1, "workers": [dead, {"worker": "what a newer version might keep"}]})
    (told,) = document_of("runs", "--workspace", workspace.folder)
    assert (told["id"], told["workers"]) == (run.id, 1)
    assert "1 worker beside its own" in " ".join(secateur("runs", "--workspace", workspace.folder).stdout.split())
    assert joined(runs.get(run.id)) == (Joined(9, 77, 3, "died"),)
    shown = secateur("show", run.id, "--workspace", workspace.folder).stdout
    assert "Worker 9 (process 77) measured 3 bundles and died; what it had under way was measured again." in shown
