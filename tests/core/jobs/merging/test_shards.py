"""Shards measured on several machines and merged are what one machine measures, bit for bit, in every mode."""

from dataclasses import asdict

import pytest

from core.cli.tables.runs import run_result
from core.jobs.merging.merge import merge
from core.jobs.merging.shards import shard_line, shard_sets, shard_text
from core.jobs.runs import RunStore
from core.jobs.worker import execute
from core.plans.plan import Cut, SparsityPlan
from core.quantization.request import QuantizationRequest
from core.sensitivity.inside.request import UndoRequest
from core.sensitivity.pairs import PairsRequest
from core.sensitivity.request import SweepRequest
from core.workload.loading import load_workload
from core.workspace import Workspace
from tests.core.jobs.places.contract import net_file

pytestmark = [pytest.mark.model]
N, REF = 3, "memory:net"
SWEEP = {"sparsities": (0.3, 0.6, 0.9), "samples": 60}
CUTS = {"fc1": 0.9, "fc2": 0.5, "out": 0.4}
PLAN = SparsityPlan(tuple(Cut(name, "weight", sparsity) for name, sparsity in CUTS.items())).to_document()
ASKED = {
    "exact": ("sweep", lambda shard: SweepRequest(REF, **SWEEP, shard=shard)),
    "race": ("sweep", lambda shard: SweepRequest(REF, **SWEEP, mode="race", tolerance=0.05, shard=shard)),
    "tolerance": ("sweep", lambda shard: SweepRequest(REF, **SWEEP, mode="tolerance", tolerance=0.05, shard=shard)),
    "calibrated": (
        "sweep",
        lambda shard: SweepRequest(
            REF, **SWEEP, mode="tolerance", tolerance=0.05, rule="calibrated", shard=shard
        ),
    ),
    "pairs": ("pairs", lambda shard: PairsRequest(REF, 0.6, samples=60, shard=shard)),
    "bits": ("bits", lambda shard: QuantizationRequest(REF, (4, 2), (0.6,), samples=60, shard=shard)),
    "undo": ("undo", lambda shard: UndoRequest(REF, PLAN, samples=60, shard=shard)),
    "undo, race": ("undo", lambda shard: UndoRequest(REF, PLAN, samples=60, mode="race", shard=shard)),
}  # fmt: skip


@pytest.fixture
def net(tmp_path):
    """Four layers on 150 points; each cut costs something else."""
    return load_workload(net_file(tmp_path))


def do(workspace, kind, request, workload):
    runs = RunStore(workspace)
    fields = {name: value for name, value in asdict(request).items() if (name, value) != ("shard", None)}
    run, _ = runs.submit(kind, REF, fields)
    ended = execute(runs, run.id, workload)
    assert ended.state == "finished", ended.error
    return ended


def evidence(workspace):
    with workspace.connect() as db:
        return {tuple(row) for row in db.execute("SELECT * FROM evidence")}


def shown(workspace, run):
    with workspace.connect() as db:
        cells = [row[0] for row in db.execute("SELECT cell FROM cells WHERE run = ? ORDER BY position", (run.id,))]
    left = {"cost", "cost_at", "first_map", "first_parts", "notes"}
    return cells, {name: value for name, value in run.result.items() if name not in left}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("lost", [None, 2])
def test_shards_that_are_merged_are_one_machine_bit_for_bit(net, tmp_path, name, lost):
    kind, asked = ASKED[name]
    alone = Workspace(tmp_path / "alone")
    whole = do(alone, kind, asked(None), net)
    parts = [Workspace(tmp_path / f"part{k}") for k in range(1, N + 1)]
    for k, part in enumerate(parts, 1):
        if k != lost:
            do(part, kind, asked(f"{k}/{N}"), net)
    here = Workspace(tmp_path / "here")
    for part in parts:
        merge(here, part.folder)
    if lost is not None:  # that machine has died; its part is run again, elsewhere
        (found,) = shard_sets(RunStore(here).list())
        assert found.missing == (lost,)
        do(parts[lost - 1], kind, asked(f"{lost}/{N}"), net)
        merge(here, parts[lost - 1].folder)
    before = evidence(here)
    joined = do(here, kind, asked(None), net)
    assert shown(here, joined) == shown(alone, whole)
    if name in ("exact", "pairs", "bits", "undo"):
        assert evidence(here) == before == evidence(alone)  # nothing was missing, nothing was measured twice
        assert joined.reused == joined.total
    (found,) = shard_sets(RunStore(here).list())
    assert (found.missing, found.whole) == ((), True)


def test_a_merge_says_which_shards_are_here_and_what_makes_one_map_of_them(net, tmp_path):
    here = Workspace(tmp_path / "here")
    _, asked = ASKED["exact"]
    do(here, "sweep", asked("2/3"), net)
    (found,) = shard_sets(RunStore(here).list())
    assert shard_text(found) == f"1 of 3 shards of the sweep of {REF} are here; missing: 1, 3"
    for k in (1, 3):
        do(here, "sweep", asked(f"{k}/3"), net)
    (found,) = shard_sets(RunStore(here).list())
    assert "all 3 shards" in shard_text(found)
    assert "--sparsities 0.3,0.6,0.9 --samples 60`" in shard_text(found)
    assert "--shard" not in shard_text(found)


def test_a_shard_of_a_sweep_is_a_map_of_its_own_targets(net, tmp_path):
    _, asked = ASKED["exact"]
    runs = RunStore(Workspace(tmp_path))
    parts = [runs.report(do(runs.workspace, "sweep", asked(shard), net)).cells for shard in ("1/2", "2/2", None)]
    first, second, whole = ([cell.cut.target for cell in cells] for cells in parts)
    assert sorted(first + second) == sorted(whole)
    for run in runs.list():
        line = shard_line(run)
        assert (line is None) == ("shard" not in run.request)
        assert line is None or "`secateur sweep memory:net --sparsities 0.3,0.6,0.9 --samples 60` makes one map" in line
    assert not set(first) & set(second)


@pytest.mark.parametrize("name", ["pairs", "bits", "undo"])
def test_a_shard_of_what_is_compared_as_a_whole_is_evidence_and_no_report(net, tmp_path, name):
    kind, asked = ASKED[name]
    runs = RunStore(Workspace(tmp_path))
    run = do(runs.workspace, kind, asked("1/3"), net)
    assert runs.pairs_report(run) is runs.undo_report(run) is runs.quantization_report(run) is None
    assert len(evidence(runs.workspace)) > 0
    run_result(runs, run)  # and is told in words
