"""The menu of workers in the strip: it is there where a worker could help, lists them, adds one and stops one."""

import psutil
import pytest

from core.jobs.places import workers


def at_work(runs, ref, kind, **request):
    run, _ = runs.submit(kind, ref, request)
    me = psutil.Process()
    runs.update(run.id, state="running", started=1.0, pid=me.pid, pid_started=me.create_time(), total=4, done=1)


def keys(app):
    return [button.key for button in app.button]


@pytest.mark.parametrize(("kind", "request_"), [("recover", {}), ("sweep", {"ray": "local"})])
def test_a_run_that_nobody_can_help_shows_no_workers(workspace, open_screen, kind, request_):
    runs, ref = workspace
    at_work(runs, ref, kind, **request_)
    assert "add-worker" not in keys(open_screen("model", ref))


def test_a_worker_is_added_beside_a_sweep_listed_and_stopped(workspace, open_screen, monkeypatch):
    runs, ref = workspace
    at_work(runs, ref, "sweep")
    monkeypatch.setattr(workers, "usable_cores", lambda: 2)
    monkeypatch.setattr(workers, "add", lambda here: workers.register(here, 1))
    app = open_screen("model", ref)
    assert not [key for key in keys(app) if key and key.startswith("stop-worker-")]
    app.button(key="add-worker").click().run()
    (one,) = workers.helpers(runs.workspace)
    app.run()
    assert f"Worker {one.id}: waits for a run" in [text.value for text in app.markdown]
    app.button(key=f"stop-worker-{one.id}").click().run()
    app.run()
    assert app.button(key=f"stop-worker-{one.id}").disabled
    assert workers.helpers(runs.workspace)[0].stopping


def test_where_the_cores_are_taken_none_can_be_added(workspace, open_screen, monkeypatch):
    runs, ref = workspace
    monkeypatch.setattr(workers, "usable_cores", lambda: 1)
    workers.register(runs.workspace, 1)
    app = open_screen("model", ref)  # nothing runs: those that wait are listed all the same
    assert app.button(key="add-worker").disabled


def test_a_worker_that_died_is_told_of_beside_the_run_that_it_helped(workspace, open_screen):
    runs, ref = workspace
    at_work(runs, ref, "sweep")
    dead = {"worker": 3, "pid": 77, "bundles": 5, "ended": "died"}
    runs.update(runs.list()[0].id, made_with={"workers": [dead, {**dead, "worker": 4, "ended": "left"}]})
    (told,) = [text.value for text in open_screen("model", ref).caption if "Worker" in text.value]
    assert told.replace("\\", "") == (
        ":material/warning: Worker 3 (process 77) measured 5 bundles and died; "
        "what it had under way was measured again."
    )
