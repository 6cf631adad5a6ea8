"""Evaluation data belong to a run: with others it does not go on, and what was measured on others says so."""

import pytest

from core import Cut, SecateurError, SparsityPlan, SweepRequest
from core.cli.tables.runs import run_result
from core.delivery.bundles.verify import verify_bundle
from core.jobs import launch
from core.jobs.runs import RunStore
from core.jobs.works import registry
from core.workspace import Workspace

FILE = """
import torch
from pathlib import Path
from torch import nn

from core import Examples, Workload, accuracy


def workload():
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(int(Path({seed!r}).read_text())))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    return Workload("net", model.eval(), Examples(x, torch.arange(40) % 3), accuracy(), batch_size=10)
"""
REQUEST = {"sparsities": (0.5,)}


@pytest.fixture
def seed(tmp_path):
    path = tmp_path / "seed"
    path.write_text("1")
    return path


@pytest.fixture
def file(write_file, seed):
    return str(write_file("net.py", FILE.format(seed=str(seed))))


@pytest.fixture
def runs(tmp_path, worker_here):
    return RunStore(Workspace(tmp_path / "ws"))


def swept(runs, file):
    run, _ = launch.start_sweep(runs, SweepRequest(file, **REQUEST))
    return runs.get(run.id)


def test_a_run_keeps_which_data_it_was_measured_on(runs, file, seed):
    first, same = swept(runs, file), swept(runs, file)
    seed.write_text("2")
    other = swept(runs, file)
    assert first.data == same.data != other.data
    assert [runs.of_other_data(run) for run in (first, same)] == [None, None]
    assert runs.of_other_data(other).id == same.id


def test_it_is_said_with_the_result_of_the_next_run(runs, file, seed, capsys):
    first = swept(runs, file)
    seed.write_text("2")
    run_result(runs, swept(runs, file))
    said = capsys.readouterr().out
    assert f"The evaluation data are not those of run {first.id} before it" in said
    run_result(runs, swept(runs, file))
    assert "The evaluation data" not in capsys.readouterr().out


def broken_off(runs, file, monkeypatch):
    def breaks(*_):
        raise SecateurError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(registry, "perform", breaks)
        run = swept(runs, file)
    assert run.state == "failed"
    return run


def test_a_run_does_not_go_on_with_other_data(runs, file, seed, monkeypatch):
    run = broken_off(runs, file, monkeypatch)
    seed.write_text("2")
    resumed = runs.get(launch.resume(runs, run.id).id)
    assert resumed.state == "failed"
    assert "the evaluation data of net have changed since run" in resumed.error
    seed.write_text("1")
    assert runs.get(launch.resume(runs, run.id).id).state == "finished"


@pytest.mark.process
def test_a_bundle_that_is_checked_on_other_data_says_that_they_changed(runs, file, seed, tmp_path):
    plan = SparsityPlan((Cut("0", "weight", 0.9),))
    run, _ = launch.start_export(runs, file, plan, tmp_path / "out", formats=())
    assert runs.get(run.id).state == "finished", runs.get(run.id).error
    assert verify_bundle(tmp_path / "out", file)["verified"]
    seed.write_text("2")
    with pytest.raises(SecateurError, match="the evaluation data of net are not those that the bundle was measured on"):
        verify_bundle(tmp_path / "out", file)


@pytest.mark.process
def test_an_export_of_data_that_change_with_every_load_says_so(runs, write_file, seed, tmp_path):
    load = "torch.manual_seed(0)"
    writes = f"Path({str(seed)!r}).write_text(str(int(1e6 * abs(x[0, 0]))))"
    changing = str(write_file("net.py", FILE.format(seed=str(seed)).replace(load, f"{writes}\n    {load}")))
    run, _ = launch.start_export(runs, changing, SparsityPlan((Cut("0", "weight", 0.9),)), tmp_path / "out", formats=())
    assert runs.get(run.id).state == "failed"
    assert "the evaluation data of net are not those that the bundle was measured on" in runs.get(run.id).error
