"""A model of one's own, typed on top of any screen."""

import json

import pytest

from core.errors import SecateurError
from core.jobs.runs import RunStore
from core.workspace import Workspace
from dashboard.frame.own_model import reference_of


def field(app, label):
    return next(one for one in reversed(app.text_input) if one.label == label)


def open_it(app):
    next(b for b in app.button if b.label == "Open it").click().run()


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "workspace"))
    return tmp_path


def test_a_workload_file_is_read_and_chosen(empty, write_file, started, open_screen):
    path = write_file("net.py", "def workload():\n    raise SystemExit\n")
    app = open_screen("model", "fashion-resnet")
    before = len(started)
    field(app, "Model").set_value(f"  {path} ")
    open_it(app)
    assert app.session_state["model"] == str(path)
    assert len(started) == before + 1
    assert [run.workload for run in RunStore(Workspace(empty / "workspace")).list("describe", str(path))] == [str(path)]


@pytest.mark.parametrize(
    ("place", "data", "said"),
    [
        ("", "", "name a model"),
        ("/nowhere/at/all", "", "no folder or file /nowhere/at/all"),
        ("fashion-resne", "", "unknown model"),
        ("hf:/nowhere", "x.csv", "expects a folder on this machine"),
        ("fashion-resnet", "x.csv", "has its own data"),
    ],
)
def test_what_cannot_be_is_said_there_and_the_model_stays(empty, started, open_screen, place, data, said):
    app = open_screen("model", "fashion-resnet")
    before = len(started)
    field(app, "Model").set_value(place)
    field(app, "Data").set_value(data)
    open_it(app)
    assert said in " ".join(error.value for error in app.error)
    assert app.session_state["model"] == "fashion-resnet"
    assert len(started) == before


def test_a_folder_needs_no_kind_before_it(tmp_path):
    folder, data = tmp_path / "mine", tmp_path / "t.csv"
    folder.mkdir()
    data.write_text("text,label\na,0\n")
    with pytest.raises(SecateurError, match=r"config\.json"):
        reference_of(str(folder), {"data": str(data), "task": " "})
    with pytest.raises(SecateurError, match="needs --data"):
        reference_of(str(folder), {})
    (folder / "modules.json").write_text(json.dumps([]))
    with pytest.raises(SecateurError, match=r"^st:.* needs --data"):
        reference_of(str(folder), {})


def test_a_file_that_lies_nearby_is_opened_by_one_click_and_a_folder_by_one_more_for_its_data(
    empty, write_file, started, open_screen, monkeypatch
):
    monkeypatch.chdir(empty)
    path = write_file("net.py", "def workload():\n    raise SystemExit\n")
    folder = path.parent / "bert"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    (path.parent / "test.csv").write_text("text,label\na,0\n")
    monkeypatch.setenv("SECATEUR_MODELS", str(path.parent))
    app = open_screen("model", "fashion-resnet")
    app.button(key=f"nearby-{folder}").click().run()
    assert field(app, "Model").value == str(folder)
    app.button(key=f"nearby-data-{path.parent / 'test.csv'}").click().run()
    assert any("config.json" in error.value for error in app.error)  # this one is damaged; it is said there
    assert app.session_state["model"] == "fashion-resnet"
    app.button(key=f"nearby-{path}").click().run()
    assert app.session_state["model"] == str(path)
    assert started
