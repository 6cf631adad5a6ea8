"""The workspace: one folder, and clear words when it cannot be used."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from core import Cut, SecateurError, SparsityPlan
from core.jobs.known.plan_book import PlanBook
from core.workspace import PAGE_BYTES, VERSION, Workspace, folder
from core.workspace import schema as tables
from core.workspace.rows import unpacked
from tests.scales import ACCURACY


def test_a_workspace_is_made_where_there_is_none(tmp_path):
    made = Workspace(tmp_path / "a" / "b")
    assert made.database.is_file()
    with made.connect() as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == VERSION
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_opening_it_again_keeps_what_is_in_it(tmp_path):
    with Workspace(tmp_path).write() as db:
        db.execute("INSERT INTO drafts VALUES ('w', 'p')")
    with Workspace(tmp_path).connect() as db:
        assert tuple(db.execute("SELECT * FROM drafts").fetchone()) == ("w", "p")


def test_a_write_is_whole_or_not_at_all(tmp_path):
    def fail_halfway():
        with Workspace(tmp_path).write() as db:
            db.execute("INSERT INTO drafts VALUES ('w', 'p')")
            raise KeyError

    with pytest.raises(KeyError):
        fail_halfway()
    with Workspace(tmp_path).connect() as db:
        assert db.execute("SELECT count(*) FROM drafts").fetchone()[0] == 0


def test_a_workspace_of_a_newer_version_is_left_alone(tmp_path):
    with closing(sqlite3.connect(Workspace(tmp_path).database)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = (tmp_path / "secateur.sqlite").read_bytes()
    with pytest.raises(
        SecateurError, match=rf"newer Secateur .version {VERSION + 1}, this one reads {VERSION}.; upgrade"
    ):
        Workspace(tmp_path)
    assert (tmp_path / "secateur.sqlite").read_bytes() == before


VERSION_1 = Path(__file__).parent / "workspace-version-1.sqlite"  # written by Secateur of version 1: a finished sweep


def schema(folder):
    with Workspace(folder).connect() as db:
        return [tuple(row) for row in db.execute("SELECT name, sql FROM sqlite_master WHERE sql NOTNULL ORDER BY name")]


def test_a_workspace_of_version_1_is_brought_up_to_date_and_keeps_what_is_in_it(tmp_path):
    (tmp_path / "old").mkdir()
    shutil.copy(VERSION_1, tmp_path / "old" / "secateur.sqlite")
    tables = ("workloads", "evidence", "runs", "cells", "drafts")

    def content(database):
        with closing(sqlite3.connect(database)) as db:
            found = {
                table: db.execute(f"SELECT {', '.join(columns[table])} FROM {table}").fetchall() for table in tables
            }
        found["evidence"] = sorted(  # packed since
            (*row[:4], unpacked(row[4], row[2]).tobytes(), row[5]) for row in found["evidence"]
        )
        return found

    with closing(sqlite3.connect(VERSION_1)) as db:
        columns = {table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")] for table in tables}
    before = content(tmp_path / "old" / "secateur.sqlite")
    assert schema(tmp_path / "old") == schema(tmp_path / "new")
    with Workspace(tmp_path / "old").connect() as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == VERSION
    assert content(tmp_path / "old" / "secateur.sqlite") == before
    assert [len(rows) for rows in before.values()] == [1, 20, 1, 4, 1]
    kept = tmp_path / "old" / "secateur-version-1.sqlite"  # which the older build can still open
    with closing(sqlite3.connect(kept)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 1
    assert content(kept) == before
    assert not list((tmp_path / "new").glob("*-version-*"))


def test_a_workspace_of_version_2_keeps_its_draft_and_its_runs_whose_plans_are_in_the_book(tmp_path):
    plan, draft = (SparsityPlan((Cut("fc", "weight", sparsity),)) for sparsity in (0.5, 0.9))
    one = {"value": 0.9, "low": 0.8, "high": 1.0, "n": 10}
    found = {
        "metric": asdict(ACCURACY), "dense": one, "pruned": one, "drop": {**one, "value": 0.0}, "n_removed": 8,
        "n_weights": 16, "state": "measured", "reason": None, "layers": [], "model": "f",
    }  # fmt: skip
    with closing(sqlite3.connect(tmp_path / "secateur.sqlite")) as db:
        for step in tables.STEPS[:2]:
            db.executescript(step)
        db.execute("INSERT INTO drafts VALUES ('m', ?)", (draft.to_json(),))
        db.execute(
            "INSERT INTO runs (id, kind, workload, request, state, created, ended, result) "
            "VALUES ('abcd1234', 'measure', 'm', ?, 'finished', 1, 2, ?)",
            (json.dumps({"plan": plan.to_document(), "samples": "all"}), json.dumps(found)),
        )
        db.execute("PRAGMA user_version = 2")
        db.commit()
    book = PlanBook(Workspace(tmp_path))
    assert schema(tmp_path) == schema(tmp_path / "new")
    (measured,) = book.measured("m")
    assert (measured.kept.plan, measured.kept.made_by, measured.result.run) == (plan, None, "abcd1234")
    assert (book.drafts.present("m"), book.drafts.can_undo("m")) == (draft, False)
    book.drafts.save("m", plan)
    assert book.drafts.undo("m") == draft


@pytest.mark.process
def test_two_processes_that_open_an_old_workspace_at_once_bring_it_up_to_date_once(tmp_path):
    shutil.copy(VERSION_1, tmp_path / "secateur.sqlite")
    code = "import sys; from core.workspace import Workspace; input(); Workspace(sys.argv[1])"
    started = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in started:
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [process.communicate()[1] for process in started] == [b""] * 3
    assert schema(tmp_path) == schema(tmp_path / "new")


def test_an_update_that_fails_half_way_leaves_the_old_version(tmp_path, monkeypatch):
    shutil.copy(VERSION_1, tmp_path / "secateur.sqlite")
    monkeypatch.setattr(folder, "STEPS", (tables.STEPS[0], tables.STEPS[1] + "CREATE TABLE;\n"))
    with pytest.raises(SecateurError, match="cannot be used"):
        Workspace(tmp_path)
    with closing(sqlite3.connect(tmp_path / "secateur.sqlite")) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 1
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'batches'").fetchone()[0] == 0
    monkeypatch.undo()
    Workspace(tmp_path)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root, who may write anywhere
    with pytest.raises(SecateurError, match="is read-only; choose another with --workspace"):
        Workspace(tmp_path)


def left_as_it_was(folder):
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


def test_a_workspace_that_may_not_be_written_is_looked_at_and_left_as_it_is(tmp_path, monkeypatch):
    with Workspace(tmp_path).write() as db:
        db.execute("INSERT INTO drafts VALUES ('w', 'p')")
    before = left_as_it_was(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    workspace = Workspace(tmp_path)
    assert workspace.read_only
    with workspace.connect() as db:
        assert db.execute("SELECT plan FROM drafts").fetchone()["plan"] == "p"
    with pytest.raises(SecateurError, match="it can be looked at, but nothing can be measured"), workspace.write():
        pass
    assert not workspace.subfolder("bundles").exists()
    assert left_as_it_was(tmp_path) == before


def test_what_another_has_just_written_is_seen_in_a_workspace_that_is_only_looked_at(tmp_path, monkeypatch):
    writer = Workspace(tmp_path)
    with writer.connect() as stays_open:  # so that its log is not tidied away
        stays_open.execute("SELECT count(*) FROM drafts").fetchone()
        with writer.write() as db:
            db.execute("INSERT INTO drafts VALUES ('w', 'new')")
        assert (tmp_path / "secateur.sqlite-wal").stat().st_size > 0
        monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
        with Workspace(tmp_path).connect() as db:
            assert db.execute("SELECT plan FROM drafts").fetchone()["plan"] == "new"
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                db.execute("DELETE FROM drafts")
            db.rollback()
        assert stays_open.execute("SELECT count(*) FROM drafts").fetchone()[0] == 1


def test_an_older_workspace_that_may_not_be_written_says_to_open_a_copy(tmp_path, monkeypatch):
    with Workspace(tmp_path).connect() as db:
        db.execute("PRAGMA user_version = 1")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(SecateurError, match=r"older Secateur .*copy the folder and open the copy"):
        Workspace(tmp_path)


def test_a_database_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    Workspace(tmp_path)
    connect = sqlite3.connect

    def read_only(path, **options):
        return connect(f"{path}?mode=ro", **options)

    monkeypatch.setattr(sqlite3, "connect", read_only)
    with (
        pytest.raises(SecateurError, match=r"is read-only or cannot be opened .*; choose another with --workspace"),
        Workspace(tmp_path).write() as db,
    ):
        db.execute("INSERT INTO drafts VALUES ('w', 'p')")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SecateurError, match=r"cannot make the workspace .*; choose another with --workspace"):
        Workspace(tmp_path / "file")


def test_a_workspace_locked_by_another_process_says_so_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "LOCK_SECONDS", 0.05)
    with closing(sqlite3.connect(Workspace(tmp_path).database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with (
            pytest.raises(SecateurError, match=r"locked by another process .* stop that process or wait"),
            Workspace(tmp_path).write(),
        ):
            pass


@pytest.mark.parametrize("damage", ["text", "truncated", "overwritten"])
def test_a_damaged_database_says_what_to_do(tmp_path, damage):
    made = Workspace(tmp_path)
    with made.write() as db:
        db.executemany("INSERT INTO drafts VALUES (?, ?)", [(str(i), "x" * 500) for i in range(200)])
    with closing(sqlite3.connect(made.database)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = made.database.read_bytes()
    if damage == "text":
        made.database.write_bytes(b"this is not a database, but a letter" * 200)
    elif damage == "truncated":
        made.database.write_bytes(content[: len(content) // 2])
    else:
        made.database.write_bytes(content[:PAGE_BYTES] + b"\x07" * (len(content) - PAGE_BYTES))

    def use():
        with Workspace(tmp_path).connect() as db:
            db.execute("SELECT * FROM drafts").fetchall()

    with pytest.raises(SecateurError, match=r"is damaged .*; move secateur.sqlite away, or choose another"):
        use()


def test_another_program_s_database_is_not_taken_over(tmp_path):
    with closing(sqlite3.connect(tmp_path / "secateur.sqlite")) as db:
        db.execute("CREATE TABLE runs (mine)")
    with pytest.raises(SecateurError, match=r"cannot be used .*move secateur.sqlite away"):
        Workspace(tmp_path)
    with closing(sqlite3.connect(tmp_path / "secateur.sqlite")) as db:
        assert [row[0] for row in db.execute("SELECT name FROM sqlite_master")] == ["runs"]


@pytest.mark.parametrize(
    ("text", "name", "free", "said"),
    [
        ("out of memory", "SQLITE_NOMEM", 1 << 40, "not enough memory"),
        ("disk I/O error", "SQLITE_IOERR_NOMEM", 1 << 40, "not enough memory"),
        ("disk I/O error", "SQLITE_IOERR_SHMMAP", 1 << 40, "the disk fails, or memory is short"),
        ("disk I/O error", "SQLITE_IOERR_WRITE", 0, "is full or failing"),
        ("database or disk is full", "SQLITE_FULL", 1 << 40, "is full or failing"),
    ],
)
def test_short_memory_is_not_told_as_a_full_disk(tmp_path, monkeypatch, text, name, free, said):
    workspace = Workspace(tmp_path)
    monkeypatch.setattr(Workspace, "_free_bytes", lambda self: free)
    error = sqlite3.OperationalError(text)
    error.sqlite_errorname = name
    assert said in workspace.explained(error)
