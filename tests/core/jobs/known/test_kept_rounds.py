"""Rounds that a recovery has left: found again, also after a roll back, and written down as models."""

import os
import shutil

import pytest

from core import SecateurError
from core.jobs.known.kept_rounds import kept_numbers, recovered_models, recovered_path, round_of, write_recovered
from core.jobs.runs import RunStore
from core.recovery.round_file import number_of, path_of
from core.workspace import Workspace


@pytest.fixture
def runs(tmp_path):
    return RunStore(Workspace(tmp_path / "ws"))


def recovery(runs, folder, first, last, start=None):
    """A recovery whose history has `last` rounds and which did those from `first` on itself."""
    run, _ = runs.submit("recover", "net", {"start": start and str(start), "of": folder})
    place = runs.workspace.folder / "recoveries" / folder
    place.mkdir(parents=True)
    for number in range(first, last + 1):
        path_of(place, number).touch()
    checkpoint = path_of(place, last).relative_to(runs.workspace.folder)
    runs.update(run.id, state="finished", result={"history": [{}] * last, "checkpoint": str(checkpoint)})
    return runs.get(run.id), place.resolve()


@pytest.mark.parametrize("number", [1, 7, 999, 1000])
def test_the_number_of_a_round_is_in_its_name(tmp_path, number):
    assert number_of(path_of(tmp_path, number)) == number


def test_a_round_is_the_last_one_unless_it_is_named(runs):
    run, folder = recovery(runs, "a", 1, 3)
    assert round_of(runs, run.id) == path_of(folder, 3)
    assert round_of(runs, run.id[:4], 1) == path_of(folder, 1)


def test_rounds_before_a_roll_back_lie_where_they_were_made_however_often_it_happened(runs):
    _, a = recovery(runs, "a", 1, 3)
    _, b = recovery(runs, "b", 2, 4, path_of(a, 1))
    run, c = recovery(runs, "c", 4, 5, path_of(b, 3))
    assert [round_of(runs, run.id, i).parent.name for i in (1, 2, 3, 4, 5)] == ["a", "b", "b", "c", "c"]
    assert c.name == "c"


def test_what_is_not_there_is_refused_in_words(runs):
    run, folder = recovery(runs, "a", 1, 2)
    with pytest.raises(SecateurError, match="has the rounds 1 to 2, got round 3"):
        round_of(runs, run.id, 3)
    with pytest.raises(SecateurError, match="has the rounds 1 to 2, got round 0"):
        round_of(runs, run.id, 0)
    sweep, _ = runs.submit("sweep", "net", {})
    with pytest.raises(SecateurError, match="is no recovery with a finished round"):
        round_of(runs, sweep.id)
    shutil.rmtree(folder)
    with pytest.raises(SecateurError, match=r"the checkpoint of round 2, .*, is gone; recover again"):
        round_of(runs, run.id)


def test_a_round_is_written_down_as_a_workload_that_is_named_after_it(runs):
    run, folder = recovery(runs, "a", 1, 2)
    path = write_recovered(runs, run, 2)
    assert path == recovered_path(runs, run, 2)
    assert path.name == f"net-recovered-{run.id}-round-2.py"
    assert f"recovered(load_workload('net'), {str(path_of(folder, 2))!r})" in path.read_text()
    assert write_recovered(runs, run, 2).read_text() == path.read_text()
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_a_round_that_cannot_be_written_down_leaves_nothing_and_one_that_can_has_the_rights_of_the_umask(
    runs, monkeypatch
):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    run, _ = recovery(runs, "a", 1, 2)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_text", full)
        with pytest.raises(SecateurError, match="No space left on device"):
            write_recovered(runs, run, 2)
    assert list(recovered_path(runs, run, 2).parent.iterdir()) == []
    before = os.umask(0o077)
    try:
        assert write_recovered(runs, run, 2).stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_rounds_that_went_are_not_kept_and_their_models_are_still_known_as_theirs(runs):
    run, folder = recovery(runs, "a", 1, 3)
    path_of(folder, 2).unlink()
    assert kept_numbers(runs, run) == (1, 3)
    found = recovered_models(runs, "net")
    assert {ref: (one.id, n) for ref, (one, n) in found.items()} == {
        str(recovered_path(runs, run, n)): (run.id, n) for n in (1, 2, 3)
    }
    sweep, _ = runs.submit("sweep", "net", {})
    assert kept_numbers(runs, sweep) == ()
