"""Plans for engines beside plans for FLOPs: `python -m tests.benchmarks.plans_for_engines MODEL [--engines …]`.

For each goal (FLOPs, and milliseconds on each engine, by staircases) the budget is searched at which the solved plan's
*measured* drop comes nearest to one that all have in common; so the plans compared are of equal measured quality, which
the paired difference on the same examples says beside them. Then every plan's smaller model is timed on every engine,
all in turn: is the plan that was solved for an engine faster there than the one for FLOPs, and than those that were
solved for other engines? Sweeps of channels and staircases are taken from WORKSPACE; measured first where they are not
there.
"""

import math
import tempfile
from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from core.jobs.known.chosen_by import part_after_choosing
from core.jobs.known.findings import predictor_of, saved_time_of, stairs_of
from core.jobs.runs import RunStore
from core.jobs.submissions import stairs_submission, sweep_submission
from core.jobs.worker import execute
from core.jobs.works.measuring import measurement_for
from core.plans.plan import SparsityPlan
from core.profiling.frontier.measure import Cutter
from core.profiling.paired import median_interval
from core.profiling.shipped.turns import InTurns, expected_of
from core.profiling.stairs.request import StairsRequest
from core.sensitivity.report import Estimate
from core.sensitivity.request import SweepRequest
from core.tuning.goal import NO_PLAN, Goal, solve
from core.workload.loading import canonical_ref, load_workload
from core.workspace import Workspace
from tests.benchmarks.record import Column, Table, is_asked, recordable, write_record

ASKS = "Is a plan that was solved for an engine's milliseconds faster there than one of equal quality for FLOPs?"
READING = (
    "Times: all plans of a model and drop in turn on the engine; “times as fast” is the other plan's time over that of "
    "the engine's own, of the same turns, with the 95 % interval of its median: above 1, the engine's own plan is the "
    "faster. Drops are measured on examples that nothing was chosen by; “worse by” is the own plan's drop minus the "
    "other's on the same examples, with its 95 % interval: where it holds 0 the two are of equal measured quality."
)
COLUMNS = (
    Column("model"), Column("timed on"), Column("drop aimed at", form=".1%"), Column("plan solved for"),
    Column("its drop", form=".2%"), Column("own plan worse by", form="+.2%"), Column("from", form="+.2%"),
    Column("to", form="+.2%"), Column("times as fast as dense", form=".2f"),
    Column("own plan times as fast", form=".3f"), Column("low", form=".3f"), Column("high", form=".3f"),
    Column("turns"),
)  # fmt: skip
FLOPS = "FLOPs"
HALVINGS = 10
ROUNDS, SECONDS = 40, 60.0


@dataclass(frozen=True)
class Found:
    """A plan for a goal, and what it costs on each example."""

    plan: SparsityPlan
    drop: Estimate
    scores: np.ndarray


class Bench:
    """One model: its predictor, and measured drops of plans."""

    def __init__(self, runs, model, engines, pythons, repair, samples, quick):
        self.runs, self.ref, self.workload = runs, canonical_ref(model), load_workload(canonical_ref(model))
        self.pythons = dict(pythons)
        described = runs.description(self.ref)
        if described is None or predictor_of(runs, described[0], repair=repair) is None:
            asked = SweepRequest(self.ref, weights=False, channels=True, repair=repair, samples=samples)
            self._done("sweep", sweep_submission(asked))
        found = runs.description(self.ref)[0]
        for engine in engines:
            if engine not in stairs_of(runs, found):
                more = {"rounds": 6, "seconds": 0.1} if quick else {}
                own = tuple(one for one in pythons if one[0] == engine)
                self._done("stairs", stairs_submission(model, StairsRequest((engine,), pythons=own, **more)))
        self.found = runs.description(self.ref)[0]
        self.predictor = predictor_of(runs, self.found, repair=repair)
        self.saved = {engine: saved_time_of(runs, self.found, engine) for engine in engines}
        part = part_after_choosing(runs, self.found, NO_PLAN, self.workload.n_open, self.workload.n_open)
        run = stairs_of(runs, self.found)[engines[0]].run
        self.measurement = measurement_for(run, self.workload, runs, part.n, 0, "cpu", skip=part.skip)
        self.part, self.known = part, {}
        self.cutter = Cutter(self.workload)

    def _done(self, kind, submission):
        run = execute(self.runs, self.runs.submit(kind, *submission)[0].id)
        if run.state != "finished":
            raise SystemExit(f"{kind} of {self.ref}: {run.error}")

    def solved(self, goal, left):
        kind = "flops" if goal == FLOPS else "milliseconds"
        return solve(Goal(kind, left), self.predictor, self.found, self.saved.get(goal))

    def measured(self, plan):
        if plan not in self.known:
            outcome = self.measurement.measure(plan)
            evidence = self.measurement.known(self.measurement.cell_key(plan))
            scores = np.concatenate([evidence[i].scores for i in range(len(self.measurement.batches))])
            self.known[plan] = Found(plan, outcome.drop, scores.astype(np.float64))
        return self.known[plan]

    def at(self, goal, drop):
        """The plan for a goal of which the measured drop is nearest to one."""
        low, high, tried = 0.02, 1.0, []
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            plan = self.solved(goal, middle).plan
            if not plan.cuts:
                high = middle
                continue
            tried.append(self.measured(plan))
            print(f"  {self.found.name}, {goal}: {middle:.3f} left, drop {tried[-1].drop.value:+.4f}", flush=True)
            low, high = (middle, high) if tried[-1].drop.value > drop else (low, middle)
        return min(tried, key=lambda one: abs(one.drop.value - drop))

    def times(self, engine, plans, quick):
        """Seconds of every plan's smaller model, and of the dense one under None, in turn."""
        rounds, seconds = (6, 0.1) if quick else (ROUNDS, SECONDS)
        x = tuple(tensor[:1].cpu() for tensor in self.workload.evaluation.tensors[:-1])
        with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
            turns = InTurns(engine, Path(folder, "engine"), 1, self.pythons.get(engine))
            with turns:
                turns.put("dense", expected_of(self.workload.model.eval(), x, Path(folder, "dense")), is_base=True)
                for name, one in plans.items():
                    turns.put(name, expected_of(self.cutter.made(one.plan), x, Path(folder, name)))
                times, died = turns.times(rounds, seconds)
        assert not died, died
        return times


def difference(own, other):
    """Mean of the paired difference of two plans' scores, other minus own: how much worse the own one is; 95 %."""
    gaps = other.scores - own.scores
    error = 1.96 * gaps.std(ddof=1) / math.sqrt(len(gaps))
    return gaps.mean(), gaps.mean() - error, gaps.mean() + error


def of_model(bench, engines, drops, quick):
    """A row for each drop, engine and plan."""
    rows = []
    with bench.measurement:
        for drop in drops:
            plans = {goal: bench.at(goal, drop) for goal in (FLOPS, *engines)}
            for engine in engines:
                own, times = plans[engine], bench.times(engine, plans, quick)
                for goal, one in plans.items():
                    ratio = median_interval([a / b for a, b in zip(times[goal], times[engine], strict=True)])
                    dense = median_interval([a / b for a, b in zip(times["dense"], times[goal], strict=True)])
                    gap = difference(own, one)
                    rows.append([
                        bench.found.name, engine, drop, goal if goal == FLOPS else f"milliseconds on {goal}",
                        one.drop.value, *gap, dense.value, ratio.value, ratio.low, ratio.high, ratio.n,
                    ])  # fmt: skip
                    print(" | ".join(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in rows[-1]))
    return rows


def main():
    """Print a line of each plan, and write the record."""
    parser = ArgumentParser(description=__doc__, usage=__doc__.split("`")[1])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--engines", default="onnx,openvino")
    parser.add_argument("--python", default="", help="NAME=PATH,…: interpreters of engines")
    parser.add_argument("--drops", default="0.01,0.03", help="aimed at, in the metric's unit")
    parser.add_argument("--repair", help="of the sweep and the plans")
    parser.add_argument("--samples", type=int, help="of a sweep that is not there yet")
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--quick", action="store_true", help="only to see that it works")
    recordable(parser)
    options = parser.parse_args()
    engines = options.engines.split(",")
    pythons = tuple(tuple(one.split("=", 1)) for one in options.python.split(",") if one)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        runs = RunStore(Workspace(options.workspace or Path(folder)))
        for model in options.models:
            bench = Bench(runs, model, engines, pythons, options.repair, options.samples, options.quick)
            rows += of_model(bench, engines, [float(one) for one in options.drops.split(",")], options.quick)
    if is_asked(options):
        write_record(options, "Plans for engines", ASKS, [Table(COLUMNS, rows)], READING)


if __name__ == "__main__":
    main()
