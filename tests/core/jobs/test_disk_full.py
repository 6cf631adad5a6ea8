"""A disk that fills up while a sweep is under way, by a real limit on the pages of the database."""

import sqlite3
from dataclasses import replace

import pytest

from core import SecateurError, cross_entropy, sweep
from core.jobs.runs import RunStore
from core.workspace import Workspace

REQUEST = {"sparsities": tuple(i / 50 for i in range(1, 50))}


def evidence(workspace):
    with workspace.connect() as db:
        return [tuple(row) for row in db.execute("SELECT * FROM evidence ORDER BY cell, batch")]


def limit_pages(monkeypatch, extra, database):
    real = sqlite3.connect
    db = real(database)
    pages = db.execute("PRAGMA page_count").fetchone()[0] + extra
    db.close()

    def limited(*args, **options):
        connection = real(*args, **options)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr(sqlite3, "connect", limited)


@pytest.mark.parametrize("extra", [0, 1, 2])
def test_a_full_disk_is_a_clear_error_and_nothing_measured_is_lost(conv, tmp_path, monkeypatch, extra):
    conv = replace(conv, metric=cross_entropy())  # whose scores fill pages
    whole = sweep(conv, workspace=tmp_path / "fresh", **REQUEST)
    workspace = Workspace(tmp_path / "full")
    with monkeypatch.context() as limited:
        limit_pages(limited, extra, workspace.database)
        with pytest.raises(SecateurError, match=r"is full .*free some space: what was measured is kept"):
            sweep(conv, workspace=workspace.folder, **REQUEST)
    kept = evidence(workspace)
    assert set(kept) <= set(evidence(Workspace(tmp_path / "fresh")))
    assert len(kept) < len(evidence(Workspace(tmp_path / "fresh")))
    for run in RunStore(workspace).list():  # the run that could not write its own end, if it got that far
        RunStore(workspace).ask_to_stop(run.id)
    assert sweep(conv, workspace=workspace.folder, **REQUEST).cells == whole.cells
    assert evidence(workspace) == evidence(Workspace(tmp_path / "fresh"))
