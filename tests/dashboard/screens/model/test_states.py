"""The Model screen of a model at work, or of which something failed: what happened, and the one button that goes on."""

import time

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from core.jobs.runs import RunStore
from core.jobs.submissions import sweep_submission
from core.jobs.worker import execute
from core.sensitivity.request import SweepRequest
from core.workspace import Workspace
from tests.dashboard.conftest import APP
from tests.dashboard.test_screens import texts

RAISES = """
import torch
from torch import nn
from core import Examples, Workload, accuracy

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        if float(x.max()) > 5:
            raise ValueError("out of the range of training")
        return self.fc(x)

def workload():
    torch.manual_seed(0)
    x = torch.zeros(60, 4)
    x[40] = 9
    return Workload("odd", Model().eval(), Examples(x, torch.arange(60) % 3), accuracy(), batch_size=20)
"""


ME = psutil.Process()


def labels(app):
    return [button.label for button in app.button]


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "workspace"))
    return RunStore(Workspace(tmp_path / "workspace"))


@pytest.mark.model
def test_a_file_that_failed_in_loading_is_told_with_its_line_and_how_to_go_on(empty, write_file, started, open_screen):
    path = write_file("net.py", "def workload():\n    return {}['weights']\n")
    run, _ = empty.submit("sweep", str(path), {})  # as `secateur sweep` does: nobody has asked to read it before
    assert execute(empty, run.id).state == "failed"
    app = open_screen("model", str(path))
    assert "net could not be read" in texts(app)
    assert "(line 2 of net.py: return {}['weights'])" in texts(app)
    assert "Mend the file and try again" in texts(app)
    next(b for b in app.button if b.label == "Try again").click().run()
    assert [empty.get(one).kind for one in started] == ["describe"]


@pytest.mark.model
def test_a_dense_model_that_raises_is_told_with_its_line_and_how_to_go_on(empty, write_file, started, open_screen):
    path = str(write_file("odd.py", RAISES))
    run, _ = empty.submit("describe", path, {})
    assert execute(empty, run.id).state == "finished"
    run, _ = empty.submit("sweep", *sweep_submission(SweepRequest(path, (0.5,))))
    assert execute(empty, run.id).state == "failed"
    app = open_screen("model", path)
    assert "The newest sweep failed: the dense odd raised ValueError on its evaluation data" in texts(app)
    assert '(line 12 of odd.py: raise ValueError("out of the range of training"))' in texts(app)
    next(b for b in app.button if b.label == "Resume").click().run()
    assert started == [run.id]


@pytest.mark.model
def test_of_a_worker_that_was_killed_while_reading_its_log_is_named_where_there_is_one(fresh, started, open_screen):
    runs, _ = fresh
    run, _ = runs.submit("describe", "tiny-gpt", {})
    runs.update(run.id, pid=2**22 + 7, pid_started=0.0)
    log = runs.workspace.subfolder("logs") / f"{run.id}.log"
    log.touch()
    assert "Its last words" not in texts(open_screen("model", "tiny-gpt"))
    log.write_text("Killed")
    app = open_screen("model", "tiny-gpt")
    assert f"Its last words are in {log}" in texts(app)
    assert "Try again" in labels(app)


def test_how_a_sweep_stands_is_said_where_one_looks_first(workspace, started, open_screen):
    runs, ref = workspace
    (run,) = runs.list("sweep", ref)
    app = open_screen("model", ref)
    assert any("See its map: 20" in link.proto.label for link in app.get("page_link"))
    runs.update(run.id, state="running", result=None, pid=2**22 + 7, pid_started=0.0)
    app = open_screen("model", ref)
    assert "The newest sweep was interrupted: its worker died" in texts(app)
    assert "Resume" in labels(app)
    runs.update(run.id, state="queued", pid=ME.pid, pid_started=ME.create_time())
    assert "A sweep of it waits for its turn." in texts(open_screen("model", ref))


def test_reading_that_takes_long_says_for_how_long(workspace, started, open_screen):
    runs, _ = workspace
    run, _ = runs.submit("describe", "tiny-gpt", {})
    runs.update(run.id, state="running", pid=ME.pid, pid_started=ME.create_time(), started=time.time() - 4)
    assert "so far" not in texts(open_screen("model", "tiny-gpt"))
    runs.update(run.id, started=time.time() - 75)
    assert "It has taken 1 min 1" in texts(open_screen("model", "tiny-gpt"))


def test_a_model_that_nobody_knows_is_told_of_until_another_is_chosen(workspace, started):
    _, ref = workspace
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.query_params["model"] = "nope"
    app.run()
    said = "asks for the model `nope`, which this workspace does not know; **fashion-resnet** is shown"
    assert said in texts(app)
    app.run()  # a run began, and the screen is drawn again
    assert said in texts(app)
    app.selectbox(key="model").set_value(ref).run()
    assert not app.exception
    assert "nope" not in texts(app)


@pytest.mark.model
def test_what_was_inferred_of_a_folder_is_shown_to_be_confirmed(workspace, tmp_path, started, open_screen):
    import dataclasses

    from tests.core.workload.sources.folders import save_bert

    runs, known = workspace
    folder, data = tmp_path / "bert", tmp_path / "reviews.csv"
    save_bert(folder)
    data.write_text("text,label\nthe cat sees,0\na dog eats,1\n")
    ref = f"hf:{folder}?data={data}"
    runs.remember(dataclasses.replace(runs.description(known)[0], ref=ref, name="bert"))
    app = open_screen("model", ref)
    said = next(one.value for one in app.caption if one.value.startswith("Inferred from its files: "))
    for what in ("task: ", "data: ", "metric: accuracy"):
        assert what in said, said
    assert "Not so? *Yours* takes task and columns." in said
    data.unlink()  # changed since: the screen says nothing that no longer is so, and stays
    app = open_screen("model", ref)
    assert not [one for one in app.caption if one.value.startswith("Inferred")]
    assert not [one for one in open_screen("model", known).caption if one.value.startswith("Inferred")]
