"""Pruning with recovery: `python -m tests.benchmarks.recovery MODEL --final 0.95 [--iterations 6] [--epochs 1] …`.

Prints the degradation curve of iterative pruning with recovery, and beside it, on the same examples and with paired
95 % intervals: one-shot with as many training steps, one-shot without recovery, and the same without distillation.
"""

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from core import FineTuning, load_workload, numbers
from core.plans.schedules import Schedule
from core.recovery.history import Round
from core.recovery.recovery_words import COLUMNS, round_cells
from core.recovery.request import RecoverRequest
from core.recovery.rounds import Recovery
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.statistics.intervals import drop_estimate
from tests.benchmarks.record import Cell, Column, Table, interval, recordable, write_record

WAYS = ("iterative", "one-shot", "untrained", "undistilled")


def scores_of(measurement: Measurement, model: torch.nn.Module) -> np.ndarray:
    """Score of every example."""
    metric, found = measurement.workload.metric, []
    with torch.inference_mode():
        for i in range(len(measurement.batches)):
            outputs = model(*measurement.inputs(i))
            found.append(metric.score_batch(outputs, measurement.labels(i), measurement.batches.size(i)).numpy())
    return np.concatenate(found).astype(np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--final", type=float, default=0.9)
    parser.add_argument("--iterations", type=int, default=6)
    parser.add_argument("--epochs", type=float, default=1.0, help="of each round")
    parser.add_argument("--last", type=float, default=20.0, help="the last round is this many times as long")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--distillation", type=float, default=0.7)
    parser.add_argument("--spread", default="global")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="JSON file for the rounds of every way, to be drawn")
    recordable(parser)
    args = parser.parse_args()
    table: list[list[Cell]] = []
    torch.set_num_threads(args.threads)
    workload = load_workload(args.model)
    scale = workload.metric.scale
    how = FineTuning(epochs=args.epochs, last=args.last, rate=args.rate, distillation=args.distillation)
    schedule = Schedule("cubic", 0.0, args.final, args.iterations)
    at_once = Schedule("one_shot", 0.0, args.final, 1)

    def tell(history: tuple[Round, ...]) -> None:
        print("  ".join(round_cells(scale, history[-1])), flush=True)

    scores, rounds = {}, {}
    with Measurement(workload, None, "all") as measurement:
        dense = measurement.dense()
        print(f"{args.model}: dense {numbers.metric_with_interval(scale, dense)}; {how}")
        for way in args.ways.split(","):
            request = RecoverRequest(args.model, schedule, how, spread=args.spread)
            if way == "undistilled":
                request = replace(request, fine_tuning=replace(how, distillation=0.0))
            n_steps = Recovery(measurement, request).n_steps
            if way in ("one-shot", "untrained"):
                steps = n_steps if way == "one-shot" else 0
                request = replace(request, schedule=at_once, fine_tuning=replace(how, steps=steps, last=1.0))
            print(f"\n{way}: {0 if way == 'untrained' else n_steps:,} steps\n{'  '.join(COLUMNS)}")
            start = time.monotonic()
            recovery = Recovery(measurement, request, on_round=tell)
            recovery.run()
            scores[way] = scores_of(measurement, recovery.model)
            rounds[way] = [asdict(one) for one in recovery.history]
            if args.keep:
                args.keep.write_text(json.dumps({"model": args.model, "dense": asdict(dense), "rounds": rounds}))
            print(f"{time.monotonic() - start:.0f} s in all")
            last = recovery.history[-1]
            table.append([
                way, last.sparsity, 0 if way == "untrained" else n_steps, interval(last.after, scale.factor),
                interval(last.drop, scale.factor), None, time.monotonic() - start,
            ])  # fmt: skip
        _, weights = measurement.dense_scores(range(len(measurement.batches)))
    for way in scores:
        if way != "iterative" and "iterative" in scores:
            by = drop_estimate(scale, scores["iterative"], scores[way], weights)
            table[list(scores).index(way)][5] = interval(by, scale.factor)
            print(f"{way} is worse than iterative by {numbers.drop_with_interval(scale, by)} (paired)")
    columns = (
        Column("way"), Column("sparsity", "", ".0%"), Column("steps"), Column(scale.name, "", ".4g"),
        Column("drop from dense", "", "+.3g"), Column("worse than iterative by", "", "+.3g"),
        Column("took", "s", ".0f"),
    )  # fmt: skip
    write_record(
        args,
        f"Recovery of {args.model}",
        "How much of what a cut costs does training bring back, and is it the rounds or the steps that do it?",
        [Table(columns, table)],
        "One seed; a fraction in percent and its drops in points, both paired on the same examples with 95 % "
        "intervals; one-shot has as many training steps as iterative.",
        [f"Dense: {scale.factor * dense.value:.4g}, n = {dense.n:,}."],
    )


if __name__ == "__main__":
    main()
