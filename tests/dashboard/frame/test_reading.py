"""A page that loads runs no file that nobody named: an address may name any model of the list."""

import shutil
from pathlib import Path

import pytest

from core.jobs.merging.merge import merge
from core.jobs.runs import RunStore
from core.workspace import Workspace


@pytest.fixture
def trap(write_file) -> Path:
    """A workload file that is not to be run."""
    return write_file("trap.py", "raise SystemExit('it was run')\n")


def shown(app):
    return " ".join(one.value for kind in ("info", "warning", "error") for one in app.get(kind))


@pytest.mark.parametrize("screen", ["model", "map", "tune", "recover", "deliver"])
def test_an_address_that_names_a_merged_model_starts_nothing_until_a_click(trap, tmp_path, monkeypatch, started, screen,
                                                                          open_screen):  # fmt: skip
    there = RunStore(Workspace(tmp_path / "there"))
    run, _ = there.submit("sweep", str(trap), {})
    there.update(run.id, state="finished")
    merge(Workspace(tmp_path / "workspace"), tmp_path / "there")
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "workspace"))
    app = open_screen(screen, str(trap))
    assert str(trap) in shown(app)
    app.run()  # a reload
    assert started == []
    next(b for b in app.button if b.label == "Let this file be run").click().run()
    assert started == []
    next(b for b in app.button if b.label == "Read it").click().run()
    assert len(started) == 1


def test_of_a_folder_it_is_not_said_that_it_is_run(tmp_path, monkeypatch, started, open_screen):
    ref = "hf:/nowhere/m?data=/nowhere/d.csv"
    there = RunStore(Workspace(tmp_path / "there"))
    run, _ = there.submit("sweep", ref, {})
    there.update(run.id, state="finished")
    merge(Workspace(tmp_path / "workspace"), tmp_path / "there")
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "workspace"))
    app = open_screen("model", ref)
    assert ref in shown(app)
    next(b for b in app.button if b.label == "Let these files be read").click().run()
    assert ref in shown(app)
    assert "Python" not in shown(app)
    assert started == []


def test_a_workspace_that_was_handed_over_whole_starts_nothing_either(
    trap, tmp_path, monkeypatch, started, open_screen
):
    there = RunStore(Workspace(tmp_path / "there"))
    there.submit("sweep", str(trap), {})
    shutil.copytree(tmp_path / "there", tmp_path / "workspace")
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "workspace"))
    app = open_screen("model", str(trap))
    assert started == []
    assert f"`{trap}`" in shown(app)
    next(b for b in app.button if b.label == "Read it").click().run()
    assert len(started) == 1


def test_a_merged_model_is_shown_and_its_buttons_start_nothing(swept, tmp_path, monkeypatch, started, open_screen):
    folder, ref = swept
    merge(Workspace(tmp_path / "workspace"), folder)
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "workspace"))
    app = open_screen("model", ref)
    assert "came with a merged workspace" in shown(app)
    assert app.dataframe  # what was found there is shown
    for label in ("Measure", "Measure sizes and times", "Profile"):
        for button in [b for b in app.button if b.label == label]:
            button.click().run()
    assert started == []
