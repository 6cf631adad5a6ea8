"""`secateur check` names what is damaged in a workspace, and with --mend sets it aside and deletes nothing."""

import json
import sqlite3

import numpy as np
import pytest

from core.jobs.checking.examined import KEYS, examine
from core.jobs.checking.quarantine import set_aside
from core.jobs.known.plan_book import PlanBook
from core.jobs.runs import RunStore
from core.plans.plan import Cut, SparsityPlan
from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.sensitivity.report import CellResult
from core.workspace import Workspace
from tests.core.cli.running import document_of, refused, secateur

SCALE = {"name": "accuracy", "unit": "fraction", "higher_is_better": True, "low": 0.0, "high": 1.0}


@pytest.fixture
def workspace(tmp_path):
    """One row in each table."""
    here = Workspace(tmp_path / "ws")
    runs, book = RunStore(here), PlanBook(here)
    run, _ = runs.submit("sweep", "w", {})
    cut = Cut("fc1", sparsity=0.5)
    runs.set_cells(run.id, [CellResult(cut, 1, 2), CellResult(Cut("fc2", sparsity=0.5), 1, 2)])
    runs.update(run.id, state="finished", result={"scale": SCALE, "model": "m", "batches": ["b1"]}, done=2, ended=2.0)
    store = EvidenceStore(here, "loss")
    found = BatchEvidence(np.float32([0.25, 1]), True, None, losses=np.float32([1, 2]))
    store.add("c1", {"b1": found, "b2": found})
    store.add_batch("b1", [0, 1], {"class": ["x", "y"]})
    book.keep("w", SparsityPlan((cut,)), "hand")
    book.drafts.save("w", SparsityPlan((cut,)))
    book.drafts.save_rules("w", {"a": 1})
    return here


def damage(here, sql, *values):
    with here.write() as db:
        assert db.execute(sql, values).rowcount >= 1


DAMAGES = {
    "runs": "UPDATE runs SET request = '[]'",
    "cells": "UPDATE cells SET cell = '[]' WHERE position = 1",
    "workloads": "INSERT INTO workloads VALUES ('x', '{}', 1.0)",
    "plans": "UPDATE plans SET document = '{}'",
    "predictions": "INSERT INTO predictions VALUES ('w', 'p', 'm', 1.0, 1, '{}')",
    "drafts": "UPDATE drafts SET plan = '{'",
    "draft_steps": "UPDATE draft_steps SET plan = '{' WHERE position = 0",
    "rules": "UPDATE rules SET document = '[]'",
    "evidence": "UPDATE evidence_rows SET scores = zeroblob(8) WHERE batch = (SELECT id FROM keys WHERE key = 'b1')",
    "losses": "UPDATE loss_rows SET values_ = zeroblob(8) WHERE batch = (SELECT id FROM keys WHERE key = 'b1')",
    "batches": "UPDATE batches SET columns = '{}'",
}


def test_a_sound_workspace_is_called_sound_and_stays_as_it_is(workspace):
    before = workspace.database.read_bytes()
    found = examine(workspace)
    assert found.is_sound
    assert found.rows == {**dict.fromkeys(KEYS, 1), "cells": 2, "draft_steps": 2, "evidence": 2, "losses": 2,
                          "workloads": 0, "predictions": 0}  # fmt: skip
    assert workspace.database.read_bytes() == before
    said = secateur("check", "--workspace", workspace.folder)
    assert said.exit_code == 0
    assert "All of it is sound." in said.stdout
    assert secateur("check", "--mend", "--workspace", workspace.folder).exit_code == 0
    assert not (workspace.folder / "quarantine").exists()


@pytest.mark.parametrize("table", KEYS)
def test_a_damaged_row_is_named_set_aside_and_kept(workspace, table):
    damage(workspace, DAMAGES[table])
    (one,) = examine(workspace).damages
    assert one.place == table
    assert one.again
    line = secateur("check", "--workspace", workspace.folder)
    assert line.exit_code == 2
    assert f"Damaged: {one.title}: " in line.stdout
    assert "check --mend" in line.stderr
    found = document_of("check", "--mend", "--workspace", workspace.folder)
    note = json.loads((workspace.folder / found["quarantine"]).read_text())
    assert [row["place"] for row in note["rows"]] == [table]
    assert set(note["rows"][0]["row"]) >= set(KEYS[table])
    again = examine(workspace)
    assert again.is_sound
    assert again.rows[table] == (1 if table in ("cells", "draft_steps", "evidence", "losses") else 0)


def test_a_run_of_whose_map_a_cell_goes_can_be_resumed(workspace):
    damage(workspace, DAMAGES["cells"])
    (run,) = RunStore(workspace).list("sweep")
    found = set_aside(workspace, examine(workspace))
    assert found.runs == (run.id,)
    assert RunStore(workspace).get(run.id).state == "interrupted"


def test_evidence_names_the_runs_that_rest_on_it(workspace):
    damage(workspace, DAMAGES["evidence"])
    (run,) = RunStore(workspace).list("sweep")
    assert examine(workspace).runs == (run.id,)
    set_aside(workspace, examine(workspace))
    assert set(EvidenceStore(workspace).read("c1", ["b1", "b2"])) == {"b2"}


def test_damaged_files_are_moved_as_they_are(workspace):
    folder = workspace.folder / "recoveries" / ("0" * 32)
    folder.mkdir(parents=True)
    (folder / "round-1.safetensors").write_bytes(b"none")
    found = set_aside(workspace, examine(workspace))
    assert [one.place for one in found.damages] == ["recoveries"]
    assert not (folder / "round-1.safetensors").exists()
    (kept,) = (workspace.folder / "quarantine").rglob("round-1.safetensors")
    assert kept.read_bytes() == b"none"
    assert examine(workspace).is_sound


def test_logs_are_examined_and_moved_too(workspace):
    logs = workspace.subfolder("logs")
    (logs / "1a2b3c4d.log").write_text("Waiting\n")
    (logs / "5e6f7a8b.log").write_bytes(b"Wait" + bytes(4096))
    found = set_aside(workspace, examine(workspace))
    assert [(one.place, one.title) for one in found.damages] == [("logs", "logs/5e6f7a8b.log")]
    assert [path.name for path in logs.iterdir()] == ["1a2b3c4d.log"]
    assert examine(workspace).files == 1


def test_a_file_where_the_folder_of_logs_should_be_is_moved_away(workspace):
    (workspace.folder / "logs").write_text("mine")
    (one,) = examine(workspace).damages
    assert "no worker can be started" in one.why
    set_aside(workspace, examine(workspace))
    assert workspace.subfolder("logs").is_dir()
    assert [path.read_text() for path in (workspace.folder / "quarantine").rglob("logs")] == ["mine"]


def test_what_there_is_one_of_is_told_as_one(workspace):
    said = secateur("check", "--workspace", workspace.folder).stdout
    assert "1 run, 2 cells, 1 plan, 1 plan being made, 2 steps of these, 1 set of rules, 2 measurements" in said
    assert "2 rows of losses, 1 batch; 0 files of bundles" in said
    damage(workspace, DAMAGES["cells"])
    said = secateur("check", "--workspace", workspace.folder).stdout
    (run,) = RunStore(workspace).list("sweep")
    assert f"Of run {run.id}: `secateur resume`, or ask for it again." in said
    workspace.subfolder("logs").joinpath("a.log").write_text("")
    assert "; 1 file of bundles" in secateur("check", "--workspace", workspace.folder).stdout


def test_nothing_is_set_aside_while_a_run_is_at_work(workspace):
    damage(workspace, DAMAGES["rules"])
    RunStore(workspace).submit("sweep", "other", {})
    assert "is at work" in refused("check", "--mend", "--workspace", workspace.folder)
    assert len(examine(workspace).damages) == 1


@pytest.mark.parametrize("seed", range(20))
def test_flipped_bytes_end_no_command_with_a_traceback(workspace, seed):
    with sqlite3.connect(workspace.database) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(workspace.database.read_bytes())
    for at in np.random.default_rng(seed).integers(100, len(content), 40):
        content[at] ^= 1 << int(at % 8)
    workspace.database.write_bytes(content)
    for words in (("check",), ("runs",), ("plans", "w"), ("check", "--mend"), ("check",)):
        said = secateur(*words, "--workspace", workspace.folder)
        assert said.exit_code in (0, 2), said.exception
        assert "unexpected" not in said.stderr, said.stderr
