"""Predicted milliseconds against measured: `python -m tests.benchmarks.predicted_milliseconds MODEL [--engines …]`.

Random plans narrow every coupled group and attention at once, half of them to any width, half to multiples of 8; their
smaller models are timed in each engine, in turn with the dense one. Set beside it: what `--cost milliseconds --engine
ENGINE` predicts of the same plans from staircases that were measured one target at a time (in WORKSPACE; measured first
where they are not there), and what the savings of single targets would give if they were added up. Both times are
shares of the dense model's, so that what the machine does meanwhile meets both.
"""

import random
import statistics
import tempfile
from argparse import ArgumentParser
from pathlib import Path

from core.jobs.known.findings import saved_time_of, stairs_of
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.submissions import stairs_submission
from core.jobs.worker import execute
from core.jobs.works.profiling import measuring
from core.plans.costs.left import plan_cost
from core.plans.plan import SparsityPlan
from core.profiling.stairs.measure import HANDFUL, timed
from core.profiling.stairs.request import StairsRequest
from core.profiling.stairs.widths import drawn_whole
from core.workload.loading import canonical_ref, load_workload
from core.workspace import Workspace
from tests.benchmarks.record import Column, Table, is_asked, recordable, write_record

ASKS = "How far from measured is the time of a plan that narrows everything at once, as told by single staircases?"
READING = (
    "Errors are of the share of the dense model's time, predicted / measured − 1. “Added up” takes off what each "
    "target saves alone, as eager torch's milliseconds do. In the band: within what the command says of itself, the "
    "worst of eight plans that were timed with the staircases."
)
COLUMNS = (
    Column("model"), Column("engine"), Column("widths"), Column("plans"),
    Column("median error", form=".1%"),
    Column("worst", form=".1%"), Column("within 10 %", form=".0%"), Column("in the band", form=".0%"),
    Column("added up, median", form=".1%"), Column("share left", form=".2f"),
)  # fmt: skip


def main() -> None:
    """Print a line of each plan, and a table."""
    parser = ArgumentParser(description=__doc__, usage=__doc__.split("`")[1])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--engines", default="onnx")
    parser.add_argument("--python", default="", help="NAME=PATH,…: interpreters of engines")
    parser.add_argument("--plans", type=int, default=20, help="of each kind of widths")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workspace", type=Path)
    recordable(parser)
    options = parser.parse_args()
    pythons = tuple(tuple(one.split("=", 1)) for one in options.python.split(",") if one)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        runs = RunStore(Workspace(options.workspace or Path(folder)))
        for model in options.models:
            for engine in options.engines.split(","):
                rows += of_engine(runs, model, engine, pythons, options.plans, options.seed)
    table = Table(COLUMNS, rows)
    for row in rows:
        print(" | ".join(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row))
    if is_asked(options):
        write_record(options, "Predicted milliseconds", ASKS, [table], READING)


def of_engine(runs, model, engine, pythons, n, seed):
    """Two rows: any widths, and multiples of 8."""
    ref, workload = canonical_ref(model), load_workload(canonical_ref(model))
    described = runs.description(ref)
    if described is None or engine not in stairs_of(runs, described[0]):
        request = StairsRequest((engine,), pythons=tuple(one for one in pythons if one[0] == engine))
        done = execute(runs, runs.submit("stairs", *stairs_submission(model, request))[0].id)
        if done.state != "finished":
            raise SystemExit(f"{model} in {engine}: {done.error}")
        described = runs.description(ref)
    found = described[0]
    known, saved = stairs_of(runs, found)[engine], saved_time_of(runs, found, engine)
    run: Run = known.run
    asked = measuring(run, workload, runs, known.request())
    draw, rows = random.Random(seed), []
    stairs = dict(known.stairs.stairs()[0]) | dict(known.stairs.stairs()[1])
    for name, multiple in (("any", 1), ("multiples of 8", 8)):
        plans = [drawn_whole(asked.narrowed.widths(), multiple, draw) for _ in range(n)]
        found_rows = []
        for at in range(0, n, HANDFUL):
            some = plans[at : at + HANDFUL]
            dense, made = timed(asked, engine, [asked.narrowed.plan(one) for one in some], [name] * len(some))
            assert not isinstance(dense, str), dense
            for one, ratio in zip(some, made, strict=True):
                if isinstance(ratio, str):
                    print(f"{model} {engine}: {ratio}")
                    continue
                plan: SparsityPlan = asked.narrowed.plan(one)
                cost = plan_cost(plan, found, "milliseconds", saved)
                share = cost.value / 1000 / saved.dense
                added = 1 - sum(1 - _alone(stairs[w.target], w.width) for w in one)
                in_band = cost.low is not None and cost.low <= 1000 * saved.dense * ratio.value <= cost.high
                found_rows.append((share / ratio.value - 1, in_band, added / ratio.value - 1, ratio.value))
                print(f"{model} {engine} {name}: predicted {share:.3f}, measured {ratio.value:.3f} "
                      f"[{ratio.low:.3f}, {ratio.high:.3f}], added up {added:.3f}", flush=True)  # fmt: skip
        errors = [abs(one[0]) for one in found_rows]
        rows.append([
            model, f"{engine} {known.stairs.version}", name, len(errors), statistics.median(errors), max(errors),
            sum(one <= 0.1 for one in errors) / len(errors), sum(one[1] for one in found_rows) / len(errors),
            statistics.median(abs(one[2]) for one in found_rows), statistics.median(one[3] for one in found_rows),
        ])  # fmt: skip
    return rows


def _alone(stair, width):
    """What one target alone leaves of the time, linear between what was measured."""
    widths, ratios = stair.widths, [*(step.ratio for step in stair.steps), 1.0]
    for (a, x), (b, y) in zip(zip(widths, ratios, strict=True), zip(widths[1:], ratios[1:], strict=True), strict=False):
        if width <= b:
            return x + (y - x) * max(0, width - a) / (b - a)
    return 1.0


if __name__ == "__main__":
    main()
