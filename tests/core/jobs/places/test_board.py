"""The queue that helpers take from: nobody is given what another has, and what the dead had comes back."""

import os

import pytest

from core.errors import SecateurError
from core.jobs.places import board, workers
from core.jobs.places.asked import Asked, Bundle
from core.plans.plan import Cut, SparsityPlan
from core.quantization.quantized_plan import QuantizedPlan
from core.workspace import Workspace

ASKED = Asked(
    "0123abcd", "net.py", "f" * 64, "Measurement", 60, 0, "cpu", None, "open", 0, keys=("a", "b"), sizes=(4, 16)
)
PLAN = SparsityPlan((Cut("fc1", "weight", 0.5),))
BUNDLE = Bundle(1, ((7, "key7", PLAN), (3, "key3", QuantizedPlan(PLAN.cuts, bits=(("fc1", 4),)))))


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "ws")


@pytest.fixture
def offered(workspace):
    board.open_board(workspace, board.Offer(ASKED, b"", None))
    return board.put(workspace, ASKED.run, [BUNDLE, BUNDLE])


def test_what_is_asked_and_a_bundle_come_out_as_they_went_in(workspace, offered):
    assert board.offers(workspace)[ASKED.run].asked == ASKED
    number, work = board.take(workspace, ASKED.run, 1)
    assert (number, Bundle.from_json(work)) == (offered[0], BUNDLE)


def test_a_bundle_is_given_to_one(workspace, offered):
    assert [board.take(workspace, ASKED.run, helper)[0] for helper in (1, 2)] == offered
    assert board.take(workspace, ASKED.run, 3) is None


def test_what_a_dead_worker_had_comes_back_and_what_it_has_done_stays(workspace, offered):
    number = workers.register(workspace, 1)
    first, _ = board.take(workspace, ASKED.run, number)
    with workspace.write() as db:
        board.done(db, first, number, {"failed": {}, "seconds": {}})
    second, _ = board.take(workspace, ASKED.run, number)
    assert board.take_from_the_dead(workspace, ASKED.run) == ()
    with workspace.write() as db:
        db.execute("UPDATE helpers SET pid_started = 1.0")  # another process has got its number since
    assert board.take_from_the_dead(workspace, ASKED.run) == (number,)
    assert list(board.answers(workspace, ASKED.run)) == [first]
    assert board.take(workspace, ASKED.run, board.OWN)[0] == second
    assert workers.helpers(workspace) == ()


def test_a_worker_that_says_nothing_for_long_is_taken_for_dead(workspace, offered):
    number = workers.register(workspace, 1)
    board.take(workspace, ASKED.run, number)
    with workspace.write() as db:
        db.execute("UPDATE helpers SET beat = beat - 1000")
    assert len(board.take_from_the_dead(workspace, ASKED.run)) == 1
    assert not workers.beat(workspace, number)  # it ends when it wakes


def test_a_run_whose_worker_died_offers_nothing(workspace, offered):
    with workspace.write() as db:
        db.execute("UPDATE boards SET pid_started = 1.0")
    assert board.offers(workspace) == {}


def test_a_run_that_goes_on_begins_with_an_empty_board(workspace, offered):
    board.open_board(workspace, board.Offer(ASKED, b"", None))
    assert board.take(workspace, ASKED.run, 1) is None


def test_workers_take_no_more_threads_than_there_are_cores(workspace, monkeypatch):
    monkeypatch.setattr(workers, "usable_cores", lambda: 2)
    workers.register(workspace, 2)
    with pytest.raises(SecateurError, match="2 cores for Secateur and its workers take 2; with 1 more"):
        workers.register(workspace, 1)


def test_a_worker_leaves_nothing_behind(workspace, offered):
    number = workers.register(workspace, 1)
    taken, _ = board.take(workspace, ASKED.run, number)
    assert [one.pid for one in workers.helpers(workspace)] == [os.getpid()]
    workers.leave(workspace, number)
    assert board.take(workspace, ASKED.run, board.OWN)[0] == taken
    with pytest.raises(SecateurError, match="secateur work --list"):
        workers.ask_to_stop(workspace, number)
