"""How quickly the tuner follows a hand, in a real Chromium: `python tests/benchmarks/tuner.py [ROWS ...]`.

A synthetic model of as many targets with 20 measured sparsities each, so that no sweep has to run. Prints for each the
median and the 95th percentile, in milliseconds, of three waits:

* drag: from an input event of a slider to the frame in which the predicted totals have changed;
* release: from letting go to the moment at which the chart below shows the new plan;
* goal: from a move of the goal to the frame in which the rows are solved anew, in the browser; and the exact solution
  on the server, as Python needs for it.
"""

import math
import random
import time
from collections.abc import Sequence
from pathlib import Path

from core.jobs.runs import RunStore
from core.plans.plan import Cut
from core.sensitivity.report import CellResult, Estimate
from core.workload.description import Description
from core.workload.scale import Scale
from core.workload.target import Member, Target
from core.workspace import Workspace

SPARSITIES = tuple(round(i / 20, 2) for i in range(1, 20)) + (0.97,)
SCALE = Scale("accuracy", "fraction", True, 0.0, 1.0)
DENSE = Estimate(0.924, 0.919, 0.929, 10_000)


def synthetic(folder: Path, n: int, sweep: bool = True, structure: bool = False, seed: int = 0) -> tuple[RunStore, str]:
    """A workspace with a model of `n` layers, of which every cut is measured if `sweep`.

    `structure`: every fourth target is a group of channels, and there are heads and a block.
    """
    rng = random.Random(seed)
    runs, ref = RunStore(Workspace(folder / "workspace")), str(folder / "synthetic.py")
    Path(ref).write_text("raise SystemExit('nothing to load: the workspace knows all')\n")
    targets = [_target(i, n, rng, structure) for i in range(n)]
    n_weights = sum(target.n_weights for target in targets if target.granularity == "weight")
    found = Description(
        ref, "synthetic", "f" * 64, SCALE, 10_000, 500, 50_000, 2_000, n_weights + 10_000, tuple(targets), (), 1
    )
    runs.remember(found)
    if sweep:
        run, _ = runs.submit("sweep", ref, {"workload": ref})
        cells = [cell for i, target in enumerate(targets) for cell in _cells(target, i, n, rng)]
        runs.set_cells(run.id, cells)
        result = {"model": found.fingerprint, "dense": vars(DENSE), "scale": vars(SCALE), "n": DENSE.n}
        runs.update(run.id, state="finished", started=time.time(), ended=time.time(), done=len(cells), result=result)
    return runs, ref


def _target(i: int, n: int, rng: random.Random, structure: bool) -> Target:
    layer = f"stage{4 * i // n}.{i % max(1, n // 4)}.conv{1 + i % 2}"
    width = 8 * 2 ** (4 * i // n) * rng.choice((1, 2, 4))
    if structure and i % 4 == 3:
        members = (Member(layer, "outputs"), Member(f"stage{i}.next", "inputs"))
        return Target(
            layer, "channel", "Conv2d", f"{layer}.weight", (width, width, 3, 3), 18 * width * width, n_units=width,
            members=members,
        )  # fmt: skip
    if structure and i % 4 == 2:
        attention = f"blocks.{i}.attn"
        return Target(
            f"{attention}:0", "head", "SelfAttention", f"{attention}.out.weight", (width, width), width * 8,
            layer=attention, head=0,
        )  # fmt: skip
    return Target(layer, "weight", "Conv2d", f"{layer}.weight", (width, width, 3, 3), 9 * width * width)


def _cells(target: Target, i: int, n: int, rng: random.Random) -> Sequence[CellResult]:
    if target.granularity == "head":
        return [_cell(target, Cut(target.name, "head"), rng.random() * 0.02)]
    worst, power = 0.02 + 0.5 * rng.random() ** 3 + (0.3 if i in (0, n - 1) else 0), 2 + 5 * rng.random()
    return [
        _cell(target, Cut(target.name, target.granularity, s), worst * s**power + rng.gauss(0, 0.0008))
        for s in SPARSITIES
    ]


def _cell(target: Target, cut: Cut, drop: float) -> CellResult:
    half = 0.002 + 0.02 * math.sqrt(abs(drop))
    metric = max(0.1, DENSE.value - drop)
    removed = round((1.0 if cut.sparsity is None else cut.sparsity) * target.n_weights)
    return CellResult(
        cut, removed, target.n_weights, "measured",
        Estimate(metric, metric - 0.005, metric + 0.005, DENSE.n), Estimate(drop, drop - half, drop + half, DENSE.n),
    )  # fmt: skip
