"""One damaged row is named and left out, and the rest of every listing is shown."""

import json

import pytest

from core.cli import main
from core.errors import SecateurError
from core.jobs.known import left_out
from core.jobs.known.plan_book import PlanBook
from core.jobs.runs import RunStore
from core.plans.plan import Cut, SparsityPlan
from core.workspace import Workspace
from tests.core.cli.running import secateur

PLAN = SparsityPlan((Cut("fc1", "weight", 0.5),), "w")
ESTIMATE = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 10}
MEASURED = {
    "metric": {"name": "accuracy", "unit": "%", "higher_is_better": True, "low": 0.0, "high": 1.0},
    "state": "measured", "reason": None, "dense": ESTIMATE, "pruned": ESTIMATE, "drop": ESTIMATE,
    "n_removed": 1, "n_weights": 2, "model": "m",
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_yet():
    left_out.forget()
    yield
    left_out.forget()


@pytest.fixture
def runs(tmp_path):
    store = RunStore(Workspace(tmp_path))
    for i in range(3):
        store.note_finished("profile", "w", {"plan": None, "i": i}, {}, 1.0)
    return store


def damage(runs, sql, *values):
    with runs.workspace.write() as db:
        assert db.execute(sql, values).rowcount == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("request", "[]"), ("request", "{"), ("request", '"' * 3), ("request", "[" * 100_000), ("result", "[]"),
        ("result", "{"), ("kind", "?"), ("state", "?"), ("created", float("inf")), ("ended", float("-inf")),
    ],
)  # fmt: skip
def test_a_damaged_run_is_named_and_the_others_are_listed(runs, column, value, capsys):
    bad = runs.list()[1].id
    damage(runs, f"UPDATE runs SET {column} = ? WHERE id = ?", value, bad)
    assert len(runs.list()) == 2
    assert f"run {bad} is damaged and left out (" in left_out.line()
    assert left_out.line().count(bad) == 1
    assert runs.active() == ()
    assert runs.ended_since(0.0) is not None
    with pytest.raises(SecateurError, match=f"run {bad} is damaged .*check --mend"):
        runs.get(bad)
    left_out.forget()
    with pytest.raises(SystemExit) as ended:
        main(["runs", "--json", "--workspace", str(runs.workspace.folder)])
    said = capsys.readouterr()
    assert ended.value.code == 0
    assert len(json.loads(said.out)) == 2
    assert bad in said.err
    assert "check --mend" in said.err
    assert said.err.count("\n") == 1


def test_a_measured_plan_without_its_numbers_hides_no_other(runs):
    for i in (1, 2):
        plan = SparsityPlan((Cut("fc1", "weight", i / 10),), "w")
        runs.note_finished("measure", "w", {"plan": plan.to_document()}, MEASURED, 1.0)
    book = PlanBook(runs.workspace)
    assert len(book.all("w")) == 2
    bad = runs.list("measure")[0].id
    damage(runs, "UPDATE runs SET result = ? WHERE id = ?", json.dumps({"model": "m"}), bad)
    assert len(book.all("w")) == 1
    assert bad in left_out.line()
    assert len(runs.list("measure")) == 1


def test_damaged_plans_models_drafts_and_rules_are_left_out(runs):
    book = PlanBook(runs.workspace)
    book.keep("w", PLAN, "hand")
    other = SparsityPlan((Cut("fc1", "weight", 0.9),), "w")
    book.keep("w", other, "hand")
    book.drafts.save("w", PLAN)
    book.drafts.save_rules("w", {"a": 1})
    damage(runs, "UPDATE plans SET document = '{}' WHERE plan = ?", PLAN.fingerprint())
    assert [one.plan for one in book.all("w")] == [other]
    assert "kept plan" in left_out.line()
    damage(runs, "UPDATE drafts SET plan = '[1]'")
    assert book.drafts.present("w").cuts == ()
    damage(runs, "UPDATE rules SET document = '[1]'")
    assert book.drafts.rules("w") == {}
    damage(runs, "INSERT INTO workloads VALUES ('x', '{\"ref\": 1}', 1.0)")
    assert runs.descriptions() == {}
    assert runs.description("x") is None


@pytest.mark.parametrize("step", ["save", "undo"])
def test_a_damaged_plan_that_is_being_made_is_set_aside_before_it_is_written_over(runs, step):
    drafts = PlanBook(runs.workspace).drafts
    drafts.save("w", PLAN)
    drafts.save_rules("w", {"a": 1})
    damage(runs, "UPDATE drafts SET plan = 'a week of work'")
    assert drafts.save("w", PLAN) is None if step == "save" else drafts.undo("w") is not None
    assert "what the plan being made for w was is damaged" in left_out.line() or "1 more" in left_out.line()
    (note,) = (runs.workspace.folder / "quarantine").rglob("note.json")
    (row,) = json.loads(note.read_text())["rows"]
    assert row["row"] == {"workload": "w", "plan": "a week of work"}
    damage(runs, "UPDATE rules SET document = '{1'")
    drafts.save_rules("w", {"a": 2})
    drafts.save("w", SparsityPlan((), "w"))  # sound by now: nothing more is set aside
    kept = [json.loads(one.read_text())["rows"] for one in (runs.workspace.folder / "quarantine").rglob("note.json")]
    assert sorted(rows[0]["place"] for rows in kept) == ["drafts", "rules"]


def test_what_is_mended_is_told_of_no_longer(monkeypatch):
    left_out.note("run 1", KeyError("measured"))
    left_out.note("run 2", KeyError("measured"))
    assert left_out.line(10).startswith("run 1 is damaged and left out and 1 more (KeyError: 'measured')")
    moment = left_out.time.monotonic()
    monkeypatch.setattr(left_out.time, "monotonic", lambda: moment + 11)
    assert left_out.line(10) is None


def test_a_command_says_nothing_of_rows_that_were_left_out_before_it_began(runs, tmp_path):
    left_out.note("run 3f2a91bc", ValueError("of another workspace"))
    assert secateur("runs", "--workspace", tmp_path).stderr == ""
    damage(runs, "UPDATE runs SET kind = '?' WHERE id = ?", runs.list()[0].id)
    assert secateur("runs", "--workspace", tmp_path).stderr.count("is damaged and left out") == 1
