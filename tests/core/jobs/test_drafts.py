"""Undo and redo on disk, against a list in memory; two writers at once; what older workspaces had."""

import subprocess
import sys
import threading
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import Cut, SecateurError, SparsityPlan
from core.jobs import drafts as drafts_module
from core.jobs.drafts import Drafts
from core.jobs.runs import RunStore
from core.workspace import Workspace


def plan(number):
    return SparsityPlan((Cut("fc", "weight", number / 100),))


@pytest.fixture
def drafts(tmp_path):
    return Drafts(Workspace(tmp_path / "ws"))


def test_the_first_step_can_be_undone_to_the_empty_plan_and_done_again(drafts):
    assert (drafts.can_undo("m"), drafts.can_redo("m"), drafts.undo("m"), drafts.redo("m")) == (
        False,
        False,
        None,
        None,
    )
    drafts.save("m", plan(50))
    assert (drafts.can_undo("m"), drafts.can_redo("m")) == (True, False)
    assert drafts.undo("m") == drafts.present("m") == SparsityPlan()
    assert (drafts.can_undo("m"), drafts.can_redo("m"), drafts.undo("m")) == (False, True, None)
    assert drafts.redo("m") == drafts.present("m") == plan(50)


def test_a_step_after_an_undo_forgets_what_was_undone(drafts):
    for number in (10, 20, 30):
        drafts.save("m", plan(number))
    drafts.undo("m")
    drafts.undo("m")
    drafts.save("m", plan(40))
    assert not drafts.can_redo("m")
    assert [drafts.undo("m"), drafts.undo("m"), drafts.undo("m")] == [plan(10), SparsityPlan(), None]


def test_saving_what_is_there_is_no_step_and_what_was_undone_can_still_be_done_again(drafts):
    drafts.save("m", plan(10))
    drafts.save("m", plan(20))
    drafts.undo("m")
    drafts.save("m", plan(10))
    assert drafts.redo("m") == plan(20)


def test_every_workload_has_a_history_of_its_own(drafts):
    drafts.save("m", plan(10))
    drafts.save("n", plan(20))
    drafts.undo("m")
    assert (drafts.present("n"), drafts.can_redo("n"), drafts.can_redo("m")) == (plan(20), False, True)


class Listed:
    """The same promise in three lines of Python."""

    def __init__(self, most):
        self.steps, self.at, self.most = [SparsityPlan()], 0, most

    def save(self, new):
        if new != self.steps[self.at]:
            self.steps = [*self.steps[: self.at + 1], new][-self.most :]
            self.at = len(self.steps) - 1

    def go(self, by):
        if not 0 <= self.at + by < len(self.steps):
            return None
        self.at += by
        return self.steps[self.at]


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(st.one_of(st.sampled_from(["undo", "redo"]), st.integers(0, 4)), max_size=20))
def test_any_sequence_of_steps_does_what_a_list_does(tmp_path_factory, monkeypatch, moves):
    monkeypatch.setattr(drafts_module, "STEPS_KEPT", 5)
    drafts, listed = Drafts(Workspace(tmp_path_factory.mktemp("ws"))), Listed(5)
    for move in moves:
        if move == "undo":
            assert drafts.undo("m") == listed.go(-1)
        elif move == "redo":
            assert drafts.redo("m") == listed.go(1)
        else:
            drafts.save("m", plan(move))
            listed.save(plan(move))
        assert drafts.present("m") == listed.steps[listed.at]
        assert drafts.can_undo("m") == (listed.at > 0)
        assert drafts.can_redo("m") == (listed.at + 1 < len(listed.steps))
    with drafts.workspace.connect() as db:
        assert db.execute("SELECT count(*) FROM draft_steps").fetchone()[0] <= 5


def test_a_long_history_keeps_its_last_plans(drafts, monkeypatch):
    assert drafts_module.STEPS_KEPT == 200
    monkeypatch.setattr(drafts_module, "STEPS_KEPT", 20)
    for number in range(1, 26):
        drafts.save("m", plan(number))
    undone = []
    while (step := drafts.undo("m")) is not None:
        undone.append(step.sparsity_of("fc"))
    assert (len(undone), undone[-1]) == (19, 0.06)  # 6 to 25 are twenty plans


WRITER = """
import sys
from core import Cut, SparsityPlan
from core.jobs.drafts import Drafts
from core.workspace import Workspace
drafts = Drafts(Workspace(sys.argv[1]))
input()
for i in range(30):
    drafts.save("m", SparsityPlan((Cut(sys.argv[2], "weight", (i + 1) / 100),)))
    if i % 3 == 2:
        drafts.undo("m")
"""


@pytest.mark.process
def test_two_browsers_at_once_leave_one_history_without_holes(drafts):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, drafts.workspace.folder, name], stdin=-1, stderr=-1, text=True)
        for name in "ab"
    ]
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    assert [writer.communicate(timeout=60)[1] for writer in writers] == ["", ""]
    with drafts.workspace.connect() as db:
        rows = db.execute("SELECT position, plan FROM draft_steps ORDER BY position").fetchall()
        at = db.execute("SELECT position FROM draft_cursors").fetchone()[0]
    assert [row["position"] for row in rows] == list(range(len(rows)))
    steps = [SparsityPlan.from_json(row["plan"]) for row in rows]
    assert drafts.present("m") == steps[at]
    assert all(before != after for before, after in pairwise(steps))
    for earlier in reversed(steps[:at]):
        assert drafts.undo("m") == earlier
    assert drafts.undo("m") is None


def test_a_step_waits_until_the_one_before_it_is_whole(drafts, monkeypatch):
    write, half_way, go_on = Drafts._write, threading.Event(), threading.Event()

    def paused(self, db, workload, new):
        write(self, db, workload, new)
        if new == plan(10):
            half_way.set()
            go_on.wait(10)

    monkeypatch.setattr(Drafts, "_write", paused)
    first, second = (threading.Thread(target=drafts.save, args=("m", plan(number))) for number in (10, 20))
    first.start()
    half_way.wait(10)
    second.start()
    second.join(0.2)
    waits = second.is_alive()
    go_on.set()
    first.join()
    second.join()
    assert waits
    assert [drafts.present("m"), drafts.undo("m"), drafts.undo("m")] == [plan(20), plan(10), SparsityPlan()]


def test_a_draft_that_is_older_than_its_history_is_what_the_first_undo_leads_to(drafts):
    with drafts.workspace.write() as db:
        db.execute("INSERT INTO drafts VALUES ('m', ?)", (plan(10).to_json(),))
    runs = RunStore(drafts.workspace)
    assert not drafts.can_undo("m")
    runs.save_draft("m", plan(20))
    assert drafts.undo("m") == runs.draft("m") == plan(10)
    assert drafts.undo("m") is None


def test_rules_are_kept_beside_the_draft_as_they_were_given(drafts):
    assert drafts.rules("m") == {}
    rules = {"locks": ["fc"], "bounds": {"stem": [0, 0.5]}, "goal": None}
    drafts.save_rules("m", rules)
    assert drafts.rules("m") == rules
    assert drafts.rules("n") == {}
    drafts.save_rules("m", {})
    assert drafts.rules("m") == {}


@pytest.mark.parametrize("document", [{"a": float("nan")}, {"a": {1, 2}}])
def test_rules_that_are_no_plain_values_are_refused_and_the_old_ones_stay(drafts, document):
    drafts.save_rules("m", {"locks": []})
    with pytest.raises(SecateurError, match="the rules of m must be plain JSON values"):
        drafts.save_rules("m", document)
    assert drafts.rules("m") == {"locks": []}
