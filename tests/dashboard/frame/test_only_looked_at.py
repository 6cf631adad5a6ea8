"""A workspace that may not be written can be looked at on every screen."""

import os

import pytest

from core.jobs.runs import RunStore
from core.workspace import Workspace
from dashboard.frame import workbench
from dashboard.frame.only_looked_at import REASON
from tests.dashboard.conftest import HALF


@pytest.fixture
def locked(workspace, monkeypatch):
    runs, ref = workspace
    runs.save_draft(ref, HALF)
    real = os.access
    folder = str(runs.workspace.folder)
    monkeypatch.setattr(
        os, "access", lambda path, mode: not (mode == os.W_OK and str(path).startswith(folder)) and real(path, mode)
    )
    workbench._open.clear()
    yield RunStore(Workspace(runs.workspace.folder)), ref
    workbench._open.clear()


@pytest.mark.parametrize("screen", ["model", "map", "tune", "recover", "deliver"])
def test_every_screen_of_a_read_only_workspace_is_shown_with_its_buttons_greyed(locked, open_screen, screen):
    runs, ref = locked
    folder = runs.workspace.folder
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    app = open_screen(screen, ref)
    assert any(REASON in info.value for info in app.info)
    assert not app.error
    assert not [(b.label, b.disabled, b.help) for b in app.button if not (b.disabled and b.help == REASON)]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_workspace_that_may_be_written_has_buttons_to_press(workspace, open_screen):
    app = open_screen("map", workspace[1])
    assert not any(REASON in info.value for info in app.info)
    assert any(not button.disabled for button in app.button)
