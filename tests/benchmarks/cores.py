"""How to use the cores: `python -m tests.benchmarks.cores [SAMPLE …] [--examples N]`.

The same exact sweep with one core; with several cells at a time, one thread each (the default); with one cell at a
time whose operations are divided among the cores; and with a process per core, each with its share of the layers in a
workspace of its own, which `secateur merge` would join. Ratios are to one core.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from unittest import mock

import torch

from core import load_workload, sweep
from core.workload.discovery import find_targets
from core.workload.loading import sample_names
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def seconds(name: str, n: int, threads: int, layers: str = "") -> float:
    """Of one sweep in this process, without what happens once per model (loading it, tracing it)."""
    with tempfile.TemporaryDirectory() as workspace:
        start = time.perf_counter()
        sweep(name, workspace=workspace, samples=n, threads=threads, layers=layers, preview=False)
        return time.perf_counter() - start


def divided_operations(name: str, n: int) -> float:
    """One cell at a time, its operations divided among the cores."""
    torch.set_num_threads(CORES)
    with mock.patch("torch.set_num_threads"):
        return seconds(name, n, 1)


def _share(name: str, n: int, layers: str, started: float) -> float:
    torch.set_num_threads(1)
    sweep(name, workspace=tempfile.mkdtemp(), samples=n, threads=1, layers=layers, preview=False)
    return time.time() - started


def processes(name: str, n: int) -> float:
    """A process per core, from start to the end of the last; every second layer goes to the second, and so on."""
    targets, _ = find_targets(load_workload(name).model)
    names = list(dict.fromkeys(target.name for target in targets if target.granularity != "block"))
    shares = ["|".join(f"^{part.replace('.', '[.]')}$" for part in names[i::CORES]) for i in range(CORES)]
    started = time.time()
    with multiprocessing.get_context("spawn").Pool(CORES) as pool:
        return max(pool.starmap(_share, [(name, n, layers, started) for layers in shares]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", nargs="*", default=sample_names())
    parser.add_argument("--examples", type=int, default=1000)
    recordable(parser)
    options = parser.parse_args()
    rows: list[list[Cell]] = []
    print(json.dumps({"cores": CORES, "examples": options.examples}))
    print(f"{'sample':16}{'one core, s':>12}{'cells':>8}{'operations':>12}{'processes':>11}")
    for name in options.samples:
        n = min(options.examples, len(load_workload(name).evaluation))
        seconds(name, 50, 1)  # warm up: what is imported once
        one = seconds(name, n, 1)
        ratios = [one / took for took in (seconds(name, n, CORES), divided_operations(name, n), processes(name, n))]
        print(f"{name:16}{one:12.1f}{ratios[0]:8.2f}{ratios[1]:12.2f}{ratios[2]:11.2f}", flush=True)
        rows.append([name, n, one, *ratios])
    columns = (
        Column("sample"), Column("examples"), Column("one core", "s", ".1f"),
        Column("several cells", "times as fast", ".2f"), Column("divided operations", "times as fast", ".2f"),
        Column("a process per core", "times as fast", ".2f"),
    )  # fmt: skip
    write_record(
        options, "Using the cores", "How much faster is a sweep with more than one core, and which way of using them?",
        [Table(columns, rows)],
        f"Ratios are to one core; with {CORES}, {CORES}.00 is all that can be had, and only where nobody else works.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
