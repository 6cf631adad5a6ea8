"""Damaged evidence is never served: what does not fit its digest is measured again, and counted aloud."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from core import SecateurError, accuracy, cross_entropy, sweep
from core.cli.tables.runs import run_result
from core.jobs.merging.merge import merge
from core.jobs.runs import RunStore
from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.sensitivity.slices import slice_drops
from core.workload.scale import Scale
from core.workspace import STEPS, Workspace, seal
from tests.evidence_rows import reseal, rewrite

REQUEST = {"sparsities": (0.5, 0.9), "replay": False}


def flipped(scores):
    """One bit of one float: 2⁻⁶ for 1, say."""
    bits = bytearray(scores)
    bits[6] ^= 0x20
    return bytes(bits)


def zeroed(scores):
    return bytes(len(scores))


def huge(scores):
    return np.full(len(scores) // 4, 1e30, "<f4").tobytes()


def shorter(scores):
    return scores[:-4]


def swapped(scores):
    return scores[4:] + scores[:4]


DAMAGES = pytest.mark.parametrize("damage", [flipped, zeroed, huge, shorter, swapped])


def damage_rows(workspace, damage, column="scores", table="evidence", where="changed = 1", n=1):
    with closing(sqlite3.connect(workspace.database)) as db, db:
        rows = db.execute(f"SELECT cell, batch, {column} FROM {table} WHERE {where} ORDER BY cell, batch").fetchall()
        for cell, batch, value in rows[:n]:
            rewrite(db, cell, batch, table, **{column: damage(value)})
    return rows[:n]


@pytest.fixture
def measured(conv, tmp_path):
    """A workload with a metric of unbounded scores, its workspace, and the report of its first sweep."""
    workload = replace(conv, metric=cross_entropy())
    return workload, Workspace(tmp_path), sweep(workload, workspace=tmp_path, **REQUEST)


@DAMAGES
def test_a_damaged_score_of_a_cut_is_measured_again(measured, damage, capsys):
    workload, workspace, first = measured
    damage_rows(workspace, damage, n=3)
    again = sweep(workload, workspace=workspace.folder, **REQUEST)
    assert (again.dense, again.cells) == (first.dense, first.cells)
    runs = RunStore(workspace)
    assert (again.n_damaged, runs.get(again.run).damaged) == (3, 3)
    run_result(runs, runs.get(again.run))
    assert "3 measurements on disk were damaged" in capsys.readouterr().out
    third = sweep(workload, workspace=workspace.folder, **REQUEST)  # what was measured again took their places
    assert (third.n_damaged, third.cells) == (0, first.cells)


@DAMAGES
def test_a_damaged_score_of_the_dense_model_is_measured_again(measured, damage):
    workload, workspace, first = measured
    damage_rows(workspace, damage, where="changed = 0", n=4)  # of all its batches
    again = sweep(workload, workspace=workspace.folder, **REQUEST)
    assert (again.dense, again.cells, again.n_damaged) == (first.dense, first.cells, 4)


def test_losses_are_not_served_damaged_either(conv, tmp_path):
    conv = replace(conv, metric=accuracy())  # whose loss is kept beside its scores
    first = sweep(conv, workspace=tmp_path, **REQUEST)
    (row,) = damage_rows(Workspace(tmp_path), huge, "values_", "losses", where="1")
    again = sweep(conv, workspace=tmp_path, **REQUEST)
    assert row
    assert (again.cells, again.n_damaged) == (first.cells, 1)


@pytest.mark.parametrize("column", ["changed", "n", "digest"])
def test_every_column_is_sealed(measured, column):
    workload, workspace, first = measured
    damage_rows(workspace, flipped_byte if column == "digest" else (lambda value: 1 - value), column)
    again = sweep(workload, workspace=workspace.folder, **REQUEST)
    assert (again.cells, again.n_damaged) == (first.cells, 1)


def flipped_byte(digest):
    return bytes([digest[0] ^ 1]) + digest[1:]


def test_a_row_that_stands_at_another_s_place_is_damaged(tmp_path):
    store = EvidenceStore(Workspace(tmp_path))
    store.add("cell", {"a": BatchEvidence(np.ones(3, "f4"), True), "b": BatchEvidence(np.zeros(3, "f4"), True)})
    with closing(sqlite3.connect(Workspace(tmp_path).database)) as db, db:
        db.execute("INSERT INTO keys (key) VALUES ('other')")
        other = db.execute("SELECT id FROM keys WHERE key = 'other'").fetchone()[0]
        rewrite(db, "cell", "a", cell=other)
    assert store.read("other", ["a"]) == {}
    assert store.damaged == {("other", "a")}
    assert store.read("cell", ["a", "b"]).keys() == {"b"}


def test_a_digest_tells_what_a_row_is_of_and_what_it_says():
    row = ("cell", "batch", 2, 1, b"12345678", None)
    others = [("cel", "lbatch", *row[2:]), (*row[:2], 1, 2, *row[4:]), (*row[:4], b"1234567", b"8"), (*row[:5], b"")]
    assert len({seal(*one) for one in (row, *others)}) == 5


def test_slices_of_a_damaged_cell_are_refused(conv, tmp_path):
    report = sweep(conv, workspace=tmp_path, **REQUEST)
    runs, cell = RunStore(Workspace(tmp_path)), report.cells[0]
    damage_rows(runs.workspace, flipped, where=f"cell = '{cell.evidence}'")
    with pytest.raises(SecateurError, match=r"1 measurement.* damaged on disk .*sweep again"):
        slice_drops(EvidenceStore(runs.workspace), runs.get(report.run).result, cell.evidence, "class")


def scores(*values):
    return BatchEvidence(np.array(values, "f4"), True)


def test_merging_leaves_damaged_evidence_there_and_counts_it(tmp_path, capsys):
    here, there = Workspace(tmp_path / "here"), Workspace(tmp_path / "there")
    EvidenceStore(there).add("cell", {"a": scores(1), "b": scores(2), "c": scores(3)})
    damage_rows(there, zeroed, n=2)
    merged = merge(here, there.folder)
    assert (merged.added, merged.known, merged.damaged) == (1, 0, 2)
    assert EvidenceStore(here).read("cell", ["a", "b", "c"]).keys() == {"c"}
    from core.cli.merge import _tell

    _tell(merged)
    assert "2 measurements are damaged there" in capsys.readouterr().out


def test_merging_mends_what_is_damaged_here(tmp_path):
    here, there = Workspace(tmp_path / "here"), Workspace(tmp_path / "there")
    for one in (here, there):
        EvidenceStore(one).add("cell", {"a": scores(1), "b": scores(2)})
    damage_rows(here, zeroed)
    merged = merge(here, there.folder)
    assert (merged.added, merged.differing, merged.damaged) == (1, 0, 0)
    found = EvidenceStore(here).read("cell", ["a", "b"])
    assert [found[batch].scores.tolist() for batch in "ab"] == [[1.0], [2.0]]


def of_version_4(folder, *rows):
    folder.mkdir(exist_ok=True)
    with closing(sqlite3.connect(folder / "secateur.sqlite")) as db, db:
        for step in STEPS[:4]:
            db.executescript(step)
        db.executemany("INSERT INTO evidence VALUES (?, ?, ?, ?, ?, ?)", rows)
        db.execute("PRAGMA user_version = 4")


OLD = [
    ("cell", "sound", 2, 1, np.array([0, 1], "<f4").tobytes(), None),
    ("cell", "short", 2, 1, bytes(4), None),
    ("cell", "flag", 2, 7, bytes(8), None),
    ("cell", "weights", 2, 1, bytes(8), bytes(4)),
    ("cell", "range", 2, 1, np.array([0, 1e30], "<f4").tobytes(), None),
]
ACCURACY = Scale("accuracy", "fraction", True, 0.0, 1.0)


def test_rows_of_an_older_build_are_served_unless_they_contradict_themselves_or_their_metric(tmp_path):
    of_version_4(tmp_path, *OLD)
    store = EvidenceStore(Workspace(tmp_path))
    found = store.read("cell", [row[1] for row in OLD], ACCURACY)
    assert found.keys() == {"sound"}
    assert len(store.damaged) == 4
    assert EvidenceStore(Workspace(tmp_path)).read("cell", ["range"]).keys() == {"range"}  # nobody said what it may be


def test_rows_of_an_older_build_are_merged_unless_they_contradict_themselves(tmp_path):
    of_version_4(tmp_path / "there", *OLD)
    here = Workspace(tmp_path / "here")
    merged = merge(here, tmp_path / "there")
    assert (merged.added, merged.damaged) == (2, 3)
    assert EvidenceStore(here).read("cell", [row[1] for row in OLD], ACCURACY).keys() == {"sound"}


def test_a_dense_score_that_is_no_number_is_damaged(tmp_path):
    store = EvidenceStore(Workspace(tmp_path))
    store.add("cell", {"a": scores(float("nan"))})
    assert store.read("cell", ["a"]).keys() == {"a"}  # a cut may do that
    assert store.read("cell", ["a"], dense=True) == {}


def test_a_metric_that_declares_its_range_never_serves_a_score_outside_of_it(conv, tmp_path):
    conv = replace(conv, metric=accuracy())
    first = sweep(conv, workspace=tmp_path, **REQUEST)
    with closing(sqlite3.connect(Workspace(tmp_path).database)) as db, db:  # damaged before anybody sealed it
        cell, batch, n = db.execute("SELECT cell, batch, n FROM evidence WHERE changed = 1").fetchone()
        rewrite(db, cell, batch, scores=huge(bytes(4 * n)))
        reseal(db)
    again = sweep(conv, workspace=tmp_path, **REQUEST)
    assert (again.cells, again.n_damaged) == (first.cells, 1)


def test_letters_that_are_no_text_any_more_do_not_stop_a_sweep(measured):
    workload, workspace, first = measured
    with closing(sqlite3.connect(workspace.database)) as db, db:
        batch = db.execute("SELECT batch FROM evidence WHERE changed = 1").fetchone()[0]
        db.execute("UPDATE keys SET key = CAST(x'ff00fe' AS TEXT) WHERE key = ?", (batch,))
    assert sweep(workload, workspace=workspace.folder, **REQUEST).cells == first.cells
