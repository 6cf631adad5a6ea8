"""`secateur check --compact` writes the same rows in fewer bytes, or changes nothing."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import namedtuple
from contextlib import closing

import numpy as np
import pytest

from core.errors import SecateurError
from core.jobs.checking.compacted import compact
from core.jobs.queue import turn
from core.jobs.runs import RunStore
from core.plans.plan import Cut
from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.sensitivity.report import CellResult
from core.workspace import PAGE_BYTES, VERSION, Workspace
from tests.core.cli.running import document_of, refused, secateur
from tests.scales import ACCURACY

TABLES = ("evidence_rows", "loss_rows", "keys", "shared", "origins", "runs", "cells", "batches")


def filled(folder, n_cells=1000, n_batches=10, n=25):
    """As a sweep adds it: a batch of all cells, then the next."""
    here, rng = Workspace(folder), np.random.default_rng(0)
    store = EvidenceStore(here, "loss", origin='{"host": "a"}')
    for j in range(n_batches):
        weights = rng.random(n, "f4")
        store.add_all(
            (f"cell {i}", f"batch {j}", BatchEvidence(rng.random(n, "f4"), True, weights, losses=rng.random(n, "f4")))
            for i in range(n_cells)
        )
    runs = RunStore(here)
    run, _ = runs.submit("sweep", "w", {})
    runs.set_cells(run.id, [CellResult(Cut("fc1", sparsity=0.5), 1, 2)])
    runs.update(run.id, state="finished", result={"scale": vars(ACCURACY)}, done=1)
    return here


def content(here):
    with here.connect() as db:
        return {table: [tuple(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY 1, 2")] for table in TABLES}


def test_the_same_rows_take_fewer_bytes_and_every_score_is_read_bit_for_bit(tmp_path):
    here = filled(tmp_path)
    cells, batches = [f"cell {i}" for i in range(1000)], [f"batch {j}" for j in range(10)]

    def scores():
        found = EvidenceStore(here, "loss").read_all(cells, batches)
        return [(one.scores.tobytes(), one.losses.tobytes()) for of in found.values() for one in of.values()]

    before, rows = scores(), content(here)
    assert len(before) == 10_000
    done = compact(here)
    assert done.after < 0.95 * done.before
    assert scores() == before
    assert content(here) == rows
    assert compact(here).after == done.after


def test_a_row_takes_at_most_a_third_more_than_its_scores(tmp_path):
    """25 scores of any value, of cells with 100 batches each; the empty tables aside."""
    here, rng = Workspace(tmp_path), np.random.default_rng(0)
    empty = compact(here).after
    for j in range(100):
        EvidenceStore(here).add_all(
            (f"{i:064}", f"{j:064}", BatchEvidence(rng.random(25, "f4"), True)) for i in range(100)
        )
    assert (compact(here).after - empty) / 10_000 <= 1.33 * 100


def test_a_workspace_of_an_older_build_gets_larger_pages(tmp_path):
    with closing(sqlite3.connect(tmp_path / "secateur.sqlite")) as db:
        db.execute("PRAGMA page_size = 4096")
        db.execute("CREATE TABLE t (i)")
        db.execute("DROP TABLE t")
        db.commit()
    here = Workspace(tmp_path)
    with here.connect() as db:
        assert db.execute("PRAGMA page_size").fetchone()[0] == 4096
    compact(here)
    with here.connect() as db:
        assert db.execute("PRAGMA page_size").fetchone()[0] == PAGE_BYTES
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert db.execute("PRAGMA user_version").fetchone()[0] == VERSION


def test_who_has_the_workspace_open_goes_on_reading_it(tmp_path):
    here = filled(tmp_path, n_cells=20)
    with here.connect() as db:
        db.execute("BEGIN")
        count = "SELECT count(*) FROM evidence"
        assert db.execute(count).fetchone()[0] == 200
        compact(here)
        assert db.execute(count).fetchone()[0] == 200


def test_a_database_that_a_killed_compaction_left_without_its_log_gets_one(tmp_path):
    with Workspace(tmp_path).connect() as db:
        db.execute("PRAGMA journal_mode = DELETE")
    with Workspace(tmp_path).connect() as db:
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_it_is_refused_while_a_run_is_at_work_or_waits(tmp_path):
    here = filled(tmp_path, n_cells=20)
    runs = RunStore(here)
    run, _ = runs.submit("sweep", "other", {})
    with pytest.raises(SecateurError, match=f"run {run.id} is at work; .*then compact"):
        compact(here)
    runs.update(run.id, state="finished", result={})
    with turn(runs, run), pytest.raises(SecateurError, match="a run is at work in this workspace"):
        compact(here)
    assert compact(here).after > 0


def test_it_is_refused_where_there_is_no_room_for_a_copy(tmp_path, monkeypatch):
    here = filled(tmp_path, n_cells=20)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(1, 1, 1000))
    before = content(here)
    with pytest.raises(SecateurError, match=r"compacting needs [\d,]+ bytes beside the database, .* 1,000 free"):
        compact(here)
    assert content(here) == before


def test_the_command_says_what_it_brought_and_leaves_a_damaged_workspace_alone(tmp_path):
    here = filled(tmp_path, n_cells=20)
    assert "no row has changed" in secateur("check", "--compact", "--workspace", here.folder).stdout
    assert document_of("check", "--compact", "--workspace", here.folder)["compacted"]["after"] > 0
    assert document_of("check", "--workspace", here.folder)["compacted"] is None
    assert "leave the model out" in refused("check", "tiny-gpt", "--compact", "--workspace", here.folder)
    with here.write() as db:
        db.execute("UPDATE evidence_rows SET scores = zeroblob(8)")
    said = secateur("check", "--compact", "--workspace", here.folder)
    assert (said.exit_code, "no row has changed" in said.stdout) == (2, False)
    assert secateur("check", "--compact", "--mend", "--workspace", here.folder).exit_code == 0
    assert {table: len(rows) for table, rows in content(here).items() if table.endswith("_rows")} == {
        "evidence_rows": 0,
        "loss_rows": 0,
    }


KILLED = """
import sys
from core.jobs.checking.compacted import compact
from core.workspace import Workspace
here = Workspace(sys.argv[1])
print("begun", flush=True)
compact(here)
print("done", flush=True)
"""


@pytest.mark.process
def test_one_that_is_killed_at_any_moment_loses_nothing(tmp_path):
    here = filled(tmp_path, n_cells=3000)
    before, ended = content(here), []
    for moment in (0.0, 0.02, 0.05, 0.1, 0.2):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(here.folder)], stdout=subprocess.PIPE) as child:
            assert child.stdout.readline() == b"begun\n"
            time.sleep(moment)
            os.kill(child.pid, signal.SIGKILL)
            ended.append(child.stdout.read())
        assert content(Workspace(here.folder)) == before
        with here.connect() as db:
            assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert b"" in ended  # some were killed in the middle
    compact(here)
    assert content(here) == before
