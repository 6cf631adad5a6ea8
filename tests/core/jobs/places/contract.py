"""What every place that measures cells promises; a place is a subclass that says how a run is measured there."""

import textwrap

import pytest

from core.jobs.runs import RunStore
from core.jobs.submissions import sweep_submission
from core.jobs.worker import execute
from core.plans.plan import Cut, SparsityPlan
from core.quantization.request import QuantizationRequest
from core.sensitivity.inside.request import UndoRequest
from core.sensitivity.pairs import PairsRequest
from core.sensitivity.request import SweepRequest
from core.workspace import Workspace

SWEEP = {"sparsities": (0.3, 0.6, 0.9), "samples": 60}
CUTS = {"fc1": 0.9, "fc2": 0.5, "out": 0.4}
PLAN = SparsityPlan(tuple(Cut(name, "weight", sparsity) for name, sparsity in CUTS.items())).to_document()
ASKED = {
    "exact": ("sweep", lambda ref: SweepRequest(ref, **SWEEP, replay=True)),
    "exact, full passes": ("sweep", lambda ref: SweepRequest(ref, **SWEEP, replay=False)),
    "race": ("sweep", lambda ref: SweepRequest(ref, **SWEEP, mode="race", tolerance=0.05)),
    "tolerance": ("sweep", lambda ref: SweepRequest(ref, **SWEEP, mode="tolerance", tolerance=0.05)),
    "pairs": ("pairs", lambda ref: PairsRequest(ref, 0.6, samples=60)),
    "bits": ("bits", lambda ref: QuantizationRequest(ref, (4, 2), (0.6,), samples=60)),
    "undo": ("undo", lambda ref: UndoRequest(ref, PLAN, samples=60)),
}
NET = """
from collections import OrderedDict

import torch
from torch import nn

from core import Examples, Workload, accuracy


def workload():
    torch.manual_seed(0)
    x = torch.randn(150, 6)
    y = (x[:, 0] + 0.5 * x[:, 1] > 0).long()
    model = nn.Sequential(
        OrderedDict(fc1=nn.Linear(6, 8), a=nn.ReLU(), fc2=nn.Linear(8, 8), b=nn.ReLU(), out=nn.Linear(8, 2))
    )
    optimiser = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    return Workload("net", model.eval(), Examples(x, y), accuracy(), batch_size=20)
"""


def net_file(folder):
    """A workload file of four layers on 150 points, each of whose cuts costs something else."""
    path = folder / "net.py"
    path.write_text(textwrap.dedent(NET))
    return str(path)


def submitted(runs, name, ref):
    kind, asked = ASKED[name]
    run, _ = runs.submit(kind, *sweep_submission(asked(ref)))
    return run


def done_here(workspace, name, ref):
    """A run measured by its own worker, in this process."""
    runs = RunStore(workspace)
    ended = execute(runs, submitted(runs, name, ref).id, later=False)
    assert ended.state == "finished", ended.error
    return ended


def evidence(workspace):
    with workspace.connect() as db:
        return {tuple(row) for row in db.execute("SELECT * FROM evidence")}


def shown(workspace, run):
    """All that is told of a run but times."""
    with workspace.connect() as db:
        cells = [row[0] for row in db.execute("SELECT cell FROM cells WHERE run = ? ORDER BY position", (run.id,))]
    left = {"cost", "cost_at", "first_map", "first_parts", "notes"}
    return cells, {name: value for name, value in run.result.items() if name not in left}


class PlaceContract:
    """Subclasses give `measured`; where a worker can be killed in the middle, `measured_with_a_kill` too."""

    modes = tuple(ASKED)

    def measured(self, workspace, name, ref):
        """The run as it ended, measured in this place; `name` is one of `ASKED`."""
        raise NotImplementedError

    def measured_with_a_kill(self, workspace, name, ref):
        """As `measured`, with a worker killed (-9) while it had something under way."""
        raise NotImplementedError

    def test_it_is_one_worker_bit_for_bit_with_nothing_lost_and_nothing_twice(self, tmp_path, place_mode):
        if place_mode not in self.modes:
            pytest.skip("not measured in this place")
        ref, alone, here = net_file(tmp_path), Workspace(tmp_path / "alone"), Workspace(tmp_path / "here")
        whole, found = done_here(alone, place_mode, ref), self.measured(here, place_mode, ref)
        assert shown(here, found) == shown(alone, whole)
        if place_mode not in ("race", "tolerance"):
            assert evidence(here) == evidence(alone)
            again = done_here(here, place_mode, ref)
            assert again.reused == again.total

    @pytest.mark.parametrize("mode", ["exact", "tolerance"])
    def test_a_worker_that_is_killed_costs_nothing_but_time(self, tmp_path, mode):
        ref, alone, here = net_file(tmp_path), Workspace(tmp_path / "alone"), Workspace(tmp_path / "here")
        whole, found = done_here(alone, mode, ref), self.measured_with_a_kill(here, mode, ref)
        assert shown(here, found) == shown(alone, whole)
        assert evidence(here) >= evidence(alone) if mode == "exact" else evidence(here)
