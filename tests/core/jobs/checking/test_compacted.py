"""`secateur check --compact` writes the same rows in fewer bytes, or changes nothing."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import namedtuple
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from core.errors import SecateurError
from core.jobs.checking import compacted
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


@pytest.mark.parametrize(("place", "what"), [("ws", "beside the database"), ("temporary", "for temporary files")])
def test_it_is_refused_where_there_is_no_room_for_a_copy(tmp_path, monkeypatch, place, what):
    here = filled(tmp_path / "ws", n_cells=20)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path / "temporary"))
    usage = namedtuple("usage", "total used free")
    stat = Path.stat
    needs = sum(path.stat().st_size for path in here.folder.glob("secateur.sqlite*") if path.suffix != ".sqlite-shm")
    before = content(here)

    def free(n):
        monkeypatch.setattr(shutil, "disk_usage", lambda at: usage(1, 1, n if Path(at).name == place else 10**12))

    def of_another_disk(path, **options):
        found = list(stat(path, **options))
        return os.stat_result([*found[:2], found[2] + (path.name == "temporary"), *found[3:]])

    free(2 * needs - 1)
    if place == "ws":  # both lie on one disk
        with pytest.raises(SecateurError, match=r"bytes beside the database, temporary files included, .* free"):
            compact(here)
    monkeypatch.setattr(Path, "stat", of_another_disk)
    free(1000)
    with pytest.raises(SecateurError, match=rf"compacting needs [\d,]+ bytes {what}.* 1,000 free"):
        compact(here)
    assert content(here) == before
    free(2 * needs - 1)
    compact(here)


def test_temporary_files_lie_where_sqlite_looks_for_them_first(tmp_path, monkeypatch):
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path / "is not there"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert compacted._places(tmp_path)[1] == tmp_path
    monkeypatch.delenv("SQLITE_TMPDIR")
    monkeypatch.delenv("TMPDIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # Python's, not SQLite's
    assert compacted._places(tmp_path)[1] == Path("/var/tmp")


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


STEP = """
import os, shutil, signal, sys
from core.jobs.checking import compacted
from core.workspace import Workspace

folder, at, n = sys.argv[1], int(sys.argv[2]), 0
write_anew = compacted._write_anew

def step():
    global n
    n += 1
    if n == at:
        os.kill(os.getpid(), signal.SIGKILL)

def watched(db, folder):
    db.set_progress_handler(step, 100)
    write_anew(db, folder)
    db.set_progress_handler(None, 0)
    print(n)
    if at == -1:
        os.kill(os.getpid(), signal.SIGKILL)  # written, and the log not cut yet

compacted._write_anew = watched
compacted.compact(Workspace(folder))
"""


@pytest.mark.process
@pytest.mark.parametrize("page", [4096, PAGE_BYTES])
def test_one_that_is_killed_at_any_step_loses_nothing(tmp_path, page):
    with closing(sqlite3.connect(Workspace(tmp_path / "ws", create=True).database)) as db:
        db.executescript(f"PRAGMA journal_mode = DELETE; PRAGMA page_size = {page}; VACUUM")
    here = filled(tmp_path / "ws", n_cells=500)
    before = content(here)

    def compacting(folder, at):
        return subprocess.run([sys.executable, "-c", STEP, str(folder), str(at)], capture_output=True, text=True)

    shutil.copytree(here.folder, tmp_path / "copy")
    steps = int(compacting(tmp_path / "copy", 0).stdout)
    assert steps > 100
    for at in (1, 10, 100, steps // 2, steps, -1):
        assert compacting(here.folder, at).returncode == -signal.SIGKILL
        assert content(Workspace(here.folder)) == before
        with here.connect() as db:
            assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    compact(here)
    assert content(here) == before


FAILING = """
import resource, sys
from core.errors import SecateurError
from core.jobs.checking import compacted
from core.jobs.checking.compacted import compact
from core.workspace import Workspace
here = Workspace(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    compact(here)
except SecateurError as error:
    print(error)
"""


@pytest.mark.process
def test_a_disk_that_fails_meanwhile_is_told_with_both_places_and_changes_nothing(tmp_path):
    here, temporary = filled(tmp_path / "ws", n_cells=50), tmp_path / "temporary"
    temporary.mkdir()
    before = content(here)
    said = subprocess.run(
        [sys.executable, "-c", FAILING, str(here.folder)],
        env={**os.environ, "SQLITE_TMPDIR": str(temporary)}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said.startswith("compacting failed (")
    assert f"{here.folder} has " in said
    assert f"{temporary} has " in said
    assert content(Workspace(here.folder)) == before
