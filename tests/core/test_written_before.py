"""What Secateur 0.1.0 wrote before the house got its rooms (commit ebe409a) is opened, served and verified by this one.

`tests/assets/written-by-0.1.0.zip` holds a workspace that has had one of every kind of run, bundles masked, shrunk and
recovered in several formats, a packed file, and the commands that made them (`make.sh`).
"""

import json
import shutil
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from core.cli import group
from core.delivery.packed.unpacking import read_packed
from core.jobs.merging.merge import merge
from core.jobs.runs import RunStore
from core.workspace import Workspace

ASSET = Path(__file__).parents[1] / "assets" / "written-by-0.1.0.zip"
WAS_IN = "/tmp/w/legacy"  # the folder that it was written in
MERGED = {"sweep", "pairs", "measure", "bits", "profile", "recover", "tickets", "export"}
KINDS = MERGED | {"anchors", "refine", "minimise", "quantize"}


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The folder as it was, the paths of its model changed to where it lies now."""
    folder = tmp_path_factory.mktemp("old")
    with zipfile.ZipFile(ASSET) as archive:
        archive.extractall(folder)
    with closing(sqlite3.connect(folder / "workspace" / "secateur.sqlite")) as db, db:
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for column in [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[2] == "TEXT"]:
                db.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (WAS_IN, str(folder)))
    for file in folder.glob("*.py"):
        file.write_text(
            file.read_text().replace(WAS_IN + "/.secateur", WAS_IN + "/workspace").replace(WAS_IN, str(folder))
        )
    return folder


@pytest.fixture
def here(old, tmp_path, monkeypatch):
    """A copy of its workspace that the test may change, and the folder of its files."""
    shutil.copytree(old / "workspace", tmp_path / "workspace")
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "workspace"))
    return RunStore(Workspace(tmp_path / "workspace")), old


def secateur(*words):
    done = CliRunner().invoke(group, list(map(str, words)), obj=list(map(str, words)))
    assert done.exit_code == 0, (words, done.output)
    return done.stdout


def test_every_kind_of_run_is_shown_as_a_table_and_as_json(here):
    runs, _ = here
    listed = runs.list()
    assert {run.kind for run in listed} == KINDS
    for run in listed:
        assert secateur("show", run.id)
        assert json.loads(secateur("show", run.id, "--json"))["run"]["id"] == run.id


@pytest.mark.slow
def test_what_it_measured_is_not_measured_again(here, worker_here):
    runs, folder = here
    cells = ("--channels", "--patterns", "2:4", "--criteria", "magnitude,wanda", "--sparsities", "0.25,0.5,0.75")
    found = json.loads(secateur("sweep", folder / "pocket.py", *cells, "--samples", "all", "--json"))
    (before,) = [run for run in runs.list("sweep") if run.request["mode"] == "exact" and run.id != found["run"]["id"]]
    run = runs.get(found["run"]["id"])
    assert (run.reused, run.total) == (148, before.total)  # as the build that wrote it says: 2:4 does not fit 12 cells
    assert [(c.cut, c.metric, c.drop) for c in runs.report(run).cells] == [
        (c.cut, c.metric, c.drop) for c in runs.report(before).cells
    ]


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("bundle", ["masked", "masked.zip", "shrunk", "shrunk-all", "shrunk-all.zip", "recovered"])
def test_its_bundles_are_verified(here, bundle):
    _, folder = here
    model = folder / ("recovered.py" if bundle == "recovered" else "pocket.py")
    checked = json.loads(secateur("verify", folder / "out" / bundle, "--model", model, "--json"))
    assert checked["files"] >= 3


def test_its_packed_file_is_read(here):
    _, folder = here
    assert read_packed(folder / "packed.safetensors")


def test_its_workspace_is_merged_into_a_new_one(here, tmp_path):
    runs, _ = here
    new = Workspace(tmp_path / "new")
    merge(new, runs.workspace.folder)
    assert {run.kind for run in RunStore(new).list()} == MERGED
