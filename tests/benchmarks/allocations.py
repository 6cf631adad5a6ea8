"""Plans of one budget beside each other: the sensitivity plan against uniform, global magnitude, ERK and LAMP.

    python -m tests.benchmarks.allocations [MODEL ...] [--sweep N] [--judge N] [--left 0.5,0.3,0.2,0.1]

The evaluation data are split: curves are measured on the first part and all plans judged on the second, which the
solver has not seen. `refined` is the solver's plan after four rounds of measuring around it, on the first part too.
Non-zeros, and FLOPs with the weights that are left. Each cell is the measured drop; `>` beside it: the sensitivity plan
is better on the same examples (95 % interval of the paired difference), `<`: it is worse, `=`: the data cannot tell;
and `r>`, `r<`, `r=` the same for the refined plan.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from core.errors import SecateurError
from core.plans.costs.left import Kind
from core.plans.plan import SparsityPlan
from core.plans.prediction import Predictor
from core.profiling.target_flops import flops_by_target
from core.pruning.allocations import ALLOCATIONS, allocated_plan
from core.pruning.structure import everything
from core.sensitivity.cells import plan_cells
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.report import CellResult
from core.sensitivity.request import SweepRequest
from core.sensitivity.statistics.intervals import drop_estimate
from core.sensitivity.sweep import Sweep
from core.tuning.predictor import make_predictor
from core.tuning.refined_plan import Budget, Refining
from core.tuning.spaces import position
from core.workload.description import Description, describe
from core.workload.examples import Examples
from core.workload.loading import load_workload
from core.workload.workload import Workload
from core.workspace import Workspace
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record

MODELS = ("fashion-resnet", "fashion-vit", "tiny-gpt")
KINDS: tuple[Kind, ...] = ("nonzeros", "flops")
WORDS = {"nonzeros": "non-zeros", "flops": "FLOPs"}


def part(workload: Workload, start: int, end: int) -> Workload:
    """The workload on some of its evaluation examples, in an order drawn once."""
    order = np.random.default_rng(0).permutation(len(workload.evaluation))[start:end]
    inputs, labels = workload.evaluation.inputs, workload.evaluation.labels
    columns: dict[str, list[str | int]] = {}
    return replace(workload, evaluation=Examples(tuple(x[order] for x in inputs), labels[order]), columns=columns)


def swept(name: str, workload: Workload) -> Predictor:
    """Curves of the weights of every layer."""
    request = SweepRequest(name, heads=False, preview=False)
    with Measurement(workload, None) as measurement:
        cells: list[CellResult] = list(plan_cells(measurement.targets, request))
        Sweep(measurement, cells, request, lambda news: _take(cells, news.cells)).run()
        predictor = make_predictor(cells, workload.metric.scale, measurement.dense())
    assert predictor is not None
    return predictor


def _take(cells: list[CellResult], news: object) -> None:
    for at, cell in news.items():  # type: ignore[attr-defined]
        cells[at] = cell


def plans_of(
    first: Measurement, found: Description, predictor: Predictor, kind: Kind, left: float, rounds: int
) -> dict[str, SparsityPlan]:
    """A plan by every allocation: the solver's, the solver's refined on the first part, and the others."""

    def measure(plan: SparsityPlan) -> float | None:
        outcome = first.measure(plan)
        return None if outcome.metric is None else position(found.scale, predictor.space, outcome.metric.value)

    refining = Refining(predictor, found, Budget(kind, left, ("weight",)))
    refined = refining.refined(measure, rounds)
    assert refined is not None
    model = first.workload.model
    others = {name: allocated_plan(name, model, found, left, kind) for name in ALLOCATIONS}
    return {"sensitivity": refining.start, "refined": refined[0], **others}


def judged(measurement: Measurement, plans: dict[str, SparsityPlan]) -> list[str]:
    """A cell of the table for each plan."""
    store, scale = measurement.store, measurement.workload.metric.scale
    assert store is not None
    scores, drops = {}, {}
    for name, plan in plans.items():
        outcome = measurement.measure(plan)
        drops[name] = outcome.drop
        known = store.read(measurement.cell_key(plan), measurement.batches.keys)
        scores[name] = np.concatenate([known[key].scores for key in measurement.batches.keys]).astype(np.float64)
    _, weights = measurement.dense_scores(range(len(measurement.batches)))
    cells = []
    for name in plans:
        drop = drops[name]
        text = "failed" if drop is None else f"{scale.factor * drop.value:.2f}"
        for mark, ours in (("", "sensitivity"), ("r", "refined")):
            if name not in ("sensitivity", "refined") and drop is not None:
                apart = drop_estimate(scale, scores[ours], scores[name], weights)
                text += f" {mark}{'>' if apart.low > 0 else '<' if apart.high < 0 else '='}"
        cells.append(text)
    return cells


def main() -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--sweep", type=int, default=2000, help="examples for the curves, at most half of all")
    parser.add_argument("--refine", type=int, default=1000, help="of these, to measure around plans on")
    parser.add_argument("--rounds", type=int, default=4, help="of refining; 0: the refined plan is the solver's")
    parser.add_argument("--judge", type=int, default=5000, help="examples to judge on")
    parser.add_argument("--left", default="0.5,0.3,0.2,0.1")
    recordable(parser)
    asked = parser.parse_args()
    tables: list[Table] = []
    budgets: Sequence[float] = [float(word) for word in asked.left.split(",")]
    for name in asked.models:
        whole, start = load_workload(name), time.monotonic()
        half = len(whole.evaluation) // 2
        first = part(whole, 0, min(asked.sweep, half))
        second = part(whole, half, half + asked.judge)
        predictor = swept(name, first)
        found = describe(name, whole, everything, None, flops_by_target)
        few = part(whole, 0, min(asked.refine, half))
        with (
            tempfile.TemporaryDirectory() as folder,
            Measurement(second, EvidenceStore(Workspace(folder))) as judge,
        ):
            dense = judge.dense()
            print(f"\n{whole.name}: {whole.metric.scale.name} {dense.value:.4g} dense, curves n = {predictor.n:,}, "
                  f"judged n = {dense.n:,}\n")  # fmt: skip
            rows: list[list[Cell]] = []
            print(f"| left of | {' | '.join(['sensitivity', 'refined', *ALLOCATIONS])} |")
            print("| --- " * (3 + len(ALLOCATIONS)) + "|")
            for kind in KINDS:
                for left in budgets:
                    try:
                        with Measurement(few, None) as around:
                            plans = plans_of(around, found, predictor, kind, left, asked.rounds)
                    except SecateurError as error:
                        print(f"| {kind} {left:.0%} | {error} |", flush=True)
                        rows.append([f"{WORDS[kind]} {100 * left:.0f} %", str(error), *[None] * (1 + len(ALLOCATIONS))])
                        continue
                    cells = judged(judge, plans)
                    print(f"| {kind} {left:.0%} | {' | '.join(cells)} |", flush=True)
                    rows.append([f"{WORDS[kind]} {100 * left:.0f} %", *cells])
            columns = [Column(title) for title in ("left of", "solved", "refined", *ALLOCATIONS)]
            unit = " in points" * (whole.metric.scale.unit == "fraction")
            title = f"{whole.name}, {whole.metric.scale.name} {dense.value:.4g} dense, drops{unit}"
            tables.append(Table(columns, rows, f"{title}; curves n = {predictor.n:,}, judged n = {dense.n:,}"))
        print(f"\n{time.monotonic() - start:.0f} s")
    write_record(
        asked,
        "Plans of one budget",
        "Which way of sharing out a budget costs least?",
        tables,
        "Measured drops on examples that neither the sweep nor the solver saw; `>` beside one: the solver's plan is "
        "better on the same examples (95 % interval of the paired difference), `<`: it is worse, `=`: the data cannot "
        "tell; `r` the same for the refined plan.",
        [f"Refined in {asked.rounds} rounds, measured on at most {asked.refine:,} examples of the sweep."],
    )


if __name__ == "__main__":
    main()
