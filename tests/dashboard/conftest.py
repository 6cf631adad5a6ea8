"""A workspace with a workload file, a finished sweep and a measured plan, and the app driven as a person would."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pandas import DataFrame
from streamlit.testing.v1 import AppTest

from core import Cut, SparsityPlan
from core.jobs.runs import RunStore
from core.jobs.submissions import plan_submission
from core.jobs.worker import execute
from core.workload.loading import TEMPLATE
from core.workload.sources.reference import short_name
from core.workspace import Workspace

APP = Path(__file__).parents[2] / "dashboard" / "app.py"


@pytest.fixture(scope="session")
def swept(tmp_path_factory) -> tuple[Path, str]:
    """Folder of a workspace, and the workload file in it that was swept; the model has heads and layers."""
    from core import sweep  # needs torch, which the tests of figures do without

    folder = tmp_path_factory.mktemp("swept")
    ref = str(folder / "attentive.py")
    Path(ref).write_text(ATTENTIVE)
    sweep(ref, sparsities=(0.25, 0.5, 0.9), workspace=folder / "workspace")
    return folder / "workspace", ref


ATTENTIVE = """
import torch
from torch import nn
from core import Examples, Workload, accuracy

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.fc = nn.Linear(8, 3)
        self.unused = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(self.layer(x).mean(1))

def workload():
    torch.manual_seed(0)
    model = Model().eval()
    x = torch.randn(120, 5, 8)
    with torch.no_grad():
        labels = model(x).argmax(1)
    calibration = Examples(torch.randn(40, 5, 8), labels[:40])
    return Workload("attentive", model, Examples(x, labels), accuracy(), calibration, batch_size=60)
"""


@pytest.fixture
def workspace(swept, tmp_path, monkeypatch) -> tuple[RunStore, str]:
    """A copy of the swept workspace that the test may change, as the dashboard's own."""
    folder, ref = swept
    shutil.copytree(folder, tmp_path / "workspace")
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "workspace"))
    return RunStore(Workspace(tmp_path / "workspace")), ref


@pytest.fixture(scope="session")
def coupled_runs(swept, tmp_path_factory) -> Path:
    """The swept workspace, with channels swept as well. Not to be changed."""
    from core import sweep

    folder = tmp_path_factory.mktemp("coupled") / "workspace"
    shutil.copytree(swept[0], folder)
    sweep(swept[1], sparsities=(0.25, 0.5, 0.9), channels=True, align=2, workspace=folder)
    return folder


@pytest.fixture
def coupled(swept, coupled_runs, tmp_path, monkeypatch) -> tuple[RunStore, str]:
    """Runs of a copy that the test may change, and the model."""
    shutil.copytree(coupled_runs, tmp_path / "workspace")
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "workspace"))
    return RunStore(Workspace(tmp_path / "workspace")), swept[1]


@pytest.fixture(scope="session")
def repaired_runs(swept, tmp_path_factory) -> Path:
    """The swept workspace, with some of its cells also repaired. Not to be changed."""
    from core import sweep

    folder = tmp_path_factory.mktemp("repaired") / "workspace"
    shutil.copytree(swept[0], folder)
    sweep(swept[1], sparsities=(0.5, 0.9), heads=False, repair="least-squares", workspace=folder, preview=False)
    return folder


@pytest.fixture
def repaired(swept, repaired_runs, tmp_path, monkeypatch) -> tuple[RunStore, str]:
    """Runs of a copy that the test may change, and the model."""
    shutil.copytree(repaired_runs, tmp_path / "workspace")
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "workspace"))
    return RunStore(Workspace(tmp_path / "workspace")), swept[1]


@pytest.fixture
def fresh(tmp_path, monkeypatch) -> tuple[RunStore, str]:
    """A workspace that knows the template's workload and has measured nothing."""
    ref = tmp_path / "mine.py"
    shutil.copyfile(TEMPLATE, ref)
    runs = RunStore(Workspace(tmp_path / "workspace"))
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "workspace"))
    run, _ = runs.submit("describe", str(ref), {})
    assert execute(runs, run.id).state == "finished"
    return runs, str(ref)


@pytest.fixture(scope="session")
def read_once(tmp_path_factory):
    """Folder with the template's workload, which has training data, and a workspace that has read it."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copyfile(TEMPLATE, folder / "mine.py")
    runs = RunStore(Workspace(folder / "workspace"))
    run, _ = runs.submit("describe", str(folder / "mine.py"), {})
    assert execute(runs, run.id).state == "finished"
    return folder


@pytest.fixture
def trained(read_once, tmp_path, monkeypatch):
    shutil.copytree(read_once / "workspace", tmp_path / "workspace")
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "workspace"))
    return RunStore(Workspace(tmp_path / "workspace")), str(read_once / "mine.py")


@pytest.fixture
def started(monkeypatch) -> list[str]:
    """Ids of runs for which a worker would have been started; none is."""
    ids: list[str] = []
    monkeypatch.setattr("core.jobs.launch._start_worker", lambda runs, *queued: ids.extend(run.id for run in queued))
    return ids


Open = Callable[..., AppTest]


@pytest.fixture
def open_screen() -> Open:
    """Open a screen (`"model"`, `"map"`, `"tune"`, `"recover"`, `"deliver"`) for a model."""

    def open_(screen: str, ref: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=120)  # the 3 s default is shorter than a cold start
        app.query_params["model"] = short_name(ref)
        app.run()
        if screen != "model":
            app.switch_page(f"screens/{screen}/screen.py").run()
        assert not app.exception, app.exception
        assert app.selectbox(key="model").value == ref
        return app

    return open_


def tuner_of(app: AppTest) -> dict[str, Any]:
    """What the tuner was told, its rows by key with where they stand."""
    for component in app.get("bidi_component"):
        data = json.loads(component.proto.json)
        if "known" in data:
            data |= json.loads(data["known"])
            states = zip(data["rows"], data["plan"]["sparsities"], data["plan"]["holds"], strict=True)
            return data | {"rows": {row["key"]: row | {"at": at, "hold": hold} for row, at, hold in states}}
    raise AssertionError("no tuner on the screen")


def map_of(app: AppTest, label: str) -> dict[str, Any]:
    """What a map was told, with its rows by name and its cells by place."""
    for component in app.get("bidi_component"):
        data = json.loads(component.proto.json)
        if "catalog" in data and label in data.get("label", ""):
            return opened(data)
    raise AssertionError(f"no map labelled {label}")


def opened(data: dict[str, Any]) -> dict[str, Any]:
    """What the browser makes of the data of a map."""
    data = data | json.loads(data["known"])
    lists = data["cells"] | {"lines": json.loads(data["words"])}
    cells = [dict(zip(lists, of_cell, strict=True)) for of_cell in zip(*lists.values(), strict=True)]
    names = [row[0] for row in data["rows"]]
    return data | {"names": names, "cells": {(cell["row"], cell["column"]): cell for cell in cells}}


def let_go(app: AppTest, ref: str, *edits: dict[str, Any], drawing: str = "one") -> AppTest:
    """What happens when a hand lets go of the tuner: it sends all edits that were not answered."""
    app.session_state[f"tuner-{ref}"] = {"edit": {"drawing": drawing, "edits": list(edits)}}
    app.run()
    assert not app.exception, app.exception
    return app


def read_table(app: AppTest, column: str) -> DataFrame:
    """The short table that has this column, as one reads it: without escapes, and with spaces that are no others."""
    found = next(table.value for table in app.table if column in table.value.columns)
    return found.map(
        lambda cell: cell.replace("\\", "").replace("\N{NO-BREAK SPACE}", " ") if isinstance(cell, str) else cell
    )


def plans_table(app: AppTest) -> DataFrame:
    """The table of kept plans."""
    return next(table.value for table in app.dataframe if "maker" in table.value.columns)


def measured(runs: RunStore, ref: str, plan: SparsityPlan) -> str:
    """Measure a plan in this process; the id of the run."""
    run, _ = runs.submit("measure", *plan_submission(ref, plan))
    assert execute(runs, run.id).state == "finished"
    return run.id


HALF = SparsityPlan((Cut("fc", "weight", 0.5), Cut("layer.self_attn:1", "head")))
