"""Measures models on a device with its engine's own benchmark tool, and fills in costs.csv beside it.

Written by `secateur profile --export-costs`; needs Python 3.9 and nothing else. The tool is a command that runs where
the models are, so for a phone it may begin with adb:

    python3 measure.py --tool ./benchmark_model
    python3 measure.py --tool "adb shell /data/local/tmp/benchmark_model" --models /data/local/tmp/models

All models have turns, in another order each round; a model's time is the median of its rounds. What was measured is
written after every round, so it may be stopped.
"""

import argparse
import csv
import json
import math
import random
import re
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

# by engine: options of its tool, what it prints, and what makes milliseconds of that
TOOLS = {
    # developers.google.com/edge/litert/models/measurement: microseconds
    "litert": (
        ["--graph={model}", "--num_threads={threads}", "--num_runs={runs}", "--use_xnnpack=true"],
        r"Inference \(avg\): ([0-9.e+]+)", 1e-3,
    ),
    # github.com/Tencent/ncnn/tree/master/benchmark: loops, threads, all cores, no GPU, no cooling down
    "ncnn": (["{runs}", "{threads}", "0", "-1", "0", "param={model}", "shape={ncnn_shape}"], r"avg =\s*([0-9.]+)", 1.0),
    # github.com/pytorch/executorch, examples/portable/executor_runner: all runs together
    "executorch": (
        ["--model_path={model}", "--num_executions={runs}", "--cpu_threads={threads}"],
        r"executed successfully \d+ time\(s\) in ([0-9.]+) ms", None,
    ),
    # docs.openvino.ai, benchmark tool
    "openvino": (
        ["-m", "{model}", "-d", "CPU", "-hint", "none", "-nstreams", "1", "-nthreads", "{threads}", "-niter", "{runs}",
         "-api", "sync", "-infer_precision", "f32", "-shape", "{shape}"],
        r"Median:\s+([0-9.]+) (us|ms)", 1.0,
    ),
    # onnxruntime.ai, performance test: -I makes inputs up, free dimensions are 1
    "onnx": (
        ["-I", "-m", "times", "-r", "{runs}", "-x", "{threads}", "-y", "1", "{model}"],
        r"Average inference time cost(?: total)?: ([0-9.]+) ms", 1.0,
    ),
}  # fmt: skip


def milliseconds(engine: str, printed: str, runs: int) -> float:
    """What a tool says of one model.

    Raises:
        ValueError: there is no such line.
    """
    pattern, factor = TOOLS[engine][1:]
    found = re.findall(pattern, printed)
    if not found:
        raise ValueError(f"nothing like {pattern!r} in what it printed: {printed.strip()[-500:]}")
    number, unit = found[-1] if isinstance(found[-1], tuple) else (found[-1], "ms")
    return float(number) * (1 / runs if factor is None else factor) * (1e-3 if unit == "us" else 1)


def arguments(made: dict[str, Any], models: str, name: str, runs: int, threads: int) -> list[str]:
    """Of the tool, for one model."""
    path = "/".join(filter(None, (models.rstrip("/"), name)))
    told = {"model": path, "runs": runs, "threads": threads, **made["shapes"]}
    return [option.format(**told) for option in TOOLS[made["engine"]][0]]


def interval(times: list[float]) -> list[float]:
    """Between which two of the times their median lies, 19 times of 20; nothing where they are fewer than six."""
    n, cut, beyond = len(times), 0, 2.0
    while beyond <= 0.05 * 2**n and cut <= n // 2:  # beyond: 2^n times the chance that the median lies outside
        cut += 1
        beyond += 2 * math.comb(n, cut)
    return [sorted(times)[cut - 1], sorted(times)[n - cut]] if cut else []


def main() -> int:
    """Measure, and tell how far it is."""
    here = Path(__file__).resolve().parent
    made = json.loads((here / "models.json").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, help="command that runs the benchmark tool of " + made["engine"])
    parser.add_argument("--models", default=str(here / "models"), help="where the models are, as the tool sees it")
    parser.add_argument("--device", help="its name, for the table; no two devices in one table")
    parser.add_argument("--rounds", type=int, default=6, help="from 6 on the table has intervals")
    parser.add_argument("--runs", type=int, default=50, help="passes of a model in a round")
    parser.add_argument("--threads", type=int, default=1)
    told = parser.parse_args()
    times: dict[str, list[float]] = {row["file"]: [] for row in made["rows"]}
    failed = {}
    for turn in range(told.rounds):
        order = [name for name in times if name not in failed]
        random.shuffle(order)
        for name in order:
            command = [*shlex.split(told.tool), *arguments(made, told.models, name, told.runs, told.threads)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            except OSError as error:
                print(f"--tool {command[0]} cannot be started: {error.strerror}", file=sys.stderr)
                return 2
            try:
                times[name].append(milliseconds(made["engine"], done.stdout + done.stderr, told.runs))
            except ValueError as error:
                failed[name] = str(error)
                print(f"{name}: exit code {done.returncode}, {error}", file=sys.stderr)
        write(here / "costs.csv", made["rows"], times, told.device or made["device"])
        left = sum(name not in failed for name in order)
        print(f"round {turn + 1} of {told.rounds}: {left} of {len(times)} models", file=sys.stderr)
    return 1 if failed else 0


def write(path: Path, rows: list[dict[str, Any]], times: dict[str, list[float]], device: str) -> None:
    """The table, with the median of each model's rounds and its 95 % interval; empty where there is none."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["target", "granularity", "width", "milliseconds", "low", "high", "device", "file"])
        for row in rows:
            own = times[row["file"]]
            found = [statistics.median(own), *interval(own)] if own else []
            told = [f"{one:.6g}" for one in found] + [""] * (3 - len(found))
            table.writerow([row["target"], row["granularity"], row["width"], *told, device, row["file"]])


if __name__ == "__main__":
    sys.exit(main())
