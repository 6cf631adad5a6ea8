"""Commands run in a folder of their own, with the worker in this process."""

import pytest

from core.cli import following


@pytest.fixture
def own_folder(tmp_path, monkeypatch, worker_here):
    """The current folder is empty, and nothing outside of the test says which workspace to take."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr(following, "POLL_SECONDS", 0.001)
    monkeypatch.delenv("SECATEUR_WORKSPACE", raising=False)
