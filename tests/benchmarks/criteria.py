"""Whole uniform plans by each criterion, measured, beside magnitude: `python -m tests.benchmarks.criteria tiny-gpt`.

Every layer of `--layers` that all criteria fit loses the same share (the papers cut the layers of the blocks, neither
embedding nor output: `--layers blocks`). The drop beyond magnitude's is paired over the evaluation examples, so that
its 95 % interval says which of the two cuts better. Criteria that look at data see the calibration examples alone.
"""

import argparse
import re
import time

import numpy as np

from core import SparsityPlan, load_workload
from core.plans.criteria import FACTS
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.outcome import Failure
from core.sensitivity.statistics.bootstrap import UndefinedMetricError
from core.sensitivity.statistics.intervals import drop_estimate, metric_estimate
from tests.benchmarks.record import Cell, Column, Table, interval, recordable, write_record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--sparsity", type=float, default=0.5)
    parser.add_argument("--pattern", help="as 2:4, in place of --sparsity")
    parser.add_argument("--criteria", default=",".join(n for n, f in FACTS.items() if "weights" in f.scores))
    parser.add_argument("--layers", default="", help="regular expression, searched in the names of layers")
    parser.add_argument("--samples", type=int)
    recordable(parser)
    arguments = parser.parse_args()
    rows: list[list[Cell]] = []
    workload = load_workload(arguments.model)
    names = ["magnitude", *(n for n in arguments.criteria.split(",") if n != "magnitude")]
    scale = workload.metric.scale
    with Measurement(workload, None, arguments.samples or "all") as measurement:
        # layers that every criterion fits, so that all plans remove equally many weights
        plans = {name: _plan(measurement, name, arguments) for name in names}
        common = set.intersection(*({cut.target for cut in plan.cuts} for plan in plans.values()))
        common = {name for name in common if re.search(arguments.layers, name)}
        dense = measurement.dense()
        print(f"{workload.name}: dense {scale.name} {dense.value:.4f}, n = {dense.n}; {len(common)} layers")
        scores = {}
        for name, plan in plans.items():
            plan = SparsityPlan(tuple(cut for cut in plan.cuts if cut.target in common))
            start = time.perf_counter()
            measurement.prepare(plan)
            seconds = time.perf_counter() - start
            scores[name] = _scores(measurement, plan)
            value, than = _value(measurement, scores[name]), None
            line = f"{name:10} {value:9.4f}"
            if name != "magnitude":
                _, weights = measurement.dense_scores(range(len(measurement.batches)))
                try:
                    than = drop_estimate(scale, scores["magnitude"], scores[name], weights)
                    line += f"   worse than magnitude by {than.value:+.4f} [{than.low:+.4f}, {than.high:+.4f}]"
                except UndefinedMetricError as error:
                    line += f"   {error}"
            print(f"{line}   ({seconds:.1f} s of calibration)", flush=True)
            rows.append([name, value, interval(than), seconds])
    cut = f"pattern {arguments.pattern}" if arguments.pattern else f"{100 * arguments.sparsity:.0f} % of the weights"
    title = f"pattern {arguments.pattern}" if arguments.pattern else f"sparsity {arguments.sparsity:g}"
    columns = (
        Column("criterion"), Column(scale.name, "", ".4g"), Column("worse than magnitude by", "", "+.3g"),
        Column("calibration", "s", ".1f"),
    )  # fmt: skip
    write_record(
        arguments, f"Criteria on {workload.name}, {title}, {len(common)} layers",
        "Do criteria that look at data cut better than magnitude?",
        [Table(columns, rows)],
        "Differences are paired over the evaluation examples, with 95 % intervals; above 0 is worse than magnitude.",
        [
            f"Dense: {dense.value:.4g}, n = {dense.n:,}; {cut} of {len(common)} layers"
            + (f" whose name has `{arguments.layers}`." if arguments.layers else ".")
        ],
    )  # fmt: skip


def _plan(measurement: Measurement, name: str, arguments: argparse.Namespace) -> SparsityPlan:
    if arguments.pattern:
        return SparsityPlan.patterned(measurement.targets, arguments.pattern, None, name)
    return SparsityPlan.uniform(measurement.targets, arguments.sparsity, name)


def _scores(measurement: Measurement, plan: SparsityPlan) -> np.ndarray:
    found = {}
    for i, _, evidence in measurement.run((i, [(0, plan)]) for i in range(len(measurement.batches))):
        assert not isinstance(evidence, Failure), evidence.reason
        found[i] = evidence.scores
    return np.concatenate([found[i] for i in sorted(found)]).astype(np.float64)


def _value(measurement: Measurement, scores: np.ndarray) -> float:
    _, weights = measurement.dense_scores(range(len(measurement.batches)))
    return metric_estimate(measurement.workload.metric.scale, scores, weights).value


if __name__ == "__main__":
    main()
