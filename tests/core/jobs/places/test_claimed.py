"""A run that shares its cells, seen from its own worker: with nobody there, with an idle helper, stopped."""

import pytest
import torch

from core.errors import SecateurError
from core.jobs.places import board, claimed, workers
from core.jobs.places.asked import Asked
from core.jobs.places.bench import bench
from core.jobs.runs import RunStore
from core.jobs.worker import execute
from core.sensitivity.measuring.held_model import HeldModel
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.stopping import never_stop
from core.workload.loading import load_workload
from core.workspace import Workspace
from tests.core.jobs.places.contract import done_here, evidence, net_file, shown, submitted

pytestmark = [pytest.mark.model]


@pytest.fixture
def small_bundles(monkeypatch):
    for name in ("LARGEST", "SMALLEST", "DENSE_TIMES", "LOOK_SECONDS"):
        monkeypatch.setattr(claimed, name, 0)


@pytest.fixture
def whole(tmp_path):
    workspace = Workspace(tmp_path / "alone")
    return workspace, done_here(workspace, "exact", net_file(tmp_path))


def test_without_a_worker_nothing_goes_through_the_database(tmp_path, small_bundles, monkeypatch):
    monkeypatch.setattr(board, "open_board", lambda *asked: pytest.fail("nobody is there"))
    done_here(Workspace(tmp_path / "here"), "exact", net_file(tmp_path))


def test_with_a_worker_that_does_nothing_the_run_does_it_all(tmp_path, small_bundles, whole):
    here = Workspace(tmp_path / "here")
    workers.register(here, 1)
    found = done_here(here, "exact", net_file(tmp_path))
    assert shown(here, found) == shown(*whole)
    assert evidence(here) == evidence(whole[0])
    assert board.offers(here) == {}


def test_a_worker_that_refuses_the_run_is_not_waited_for(tmp_path, small_bundles, monkeypatch):
    here = Workspace(tmp_path / "here")
    runs, number = RunStore(here), workers.register(here, 1)
    run = submitted(runs, "exact", net_file(tmp_path))
    workers.say(here, number, None, f"run {run.id}: another model")
    monkeypatch.setattr(board, "open_board", lambda *asked: pytest.fail("it does not help"))
    assert execute(runs, run.id, later=False).state == "finished"


@pytest.mark.parametrize("can", [True, False], ids=["it can", "it cannot"])
def test_helpers_hear_of_replay_while_the_run_traces_and_again_if_it_cannot(tmp_path, small_bundles, monkeypatch, can):
    here, own, offered = Workspace(tmp_path / "here"), board.open_board, []
    workers.register(here, 1)

    def open_board(workspace, offer):
        offered.append((offer.asked.replays, offer.asked.torch_threads))
        own(workspace, offer)

    monkeypatch.setattr(board, "open_board", open_board)
    if not can:
        monkeypatch.setattr(HeldModel, "replay", lambda *asked: False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        done_here(here, "exact", net_file(tmp_path))
    finally:
        torch.set_num_threads(before)
    assert offered == [(True, 2), *([] if can else [(False, 2)])]


def test_a_board_is_closed_though_what_became_of_the_helpers_cannot_be_kept(tmp_path, monkeypatch):
    here, asked = (
        Workspace(tmp_path / "here"),
        Asked("0123abcd", "n.py", "", "Measurement", 6, 0, "cpu", None, "open", 0),
    )
    place = claimed.Claimed(here, asked)
    workers.register(here, 1)
    with Measurement(load_workload(net_file(tmp_path)), None, 60) as own:
        place.foresee(own, replays=False)
    assert board.offers(here)

    def full(*there):
        raise OSError("the disk is full")

    monkeypatch.setattr(claimed.Company, "look", full)
    with pytest.raises(OSError, match="the disk is full"):
        place.close()
    assert not board.offers(here)


def test_stopped_in_the_middle_it_keeps_what_was_measured_and_offers_nothing(tmp_path, small_bundles, whole):
    here, own, taken = Workspace(tmp_path / "here"), board.take, []
    runs = RunStore(here)
    workers.register(here, 1)
    run = submitted(runs, "exact", net_file(tmp_path))

    def take(workspace, run_id, helper):
        taken.append(own(workspace, run_id, helper))
        if len(taken) == 3:
            runs.ask_to_stop(run.id)
        return taken[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(board, "take", take)
        assert execute(runs, run.id, later=False).state == "cancelled"
    with here.connect() as db:
        assert db.execute("SELECT (SELECT count(*) FROM bundles) + (SELECT count(*) FROM boards)").fetchone()[0] == 0
    before = evidence(here)
    assert before
    assert before <= evidence(whole[0])
    runs.requeue(run.id)
    found = execute(runs, run.id, later=False)
    assert found.reused > 0
    assert shown(here, found)[0] == shown(*whole)[0]


def test_killed_while_bundles_are_offered_it_goes_on_with_the_same_bits(tmp_path, small_bundles, whole):
    here, own, taken = Workspace(tmp_path / "here"), board.take, []
    runs = RunStore(here)
    workers.register(here, 1)
    run = submitted(runs, "exact", net_file(tmp_path))

    class KilledError(BaseException):
        """In the place of kill -9: what follows it tidies nothing up."""

    def take(workspace, run_id, helper):
        taken.append(own(workspace, run_id, helper))
        if len(taken) == 4:
            raise KilledError
        return taken[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(board, "take", take)
        patched.setattr(board, "close_board", lambda *asked: None)
        patched.setattr(board, "remove", lambda *asked: None)
        with pytest.raises(KilledError):
            execute(runs, run.id, later=False)
    with here.write() as db:  # as of a process that is gone
        db.execute("UPDATE runs SET pid_started = 1.0")
        db.execute("UPDATE boards SET pid_started = 1.0")
    assert board.offers(here) == {}
    assert runs.get(run.id).state == "interrupted"
    runs.requeue(run.id)
    found = execute(runs, run.id, later=False)
    assert found.reused > 0
    assert shown(here, found)[0] == shown(*whole)[0]
    assert evidence(here) == evidence(whole[0])


def test_a_model_that_is_another_than_the_run_s_is_not_measured(tmp_path):
    workload = load_workload(net_file(tmp_path))
    asked = Asked("0123abcd", "net.py", "f" * 64, "Measurement", 60, 0, "cpu", None, "open", 0)
    with (
        pytest.raises(SecateurError, match="is not the one that run 0123abcd began with"),
        bench(asked, workload, None, never_stop, 1),
    ):
        pytest.fail("it is another")
