"""Rounds of recoveries and trainings of tickets come along when workspaces are merged."""

import errno
import json
import re
import shutil

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import save_file

from core import FineTuning, SecateurError
from core.cli import group
from core.jobs import launch
from core.jobs.merging import placing
from core.jobs.merging.merge import merge
from core.jobs.runs import RunStore
from core.jobs.strangers import confirm
from core.plans.schedules import Schedule
from core.recovery.checkpoint import read_checkpoint
from core.recovery.request import RecoverRequest
from core.recovery.round_file import sound_round
from core.recovery.tickets.request import TicketRequest
from core.workspace import Workspace


@pytest.fixture
def there(trained, tmp_path, worker_here):
    """A workspace with three rounds of a recovery and eight trainings of tickets."""
    runs = RunStore(Workspace(tmp_path / "there"))
    for start, asked in ((launch.start_recover, recover(trained)), (launch.start_tickets, tickets(trained))):
        run, _ = start(runs, asked)
        assert runs.get(run.id).state == "finished", runs.get(run.id).error
    return runs


@pytest.fixture
def here(tmp_path):
    return RunStore(Workspace(tmp_path / "here"))


def recover(trained, n=3):
    how = FineTuning(steps=3, batch_size=16)
    return RecoverRequest(str(trained), Schedule("given", given=(0.2, 0.4, 0.6)[:n]), how)


def tickets(trained):
    how = FineTuning(steps=2, batch_size=16, distillation=0.0)
    return TicketRequest(str(trained), rounds=1, seeds=(0, 1), fine_tuning=how)


def trainings_of(runs, kind):
    found = (runs.workspace.folder / kind).rglob("*.*")
    return {path.relative_to(runs.workspace.folder): path.read_bytes() for path in found}


def everything(runs):
    return {path: path.read_bytes() for path in runs.workspace.folder.rglob("*") if path.is_file()}


def test_a_merged_recovery_goes_on_here_and_nothing_is_trained_again(trained, there, here):
    before = everything(there)
    merged = merge(here.workspace, there.workspace.folder)
    assert (merged.rounds, merged.tickets, merged.left, len(merged.runs)) == (3, 8, (), 2)
    for kind in ("recoveries", "tickets"):
        assert trainings_of(here, kind) == trainings_of(there, kind)
        assert len(trainings_of(here, kind)) == {"recoveries": 3, "tickets": 8}[kind]  # and no drafts
    assert everything(there) == before
    (recovery,) = [run for run in here.list() if run.kind == "recover"]
    assert read_checkpoint(here.workspace.folder / recovery.result["checkpoint"]).history
    confirm(here.workspace, str(trained))  # a person names the file here
    again, _ = launch.start_recover(here, recover(trained))
    assert (here.get(again.id).reused, here.get(again.id).result["losses"]) == (9, [])
    launch.start_tickets(here, tickets(trained))
    assert trainings_of(here, "tickets") == trainings_of(there, "tickets")
    twice = merge(here.workspace, there.workspace.folder)
    assert (twice.rounds, twice.tickets, twice.left) == (0, 0, ())


def test_what_is_here_already_is_never_written_to(there, here):
    shutil.copytree(there.workspace.folder / "recoveries", here.workspace.folder / "recoveries")
    first, second, third = sorted((here.workspace.folder / "recoveries").rglob("*.safetensors"))
    third.unlink()
    stamps = [path.stat().st_mtime_ns for path in (first, second)]
    assert merge(here.workspace, there.workspace.folder).rounds == 1
    assert [path.stat().st_mtime_ns for path in (first, second)] == stamps
    assert third.exists()


def altered(path):
    """A whole file with another tensor, as another processor would have written it."""
    with safe_open(path, "pt") as file:
        about = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors["model/fc2.bias"] = tensors["model/fc2.bias"] + 1e-7
    del about["content"]  # as files had none before it was written
    save_file(tensors, path, about)


def test_rounds_that_do_not_follow_from_those_here_stay_there(there, here):
    shutil.copytree(there.workspace.folder / "recoveries", here.workspace.folder / "recoveries")
    first, *rest = sorted((here.workspace.folder / "recoveries").rglob("*.safetensors"))
    altered(first)
    for path in rest:
        path.unlink()
    mine = first.read_bytes()
    merged = merge(here.workspace, there.workspace.folder)
    assert merged.rounds == 0
    (line,) = merged.left
    assert re.search(r"round-001\.safetensors and what follows from it: it differs from the one here", line)
    assert first.read_bytes() == mine


def flip(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))


SPOIL = {
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:-9]), "damaged"),
    "a bit flipped": (flip, "its tensors were changed"),
    "text": (lambda path: path.write_text("a letter"), "damaged"),
    "empty": (lambda path: path.write_bytes(b""), "damaged"),
    "no round": (lambda path: save_file({"a": torch.ones(2)}, path), "it has another header"),
    "another's name": (lambda path: shutil.copy(path.with_name("round-001.safetensors"), path), "under another name"),
}


@pytest.mark.parametrize("name", SPOIL)
def test_a_damaged_round_is_left_there_by_name(there, here, name):
    spoil, message = SPOIL[name]
    path = sorted((there.workspace.folder / "recoveries").rglob("*.safetensors"))[1]
    spoil(path)
    before = everything(there)
    done = CliRunner().invoke(
        group, ["merge", str(there.workspace.folder), "--workspace", str(here.workspace.folder)], prog_name="secateur"
    )
    assert done.exit_code == 0
    assert "2 rounds of recoveries, 8 trainings of tickets" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "Left there" in line]
    assert str(path) in line
    assert message in line
    assert everything(there) == before
    assert not (here.workspace.folder / path.relative_to(there.workspace.folder)).exists()
    with pytest.raises(SecateurError):
        sound_round(path)


@pytest.mark.parametrize("text", ["{", "[]", '{"seed": 0}', None])
def test_a_damaged_training_of_a_ticket_is_left_there_and_done_again_here(trained, there, here, text):
    path = next((there.workspace.folder / "tickets").rglob("1-1-ticket.json"))
    whole = path.read_bytes()
    text = json.dumps({**json.loads(whole), "next_mask": "no mask"}) if text is None else text
    path.write_text(text)
    merged = merge(here.workspace, there.workspace.folder)
    assert merged.tickets == 7
    (line,) = merged.left
    assert line.startswith(f"{path} is no training of a ticket experiment, or damaged")
    confirm(here.workspace, str(trained))
    launch.start_tickets(here, tickets(trained))
    assert (here.workspace.folder / path.relative_to(there.workspace.folder)).read_bytes() == whole


def test_links_and_foreign_folders_stay_there(there, here, tmp_path):
    recoveries = there.workspace.folder / "recoveries"
    (key,) = recoveries.iterdir()
    (recoveries / "mine").mkdir()
    shutil.copy(key / "round-001.safetensors", recoveries / "mine")
    (tmp_path / "secret").write_text("secret")
    (key / "round-009.safetensors").symlink_to(tmp_path / "secret")
    (recoveries / ("a" * 32)).symlink_to(tmp_path)
    assert merge(here.workspace, there.workspace.folder).rounds == 3
    assert {path.name for path in (here.workspace.folder / "recoveries").iterdir()} == {key.name}


def test_a_round_in_the_folder_of_another_recovery_is_left_there(there, here):
    (key,) = (there.workspace.folder / "recoveries").iterdir()
    key.rename(key.with_name("0" * 32))
    merged = merge(here.workspace, there.workspace.folder)
    assert merged.rounds == 0
    assert all("of another recovery than its folder says" in line for line in merged.left)
    assert len(merged.left) == 3


def test_a_disk_that_fills_up_takes_every_copy_back(there, here, monkeypatch):
    real, copied = placing.shutil.copyfile, []

    def full(source, target):
        copied.append(target)
        if len(copied) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(source, target)

    before = everything(here)
    monkeypatch.setattr(placing.shutil, "copyfile", full)
    with pytest.raises(SecateurError, match=r"cannot copy .*No space left on device.*free some space"):
        merge(here.workspace, there.workspace.folder)
    assert everything(here) == before
    assert not (here.workspace.folder / "recoveries").exists()
