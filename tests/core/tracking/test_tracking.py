"""Experiment trackers: what they are told, that none can hurt a run, and that each writes into the workspace alone."""

import importlib.util
import sqlite3

import pytest

from core.cli.options import log_option
from core.jobs.runs import RunStore
from core.offline import TRACKERS_OFFLINE
from core.plans.plan import Cut
from core.sensitivity.report import CellResult
from core.tracking import registry
from core.tracking.readings import parameters, readings, step
from core.tracking.registry import TRACKERS, opened
from core.tracking.teller import FOLDER, Teller
from core.tracking.tracker import Reading, Told
from core.workspace import Workspace
from tests.core.reports.conftest import ACCURACY, DENSE, measured


@pytest.fixture
def store(tmp_path):
    return RunStore(Workspace(tmp_path / "ws"))


@pytest.fixture
def swept(store):
    run, _ = store.submit("sweep", "net.py", {"sparsities": [0.5], "seed": 0, "device": "cpu", "repair": None})
    store.set_cells(run.id, [measured("fc", 0.5, 0.02), CellResult(Cut("fc", "weight", 0.9), 5, 10)])
    store.update(run.id, state="finished", result={"scale": ACCURACY, "dense": DENSE, "n": 200})
    return store.get(run.id)


class Noted:
    """A tracker that remembers."""

    def __init__(self, told):
        self.told, self.readings, self.closed = told, [], None

    def tell(self, reading):
        self.readings.append(reading)

    def close(self, finished):
        self.closed = finished


def test_the_command_offers_those_that_there_are():
    option = log_option(lambda: None).__click_params__[0]
    assert list(option.type.choices) == list(TRACKERS)


def test_a_cell_is_told_with_interval_and_n_and_one_that_was_not_measured_is_not(store, swept):
    dense, cell = readings(store, swept)
    assert dense == Reading("dense", 0, {"metric": 0.9, "metric_low": 0.85, "metric_high": 0.95, "metric_n": 200})
    assert (cell.name, cell.step) == ("fc/weight/magnitude", 500)
    assert cell.values["drop"] == 0.02
    assert cell.values["drop_n"] == 200
    assert {"drop_low", "drop_high", "metric_low", "metric_high", "metric_n"} <= set(cell.values)


def test_what_goes_whole_is_all_of_it():
    assert step(Cut("attn:1", "head")) == 1000


def test_a_round_is_told_at_its_number(store):
    run, _ = store.submit("recover", "net.py", {"schedule": {"name": "cubic", "rounds": 2}})
    row = {
        "iteration": 1, "sparsity": 0.5, "before": None, "after": DENSE, "drop": None, "steps": 10, "seconds": 2.0,
        "chosen": None,
    }  # fmt: skip
    store.update(run.id, state="finished", result={"scale": ACCURACY, "dense": DENSE, "history": [row]})
    _, told = readings(store, store.get(run.id))
    assert (told.name, told.step) == ("round", 1)
    assert "before" not in told.values  # nobody measured it, so it is no 0
    assert told.values["after_n"] == 200
    assert parameters(run)["schedule.rounds"] == "2"


def test_the_request_is_the_parameters_and_what_nobody_asked_for_is_left_out(swept):
    assert parameters(swept) == {
        "run": swept.id, "kind": "sweep", "model": "net.py", "sparsities": "[0.5]", "seed": "0", "device": "cpu",
    }  # fmt: skip


def test_nothing_is_told_twice_and_the_end_is_told(store, swept, monkeypatch):
    made = []
    monkeypatch.setattr("core.tracking.teller.opened", lambda name, told: made.append(Noted(told)) or made[0])
    lines = []
    teller = Teller(store, "tensorboard", lines.append)
    store.update(swept.id, state="running")
    teller.news(store.get(swept.id))
    store.update(swept.id, state="finished")
    for _ in range(2):  # who follows looks once more when the run has ended
        teller.news(store.get(swept.id))
    (tracker,) = made
    assert [one.name for one in tracker.readings] == ["dense", "fc/weight/magnitude"]
    assert tracker.closed is True
    assert tracker.told.run == swept.id
    (line,) = lines
    assert line.startswith("Logged to")


def test_a_tracker_that_fails_says_one_line_and_is_told_nothing_more(store, swept, monkeypatch):
    def broken(name, told):
        raise RuntimeError("disk\nfull")

    monkeypatch.setattr("core.tracking.teller.opened", broken)
    lines = []
    teller = Teller(store, "mlflow", lines.append)
    for _ in range(2):
        teller.news(swept)
    (line,) = lines
    assert "RuntimeError: disk full" in line
    assert "\n" not in line
    assert store.get(swept.id) == swept


def test_a_tracker_that_fails_on_the_way_is_closed(store, swept, monkeypatch):
    class Breaks(Noted):
        def tell(self, reading):
            raise OSError(28, "No space left on device")

    made = []
    monkeypatch.setattr("core.tracking.teller.opened", lambda name, told: made.append(Breaks(told)) or made[0])
    Teller(store, "trackio", lambda line: None).news(swept)
    assert made[0].closed is False


def test_a_tracker_that_prints_does_not_print_into_the_answer(store, swept, monkeypatch, capsys):
    class Loud(Noted):
        def tell(self, reading):
            print("hello")

    monkeypatch.setattr("core.tracking.teller.opened", lambda name, told: Loud(told))
    Teller(store, "trackio", lambda line: None).news(swept)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_writes_below_its_folder(name, tmp_path, monkeypatch):
    """With the real package, where it is installed: `python -m pip install '.[tensorboard,mlflow,wandb,trackio]'`."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    for variable in (*TRACKERS_OFFLINE, "TRACKIO_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(variable, "")  # put back at the end
    tracker = opened(name, Told("3f2a", {"seed": "0"}, tmp_path / FOLDER / name))
    for at in (500, 100):  # a search asks in its own order
        tracker.tell(Reading("attn:1/weight/magnitude", at, {"drop": 0.02, "drop_n": 200}))
    tracker.close(True)
    if name == "mlflow":
        with sqlite3.connect(tmp_path / FOLDER / name / "mlflow.db") as db:
            known = db.execute("SELECT key, step, value FROM metrics WHERE key LIKE '%drop' ORDER BY step").fetchall()
        assert known == [("attn_1/weight/magnitude/drop", at, 0.02) for at in (100, 500)]
    assert any(path.is_file() and path.stat().st_size for path in (tmp_path / FOLDER / name).rglob("*"))


def test_one_that_is_not_installed_is_refused_before_anything_starts(monkeypatch):
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(registry.SecateurError, match="pip install wandb"):
        registry.check_installed("wandb")
