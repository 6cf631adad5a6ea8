"""Runs of a workspace that nobody measured: rows as a worker writes them."""

import pytest

from core.jobs.runs import RunStore
from core.plans.plan import Cut
from core.sensitivity.report import CellResult, Estimate
from core.workspace import Workspace

ACCURACY = {"name": "accuracy", "unit": "fraction", "higher_is_better": True, "low": 0.0, "high": 1.0}
DENSE = {"value": 0.9, "low": 0.85, "high": 0.95, "n": 200}
MADE_WITH = {
    "secateur": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "cpu": "a processor", "cores": 4,
    "system": "Linux x86_64", "device": "cpu", "threads": 2,
}  # fmt: skip


def measured(target, sparsity, drop, wide=0.005, n=200, granularity="weight"):
    cut = Cut(target, granularity, sparsity)
    metric, found = Estimate(0.9 - drop, 0.8, 0.95, n), Estimate(drop, drop - wide, drop + wide, n)
    return CellResult(cut, 5, 10, "measured", metric, found)


@pytest.fixture
def runs(tmp_path):
    return RunStore(Workspace(tmp_path / "ws"))


@pytest.fixture
def swept(runs):
    """Makes a finished sweep of these cells."""

    def make(*cells, model="net.py", seed=0, **columns):
        asked = {"sparsities": [0.5, 0.9], "weights": True, "heads": False, "layers": "", "seed": seed, "mode": "exact"}
        run, _ = runs.submit("sweep", model, asked)
        runs.set_cells(run.id, cells)
        result = {"scale": ACCURACY, "dense": DENSE, "n": 200, "model": "abc", "preview": None, "tolerance": 0.01}
        runs.update(run.id, **{"state": "finished", "result": result, "made_with": MADE_WITH, **columns})
        return runs.get(run.id)

    return make
