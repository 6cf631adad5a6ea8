"""A worker's own loop: what it loads and lets go of, when it begins anew, which run it refuses and for how long."""

import os
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from core.errors import SecateurError
from core.jobs.places import bench, board, helping, workers
from core.jobs.places.asked import Asked, Bundle
from core.jobs.runs import RunStore
from core.processes import started
from core.sensitivity.measuring.measurement import Measurement
from core.workload.loading import load_workload
from core.workspace import Workspace
from tests.core.jobs.places.contract import NET, net_file

BUNDLE = Bundle(0, ())


class Beside:
    """A worker in this process, beside a run that this process seems to do."""

    def __init__(self, folder, ref="net.py"):
        self.workspace, self.ref, self.said, self.loads = Workspace(folder / "ws"), ref, [], []
        self.runs = RunStore(self.workspace)
        self.run = self.runs.submit("sweep", ref, {})[0].id
        self.number = workers.register(self.workspace, 1)
        self.helper = helping._Helper(self.workspace, self.number, 1, self.said.append)
        self.asked = Asked(self.run, ref, "f" * 64, "Measurement", 60, 0, "cpu", None, "open", 0, True, 2, ("a",), (4,))

    def begin(self):
        pid = os.getpid()
        self.runs.update(self.run, state="running", pid=pid, pid_started=started(pid))

    def offer(self, **other):
        self.asked = replace(self.asked, **other)
        board.open_board(self.workspace, board.Offer(self.asked, b"", None))

    def close(self):
        board.close_board(self.workspace, self.run)

    @property
    def refused(self):
        with self.workspace.connect() as db:
            return db.execute("SELECT refused FROM helpers").fetchone()[0]

    def idle(self, times):
        """Let the loop go on until it has found nothing to do so often."""
        look, left = self.helper._look_ahead, [times]

        def counted():
            look()
            left[0] -= 1
            if not left[0]:
                self.helper.stopped.set()

        self.helper._look_ahead = counted
        self.helper.work(once=False)
        self.helper._look_ahead = look
        self.helper.stopped.clear()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(helping, "IDLE_SECONDS", 0)


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """What is loaded is a number, the first 1; none of them is measured."""
    one = Beside(tmp_path)
    metric = SimpleNamespace(loss_fingerprint=lambda: "")

    def load(ref):
        one.loads.append(ref)
        return SimpleNamespace(metric=metric, number=len(one.loads))

    monkeypatch.setattr(one.helper, "_load", load)
    one.begin()
    yield one
    one.helper.stopped.set()


@pytest.fixture
def benches(monkeypatch):
    """What came upon a bench: what was asked, and the number of what was loaded."""
    came, others = [], set()

    @contextmanager
    def made(asked, workload, *more):
        came.append((asked, workload.number))
        if workload.number in others:
            raise bench.OtherModelError("another model")
        yield asked

    monkeypatch.setattr(bench, "bench", made)
    return SimpleNamespace(came=came, others=others)


def taking(monkeypatch, *steps):
    """At each time that a bundle is taken something happens first; after the last, nothing more."""
    own, left = board.take, list(steps)

    def take(*asked):
        if left:
            left.pop(0)()
        return own(*asked)

    monkeypatch.setattr(board, "take", take)


def test_the_model_of_a_run_that_has_begun_is_loaded_once_and_let_go_of_when_the_run_ends(beside):
    beside.idle(3)
    assert beside.loads == [beside.ref]
    assert beside.helper._loaded[0] == beside.run
    beside.runs.update(beside.run, state="cancelled")
    beside.idle(1)
    assert beside.helper._loaded == ("", None)
    beside.begin()  # resumed, by the same name: its file may be another by now
    beside.idle(1)
    assert len(beside.loads) == 2


def test_nothing_is_loaded_for_a_run_that_waits_or_that_workers_cannot_help(beside):
    beside.runs.update(beside.run, state="queued")
    other, _ = beside.runs.submit("profile", beside.ref, {})
    beside.runs.update(other.id, state="running", pid=os.getpid(), pid_started=started(os.getpid()))
    beside.idle(2)
    assert beside.loads == []


def test_what_cannot_be_loaded_is_tried_once_and_refused_when_the_run_shares(beside, monkeypatch):
    def fails(ref):
        beside.loads.append(ref)
        raise SecateurError("no such file")

    monkeypatch.setattr(beside.helper, "_load", fails)
    beside.idle(3)
    assert len(beside.loads) == 1
    beside.offer()
    beside.idle(1)
    assert beside.refused == f"run {beside.run}: no such file"


def test_what_was_loaded_ahead_is_what_helps_and_no_copy_is_held_for_a_run_that_offers_no_more(
    beside, benches, monkeypatch
):
    beside.idle(1)
    beside.offer()
    taking(monkeypatch, beside.close)
    beside.idle(3)
    assert benches.came == [(beside.asked, 1)]
    assert beside.loads == [beside.ref]
    assert beside.helper._loaded == ("", None)
    beside.offer()  # it shares once more
    taking(monkeypatch, beside.close)
    beside.idle(3)
    assert [number for _, number in benches.came] == [1, 2]


def test_a_copy_from_before_its_file_was_changed_is_replaced_and_nothing_refused(beside, benches, monkeypatch):
    beside.idle(1)
    benches.others.add(1)
    beside.offer()
    taking(monkeypatch, beside.close)
    beside.idle(1)
    assert [number for _, number in benches.came] == [1, 2]
    assert beside.refused is None


def test_a_run_is_refused_while_it_lasts_without_a_copy_and_tried_anew_once_it_is_resumed(beside, benches, monkeypatch):
    benches.others.add(1)
    beside.offer()
    beside.idle(3)
    assert beside.refused == f"run {beside.run}: another model"
    assert beside.loads == [beside.ref]
    beside.close()
    beside.idle(3)
    assert beside.loads == [beside.ref]
    beside.runs.update(beside.run, state="failed")
    beside.idle(1)
    assert beside.refused is not None  # who looks after it has ended can still read why
    beside.begin()
    beside.idle(1)
    assert beside.refused is None
    beside.offer()
    taking(monkeypatch, beside.close)
    beside.idle(1)
    assert [number for _, number in benches.came] == [1, 2]


def test_a_run_that_does_not_replay_after_all_is_begun_anew_before_anything_more_is_measured(
    beside, benches, monkeypatch
):
    measured = []

    def measure(taken, asked, *_):
        measured.append(asked)
        board.remove(beside.workspace, beside.run, [taken[0]])

    def changes():
        beside.offer(replays=False)
        board.put(beside.workspace, beside.run, [BUNDLE])

    monkeypatch.setattr(beside.helper, "_measure", measure)
    beside.offer()
    board.put(beside.workspace, beside.run, [BUNDLE])
    taking(monkeypatch, lambda: None, changes, lambda: None, beside.close)
    beside.idle(1)
    assert [(asked.replays, number) for asked, number in benches.came] == [(True, 1), (False, 1)]
    assert [asked.replays for asked in measured] == [True, False]


def test_one_that_helps_once_stays_while_the_run_goes_on_otherwise(beside, benches, monkeypatch):
    beside.offer()
    taking(monkeypatch, lambda: beside.offer(replays=False), beside.close)
    beside.helper.work(once=True)
    assert len(benches.came) == 2


@pytest.mark.model
def test_full_passes_of_a_worker_have_the_threads_of_the_run_s_though_it_had_traced_the_model(tmp_path, monkeypatch):
    ref = net_file(tmp_path)
    beside = Beside(tmp_path, ref)
    beside.begin()
    try:
        beside.helper._look_ahead()
        (tmp_path / "net.py").write_text(NET.replace("manual_seed(0)", "manual_seed(1)"))
        with Measurement(load_workload(ref), None, 60) as own:
            sizes = tuple(own.batches.size(i) for i in range(len(own.batches)))
            beside.offer(model=own.model_hash, keys=tuple(own.batches.keys), sizes=sizes)
        threads, before = [], torch.get_num_threads()

        def note(then):
            threads.append(torch.get_num_threads())
            then()

        taking(monkeypatch, lambda: note(lambda: beside.offer(replays=False)), lambda: note(beside.close))
        beside.helper.work(once=True)
        assert threads == [1, 2]
        assert torch.get_num_threads() == before
        assert beside.refused is None
    finally:
        beside.helper.stopped.set()
