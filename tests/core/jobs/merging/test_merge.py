"""Merged from many workspaces = measured by one; nothing is silently replaced, the other is never changed."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import core
from core import Cut, SecateurError, SparsityPlan
from core.jobs.drafts import Drafts
from core.jobs.known.plan_book import PlanBook
from core.jobs.merging import merge as merge_module
from core.jobs.merging import taken_evidence
from core.jobs.merging.merge import merge
from core.jobs.runs import RunStore
from core.jobs.submissions import plan_submission
from core.jobs.worker import execute
from core.plans.prediction import Prediction
from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.sensitivity.slices import slice_drops
from core.workspace import PAGE_BYTES, VERSION, Workspace, folder
from core.workspace.rows import put_evidence

VERSION_1 = Path(__file__).parents[2] / "workspace-version-1.sqlite"
TABLES = (
    "workloads", "evidence", "losses", "runs", "cells", "drafts", "batches",
    "plans", "predictions", "draft_steps", "draft_cursors", "rules",
)  # fmt: skip


@pytest.fixture
def here(tmp_path):
    return Workspace(tmp_path / "here")


@pytest.fixture
def there(tmp_path):
    return Workspace(tmp_path / "there")


def scores(*values, changed=True, weights=None):
    return BatchEvidence(np.array(values, "f4"), changed, None if weights is None else np.array(weights, "f4"))


def content(made):
    with made.connect() as db:
        return {table: {tuple(row) for row in db.execute(f"SELECT * FROM {table}")} for table in TABLES}


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def run_in(made, kind="sweep", ref="m", request=None, **columns):
    runs = RunStore(made)
    run, _ = runs.submit(kind, ref, request or {})
    runs.update(run.id, **{"state": "finished", "result": {}, **columns})
    return run.id


def test_merged_from_two_machines_is_measured_by_one(net_file, tmp_path, here):
    """The product's promise: halves measured apart, then a sweep of the whole computes nothing but the dense model."""
    for name, layers in (("a", "fc1"), ("b", "fc2")):
        core.sweep(str(net_file), layers=layers, sparsities=(0.5, 0.9), workspace=tmp_path / name)
        merge(here, tmp_path / name)
    merged = core.sweep(str(net_file), sparsities=(0.5, 0.9), workspace=here.folder)
    alone = core.sweep(str(net_file), sparsities=(0.5, 0.9), workspace=tmp_path / "alone")
    run = RunStore(here).get(merged.run)
    assert (run.reused, run.done, run.total) == (20, 20, 20)  # 4 cells on 5 batches
    assert merged.cells == alone.cells
    assert merged.dense == alone.dense
    assert content(here)["evidence"] == content(Workspace(tmp_path / "alone"))["evidence"]


def test_a_tree_of_merges_gives_what_merging_one_after_the_other_does(tmp_path, here):
    """Where many shards are merged, machines can each merge some of them first."""
    rng = np.random.default_rng(0)
    common = BatchEvidence(np.float32([1, 0]), False, np.float32([1, 2]), losses=np.float32([3, 4]))
    for i, name in enumerate("abcd"):
        store = EvidenceStore(Workspace(tmp_path / name), "loss", origin=json.dumps({"host": name}))
        own = BatchEvidence(rng.random(2, "f4"), True, np.float32([1, 2]), losses=rng.random(2, "f4"))
        store.add("dense", {"batch": common})
        store.add(f"cell{i}", {"batch": own})
        run_in(Workspace(tmp_path / name), ref=name)
        merge(here, tmp_path / name)
    for left, right in (("a", "b"), ("c", "d"), ("a", "c")):
        merge(Workspace(tmp_path / left), tmp_path / right)
    tree = content(Workspace(tmp_path / "a"))
    assert {table: len(rows) for table, rows in tree.items() if rows} == {"evidence": 5, "losses": 5, "runs": 4}
    assert tree == content(here)


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "a", "b"), ("b", "a", "b", "c", "c")])
def test_order_and_repetition_do_not_matter(tmp_path, here, order):
    for i, name in enumerate("abc"):
        EvidenceStore(Workspace(tmp_path / name)).add("cell", {f"batch{i}": scores(i), "common": scores(7)})
    merged = [merge(here, tmp_path / name) for name in order]
    assert {row[1] for row in content(here)["evidence"]} == {"batch0", "batch1", "batch2", "common"}
    assert sum(one.added for one in merged) == 4
    assert all(one.differing == 0 for one in merged)


def test_what_both_have_and_differs_stays_as_it_is_here_and_is_counted(here, there):
    nan = float("nan")
    EvidenceStore(here).add("cell", {"a": scores(1, 0), "b": scores(0.5, nan), "c": scores(2), "d": scores(3)})
    EvidenceStore(there).add(
        "cell", {"a": scores(1, 0), "b": scores(0.75, nan), "c": scores(2, changed=False), "e": scores(4)}
    )
    before = content(here)["evidence"]
    with pytest.raises(SecateurError, match=r"2 measurements .* by up to 0\.25 .* merge with --atol 0\.25"):
        merge(here, there.folder, 0.2)
    assert content(here)["evidence"] == before
    merged = merge(here, there.folder, 0.25)
    assert (merged.added, merged.known, merged.differing, merged.largest_difference) == (1, 3, 2, 0.25)
    assert before < content(here)["evidence"]


def test_two_machines_that_differ_are_named_with_their_threads_and_their_torch(here, there):
    made = [{"host": f"node{k}", "cpu": "some cpu", "threads": k, "torch": f"2.{k}"} for k in (1, 2)]
    for k, (where, value) in enumerate(((here, 0.0), (there, 1.0))):
        EvidenceStore(where, origin=json.dumps(made[k])).add("cell", {"a": scores(value)})
    said = r"node1, some cpu, 1 thread, torch 2\.1; in .*there: node2, some cpu, 2 threads, torch 2\.2\)"
    with pytest.raises(SecateurError, match=said):
        merge(here, there.folder)
    EvidenceStore(there, origin=json.dumps(made[1])).add("cell", {"b": scores(1.0)})
    assert merge(here, there.folder, 1.0).added == 1
    third = Workspace(here.folder.with_name("third"))
    EvidenceStore(third, origin="[1, 2").add(
        "cell", {"b": scores(0.0)}
    )  # what is taken over keeps where it was measured
    with pytest.raises(SecateurError, match=r"nobody noted on which machine; in .*here: node2"):
        merge(third, here.folder)


def test_whether_anything_changed_may_differ_where_no_score_does(here, there):
    EvidenceStore(here).add("cell", {"a": scores(1.0)})
    EvidenceStore(there).add("cell", {"a": scores(1.0, changed=False)})
    assert (merge(here, there.folder).differing, merge(here, there.folder).largest_difference) == (1, 0.0)


@pytest.mark.parametrize("tolerance", [-1.0, float("nan")])
def test_a_tolerance_that_is_none_is_refused(here, there, tolerance):
    with pytest.raises(SecateurError, match="how far two scores of one example may differ"):
        merge(here, there.folder, tolerance)


def test_who_writes_meanwhile_waits_for_a_slice_and_not_for_all(here, there, monkeypatch):
    monkeypatch.setattr(taken_evidence, "SLICE_ROWS", 10)
    EvidenceStore(there).add("cell", {str(i): scores(i) for i in range(100)})
    put, times = taken_evidence.put_evidence, []

    def beside(*args):
        with (
            closing(sqlite3.connect(here.database, timeout=0, isolation_level=None)) as db,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            db.execute("BEGIN IMMEDIATE")
        times.append(content(here)["evidence"])
        return put(*args)

    monkeypatch.setattr(taken_evidence, "put_evidence", beside)
    assert merge(here, there.folder).added == 100
    assert [len(found) for found in times] == [10 * i for i in range(10)]  # what is before it is there for all


@pytest.mark.parametrize("other", [scores(float("nan"), 1), scores(1), scores(1, 1, weights=[1, 2])])
def test_a_difference_that_is_no_number_is_said_to_be_none(here, there, other):
    EvidenceStore(here).add("cell", {"a": scores(1, 1)})
    EvidenceStore(there).add("cell", {"a": other})
    with pytest.raises(SecateurError, match=r"1 measurement .* one is no number, or of another length"):
        merge(here, there.folder)
    merged = merge(here, there.folder, float("inf"))
    assert (merged.differing, merged.largest_difference) == (1, None)
    json.dumps(merged.to_json(), allow_nan=False)


def test_runs_appear_with_their_maps_models_and_drafts_of_here_stay(net_file, tmp_path, here, there):
    report = core.sweep(str(net_file), sparsities=(0.5,), workspace=there.folder)
    mine, theirs = (SparsityPlan((Cut("fc1", "weight", s),)) for s in (0.1, 0.9))
    RunStore(there).save_draft("both", theirs)
    RunStore(there).save_draft("theirs", theirs)
    RunStore(here).save_draft("both", mine)
    merged = merge(here, there.folder)
    assert (merged.runs, merged.models, merged.drafts) == ((report.run,), 1, 1)
    runs = RunStore(here)
    assert runs.report(runs.get(report.run)) == report
    assert runs.get(report.run) == RunStore(there).get(report.run)
    assert runs.descriptions() == RunStore(there).descriptions()
    assert (runs.draft("both"), runs.draft("theirs")) == (mine, theirs)


def plan_of(sparsity):
    return SparsityPlan((Cut("fc1", "weight", sparsity),))


def test_kept_plans_come_with_names_notes_and_predictions_and_what_is_said_here_stays(here, there):
    ours, theirs = PlanBook(here), PlanBook(there)
    both, new, old = (plan_of(sparsity) for sparsity in (0.5, 0.7, 0.9))
    foreseen = Prediction(1.0, 0.8, 0.7, 0.9, 0.1, 0.0, 0.2)
    kept = theirs.keep("m", both, "hand", prediction=foreseen, model="f")
    theirs.keep("m", new, "solver", kept.id, foreseen, "small", model="f")
    theirs.keep("m", old, "file")
    for book, which, name, note in ((theirs, both, "theirs", "a"), (theirs, new, "new", "b"), (ours, both, "", "mine")):
        book.keep("m", which, "file")
        book.rename("m", which.fingerprint(), name)
        book.write_note("m", which.fingerprint(), note)
    merged = merge(here, there.folder)
    assert (merged.plans, merge(here, there.folder).plans) == (2, 0)
    known = {one.plan: one for one in ours.all("m")}
    assert (known[both].name, known[both].note, known[both].made_by) == ("theirs", "mine", "file")
    assert known[both].created == kept.created  # the first of the two
    assert known[new] == theirs.get("m", "new")
    assert known[old] == theirs.get("m", old.fingerprint())
    assert content(here)["predictions"] == content(there)["predictions"]


DAMAGED = {
    "a plan that is none": ("plans", "document = '{}'"),
    "a plan that is no JSON": ("plans", "document = '{'"),
    "the plan of another key": ("plans", "plan = 'f00'"),
    "a plan by nobody": ("plans", "made_by = 'x'"),
    "a goal that is no JSON": ("plans", "goal = 'small'"),
    "a prediction without numbers": ("predictions", "prediction = '{}'"),
    "a prediction that is NaN": ("predictions", "prediction = replace(prediction, '0.8', 'NaN')"),
    "a draft that is none": ("drafts", "plan = '[]'"),
    "a step that is none": ("draft_steps", "plan = '' WHERE position = 1"),
    "rules that are none": ("rules", "document = '3'"),
}


@pytest.mark.parametrize(("table", "change"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_row_is_left_there_and_counted_and_everything_else_comes(here, there, table, change):
    foreseen = Prediction(1.0, 0.8, 0.7, 0.9, 0.1, 0.0, 0.2)
    PlanBook(there).keep("m", plan_of(0.5), "hand", prediction=foreseen, model="f", goal="small")
    for sparsity in (0.1, 0.2):
        Drafts(there).save("m", plan_of(sparsity))
    Drafts(there).save_rules("m", {"locks": ["fc1"]})
    with there.write() as db:
        db.execute(f"UPDATE {table} SET {change}")
    merged = merge(here, there.folder)
    assert merged.skipped == 1
    assert (merged.plans, merged.drafts) == (int(table != "plans"), int(table != "drafts"))
    assert len(content(here)["predictions"]) == int(table != "predictions")
    book = PlanBook(here)
    assert len(book.all("m")) == merged.plans
    assert book.drafts.present("m") == (plan_of(0.2) if merged.drafts else SparsityPlan())
    before = book.drafts.undo("m")
    assert before == (None if table in ("drafts", "draft_steps") else plan_of(0.1))
    assert book.drafts.rules("m") == ({} if table == "rules" else {"locks": ["fc1"]})


def test_a_damaged_plan_says_nothing_of_a_sound_one_that_both_have(here, there):
    for made in (here, there):
        PlanBook(made).keep("m", plan_of(0.5), "hand")
    with there.write() as db:
        db.execute("UPDATE plans SET goal = '{', name = 'x', created = 0")
    before = PlanBook(here).all("m")
    assert merge(here, there.folder).skipped == 1
    assert PlanBook(here).all("m") == before


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_of_two_plans_with_one_name_both_keep_it_and_the_name_alone_says_too_little(tmp_path, here, order):
    for name, sparsity in (("a", 0.5), ("b", 0.7)):
        book = PlanBook(Workspace(tmp_path / name))
        book.keep("m", plan_of(sparsity), "hand")
        book.rename("m", plan_of(sparsity).fingerprint(), "best")
    for name in order:
        merge(here, tmp_path / name)
    with pytest.raises(SecateurError, match=r"2 plans of m are called 'best': .*; give more of the id"):
        PlanBook(here).get("m", "best")
    assert len(PlanBook(here).all("m")) == 2


def test_a_draft_comes_with_what_it_was_before_and_its_rules_unless_there_is_one_here(here, there):
    for ref in ("both", "theirs"):
        for sparsity in (0.1, 0.2):
            Drafts(there).save(ref, plan_of(sparsity))
        Drafts(there).save_rules(ref, {"locks": ["fc1"]})
    Drafts(there).undo("theirs")
    Drafts(here).save("both", plan_of(0.9))
    merge(here, there.folder)
    ours = Drafts(here)
    assert (ours.present("both"), ours.rules("both")) == (plan_of(0.9), {})
    assert (ours.undo("both"), ours.undo("both")) == (SparsityPlan(), None)
    assert (ours.present("theirs"), ours.rules("theirs")) == (plan_of(0.1), {"locks": ["fc1"]})
    assert (ours.redo("theirs"), ours.redo("theirs")) == (plan_of(0.2), None)


def test_a_merged_run_can_be_looked_at_class_by_class(net_file, here, there, with_slices):
    run = core.sweep(str(net_file), sparsities=(0.5,), workspace=there.folder).run
    with_slices(RunStore(there), run)
    merge(here, there.folder)

    def slices(made):
        runs = RunStore(made)
        cell, result = runs.report(runs.get(run)).cells[0], runs.get(run).result
        return slice_drops(EvidenceStore(made), result, cell.evidence, "class")

    assert slices(here) == slices(there) != ()


def test_an_attempt_to_read_a_model_says_nothing_of_this_machine_and_is_left_out(here, there):
    run_in(there, "describe", "/their/model.py", state="failed", error="no such file")
    assert merge(here, there.folder).runs == ()
    assert RunStore(here).workloads() == ()


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_run_that_has_not_ended_there_is_interrupted_here_until_it_is_merged_again(here, there, state):
    run = run_in(there, state=state, done=3, total=9, pid=os.getpid(), pid_started=1.0, result=None)
    assert merge(here, there.folder).unfinished == (run,)
    assert RunStore(here).get(run).state == "interrupted"
    RunStore(there).update(run, state="finished", done=9, result={"dense": None})
    again = merge(here, there.folder)
    assert (again.runs, again.unfinished) == ((run,), ())
    assert (RunStore(here).get(run).state, RunStore(here).get(run).done) == ("finished", 9)
    assert merge(here, there.folder).runs == ()


def test_a_run_that_is_further_or_at_work_here_stays(tmp_path, here):
    ahead = run_in(here, state="cancelled", done=5, total=9)
    shutil.copytree(here.folder, tmp_path / "there")
    there = Workspace(tmp_path / "there")
    RunStore(there).update(ahead, done=4)
    at_work, _ = RunStore(here).submit("sweep", "n", {})
    with there.write() as db:
        db.execute(
            "INSERT INTO runs (id, kind, workload, request, state, created, done) "
            "VALUES (?, 'sweep', 'n', '{}', 'finished', 1.0, 9)", (at_work.id,),
        )  # fmt: skip
    before = content(here)
    assert merge(here, there.folder).runs == ()
    assert content(here) == before


def test_another_run_of_the_same_id_gets_a_new_one_once(here, there):
    run = run_in(here, ref="mine")
    run_in(there, ref="theirs")
    with there.write() as db:
        db.execute("UPDATE runs SET id = ?", (run,))
        db.execute("INSERT INTO cells VALUES (?, 0, '{}')", (run,))
    merged = merge(here, there.folder)
    (new,) = merged.runs
    assert merged.renamed == {run: new}
    assert new != run
    assert (RunStore(here).get(run).workload, RunStore(here).get(new).workload) == ("mine", "theirs")
    assert {row[0] for row in content(here)["cells"]} == {new}
    assert merge(here, there.folder).runs == ()


def test_what_may_not_be_written_is_said_before_a_bundle_is_copied(here, there):
    run_in(there, "export", result={"folder": "bundles/b"})
    (there.subfolder("bundles") / "b").mkdir()
    here.read_only = True
    with pytest.raises(SecateurError, match="is read-only: it can be looked at"):
        merge(here, there.folder)
    assert not (here.folder / "bundles").exists()


@pytest.mark.process
def test_bundles_inside_the_other_workspace_come_along(net_file, here, there):
    runs = RunStore(there)
    plan = SparsityPlan((Cut("fc1", "weight", 0.5),))
    run, _ = runs.submit("export", *plan_submission(str(net_file), plan))
    execute(runs, run.id)
    assert merge(here, there.folder).bundles == 1
    mine, theirs = (RunStore(made).bundle_folder(RunStore(made).get(run.id)) for made in (here, there))
    assert mine.is_relative_to(here.folder)
    assert files(mine) == files(theirs)
    assert mine.with_name(f"{mine.name}.zip").read_bytes() == theirs.with_name(f"{theirs.name}.zip").read_bytes()
    assert {path.name for path in mine.parent.iterdir()} == {mine.name, f"{mine.name}.zip"}  # no drafts
    assert merge(here, there.folder).bundles == 0
    mine.with_name(f"{mine.name}.zip").unlink()  # a merge that was killed between the two
    assert merge(here, there.folder).bundles == 1
    assert mine.with_name(f"{mine.name}.zip").exists()


@pytest.mark.parametrize("name", ["../outside", "/tmp", "bundles/..", "bundles/../../outside", "bundles/gone", None])
def test_only_what_lies_among_the_bundles_is_copied(here, there, tmp_path, name):
    (tmp_path / "outside").mkdir()
    run_in(there, "export", result={"folder": name})
    assert merge(here, there.folder).bundles == 0
    assert [path.name for path in here.folder.iterdir()] == ["secateur.sqlite"]


def test_a_workspace_of_version_1_is_merged_and_stays_of_version_1(tmp_path, here):
    (tmp_path / "old").mkdir()
    shutil.copy(VERSION_1, tmp_path / "old" / "secateur.sqlite")
    merged = merge(here, tmp_path / "old")
    assert (merged.added, len(merged.runs), merged.models, merged.drafts) == (20, 1, 1, 1)
    runs = RunStore(here)
    assert len(runs.report(runs.get(merged.runs[0])).cells) == 4
    assert files(tmp_path / "old") == {Path("secateur.sqlite"): VERSION_1.read_bytes()}


def test_the_other_workspace_is_not_changed_and_nothing_is_left_beside_it(net_file, here, there):
    core.sweep(str(net_file), sparsities=(0.5,), workspace=there.folder)
    before = files(there.folder)
    assert not any(name.name.endswith("-wal") for name in before)
    merge(here, there.folder)
    assert files(there.folder) == before


def test_what_a_writer_has_not_yet_put_into_the_main_file_is_merged_too(here, there):
    with closing(sqlite3.connect(there.database, isolation_level=None)) as writer:
        writer.execute("SELECT * FROM drafts").fetchall()  # the last to close would tidy up
        EvidenceStore(there).add("cell", {"a": scores(1)})
        assert (there.folder / "secateur.sqlite-wal").stat().st_size > 0
        writer.execute("BEGIN IMMEDIATE")  # and is at it again
        writer.execute("INSERT INTO drafts VALUES ('half', 'done')")
        merged = merge(here, there.folder)
    assert (merged.added, merged.drafts) == (1, 0)


@pytest.mark.parametrize("at", ["attach", "copy_bundles", "_take_over"])
def test_a_workspace_that_is_written_to_in_the_middle_is_read_as_it_was_at_one_moment(here, there, monkeypatch, at):
    step, times = getattr(merge_module, at), []

    def interrupted(*args):
        found = step(*args)
        times.append(1)
        with there.write() as db:  # evidence and draft together, or neither
            db.execute("INSERT INTO drafts VALUES (?, ?)", (str(len(times)), SparsityPlan().to_json()))
            put_evidence(db, [("cell", str(len(times)), 0, 0, b"", None)])
        return found

    EvidenceStore(there).add("cell", {"0": scores(1)})
    monkeypatch.setattr(merge_module, at, interrupted)
    merged = merge(here, there.folder)
    assert len(times) == 2  # it was read twice: what nobody should have changed had changed
    assert merged.drafts == merged.added - 1 > 0
    assert content(here)["evidence"] <= content(there)["evidence"]


def test_what_fails_half_way_merges_evidence_alone_and_takes_its_bundles_back(here, there, monkeypatch):
    run_in(there, "export", result={"folder": "bundles/b"})
    (there.subfolder("bundles") / "b").mkdir()
    (there.folder / "bundles" / "b.zip").write_bytes(b"zip")
    EvidenceStore(there).add("cell", {"a": scores(1)})
    before = content(here)
    monkeypatch.setattr(merge_module, "take_runs", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        merge(here, there.folder)
    assert {**content(here), "evidence": set()} == before  # which is right by itself, and merging goes on from it
    assert list((here.folder / "bundles").iterdir()) == []
    monkeypatch.undo()
    merged = merge(here, there.folder)
    assert (merged.added, merged.known, merged.bundles) == (0, 1, 1)


def damaged(database):
    content = database.read_bytes()
    database.write_bytes(content[:PAGE_BYTES] + b"\x07" * (len(content) - PAGE_BYTES))


def newer(database):
    with closing(sqlite3.connect(database)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")


def another(database):
    database.unlink()
    with closing(sqlite3.connect(database)) as db:
        db.execute("CREATE TABLE runs (mine)")


def altered(change):
    def spoil(database):
        with closing(sqlite3.connect(database)) as db:
            db.execute(change)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "there is no workspace at .*; name a folder that holds a secateur.sqlite"),
        (lambda path: path.write_bytes(b"a letter" * 999), r"cannot be read \(file is not a database\): damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:6000]), "damaged"),
        (damaged, "damaged"),
        (lambda path: path.write_bytes(b""), "is not a database of Secateur"),
        (another, "is not a database of Secateur"),
        (newer, f"newer Secateur .version {VERSION + 1}, this one reads {VERSION}.; upgrade secateur"),
        (
            altered("DROP TABLE plans"),
            f"there is damaged: it is of version {VERSION} and has no plans.created; copy it",
        ),
        (altered("ALTER TABLE runs DROP COLUMN total"), "there is damaged: .* has no runs.total; copy it again"),
    ],
    ids=["missing", "text", "truncated", "damaged", "empty", "another", "newer", "no table", "no column"],
)
def test_what_cannot_be_merged_is_refused_and_both_stay_as_they_are(here, there, spoil, message):
    EvidenceStore(there).add("cell", {str(i): scores(*range(300)) for i in range(50)})
    EvidenceStore(here).add("cell", {"mine": scores(1)})
    spoil(there.database)
    before, untouched = content(here), files(there.folder)
    with pytest.raises(SecateurError, match=message):
        merge(here, there.folder)
    assert content(here) == before
    assert files(there.folder) == untouched


def test_a_workspace_is_not_merged_into_itself_whatever_it_is_called(here, tmp_path):
    (tmp_path / "alias").symlink_to(here.folder)
    for name in (here.folder, tmp_path / "alias", here.folder / ".." / "here"):
        with pytest.raises(SecateurError, match="is the workspace to merge into; name another one"):
            merge(here, name)


def test_the_folder_around_a_workspace_is_taken_for_a_slip(here, tmp_path):
    Workspace(tmp_path / "project" / ".secateur")
    with pytest.raises(SecateurError, match=r"did you mean .*project/\.secateur\?"):
        merge(here, tmp_path / "project")


def test_a_locked_workspace_here_says_so(here, there, monkeypatch):
    monkeypatch.setattr(folder, "LOCK_SECONDS", 0.05)
    with closing(sqlite3.connect(here.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SecateurError, match="here is locked by another process"):
            merge(here, there.folder)


def test_names_that_mean_something_in_an_address_are_names_here(tmp_path):
    here, there = Workspace(tmp_path / "100% a?b#c"), Workspace(tmp_path / "x?mode=rwc&y")
    EvidenceStore(there).add("cell", {"a": scores(1)})
    assert merge(here, there.folder).added == 1


def test_a_big_workspace_is_not_held_in_memory(here, there):
    import tracemalloc

    rows = [("cell", f"{i:06}", 2500, 1, bytes(10_000), None) for i in range(2_000)]
    with there.write() as db:
        put_evidence(db, rows)
    del rows
    tracemalloc.start()
    try:
        assert merge(here, there.folder).added == 2_000
        assert tracemalloc.get_traced_memory()[1] < 8_000_000  # of 20 MB: two slices
    finally:
        tracemalloc.stop()
