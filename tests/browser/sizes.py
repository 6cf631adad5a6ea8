"""Workspaces with none, little and much in them, made up in a moment: nothing is loaded, swept or trained."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType

from core.graph.network import INPUT, OUTPUT, Network, Operation, Place
from core.jobs.submissions import sweep_submission
from core.plans.plan import SparsityPlan
from core.plans.schedules import Schedule
from core.recovery.history import Round
from core.recovery.request import RecoverRequest
from core.recovery.settings import FineTuning
from core.sensitivity.report import Estimate
from core.sensitivity.request import SweepRequest
from core.workload.loading import sample_names
from core.workload.target import Target
from tests.benchmarks.tuner import DENSE, SCALE, SPARSITIES, synthetic

SCREENS: Mapping[str, str] = MappingProxyType(
    {"model": "", "map": "map", "tune": "tune", "recover": "recover", "deliver": "deliver"}
)
ROWS: Mapping[str, int] = MappingProxyType({"none": 12, "little": 12, "300 rows": 300})
WIDTHS = (1440, 900, 600)
SCHEMES = ("light", "dark")


def made(folder: Path, size: str) -> Path:
    """The workspace of one size, with one model: its name is `synthetic`.

    With `"none"` the model has been read, and nothing was measured. Else there are a map of all its cuts, measured
    plans, a network, a draft, a recovery that was stopped, a run at work and two that wait.
    """
    runs, ref = synthetic(folder, ROWS[size], sweep=size != "none", structure=True)
    known = runs.description(ref)
    assert known is not None
    for sample in sample_names():  # as if they had been read, so that no worker starts to read them
        runs.remember(replace(known[0], ref=sample, name=sample))
    if size == "none":
        return runs.workspace.folder
    targets = known[0].targets
    (swept,) = runs.list("sweep", ref)
    _, asked = sweep_submission(SweepRequest(ref, SPARSITIES, channels=True))
    n_cells = swept.done
    runs.update(swept.id, request=json.dumps(dict(asked)), total=n_cells)
    graph, _ = runs.submit("graph", ref, {})
    drawn = {"model": known[0].fingerprint, "network": _network(targets).to_json()}
    runs.update(graph.id, state="finished", started=1.0, ended=2.0, done=1, total=1, result=drawn)
    runs.save_draft(ref, SparsityPlan.uniform([t for t in targets if t.granularity == "weight"], 0.5, workload=ref))
    schedule = Schedule("cubic", 0.0, 0.9, 5)
    request = RecoverRequest(ref, schedule, FineTuning(steps=200), tolerance=0.01)
    recovery, _ = runs.submit("recover", ref, request.to_json())
    rounds = [_round(i + 1, gone) for i, gone in enumerate(schedule.sparsities()[:3])]
    result = {
        "model": known[0].fingerprint, "metric": asdict(SCALE), "schedule": list(schedule.sparsities()),
        "dense": asdict(DENSE), "history": [row.to_json() for row in rounds], "best": 2, "choice": None,
        "losses": [(i, 20 * j, 2.0 / (i + j)) for i in (1, 2, 3) for j in range(1, 11)],
        "checkpoint": "recoveries/0123456789abcdef/round-003.safetensors",
    }  # fmt: skip
    runs.update(recovery.id, state="cancelled", started=1.0, ended=900.0, done=600, total=1000, result=result)
    at_work, *_ = (runs.submit("profile", ref, {"plan": None, "n": n})[0] for n in range(3))
    runs.update(at_work.id, state="running", started=1.0, done=1, total=4, phase="measuring times")
    with runs.workspace.write() as db:  # no worker has taken them, and nobody shall take them for dead
        db.execute("UPDATE runs SET created = created + 1e6 WHERE state IN ('queued', 'running')")
    return runs.workspace.folder


def _network(targets: Sequence[Target]) -> Network:
    """All layers in a line, each an operation of its module."""
    layers = list(dict.fromkeys(target.layer or target.name for target in targets))
    before = [INPUT, *layers]
    operations = [Operation(INPUT, INPUT, "")]
    operations += [Operation(name, "aten.conv2d.default", name, (before[i],), (1, 8)) for i, name in enumerate(layers)]
    operations.append(Operation(OUTPUT, OUTPUT, "", (layers[-1],)))
    places = tuple(Place(target.granularity, target.name, target.layer or target.name) for target in targets)
    inside = {name.rpartition(".")[0]: "Block" for name in layers}
    outside = {path.partition(".")[0]: "Stage" for path in inside}
    return Network(tuple(operations), places, {"": "Net", **outside, **inside, **dict.fromkeys(layers, "Conv2d")}, 1)


def _round(number: int, gone: float) -> Round:
    drop = 0.002 * number**2
    after = Estimate(DENSE.value - drop, DENSE.low - drop, DENSE.high - drop, DENSE.n)
    before = Estimate(after.value - 0.1 * gone, after.low - 0.1 * gone, after.high - 0.1 * gone, DENSE.n)
    return Round(number, gone, before, after, Estimate(drop, drop - 0.002, drop + 0.002, DENSE.n), 200, 61.0)
