"""The first whole map of each sample, as the dashboard makes it: `python -m tests.benchmarks.first_map [SAMPLE …]`.

The baseline is what the cells must cost an engine that runs the whole model for every cell: cells × one bare dense
pass, timed in the same run with torch's own threads: leave OMP_NUM_THREADS unset, which would bind the baseline alone.
The ratio is the price of everything around the forward passes.
"""

import argparse
import tempfile
import time

import torch

from core import load_workload, sweep
from core.workload.loading import sample_names
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record


def dense_seconds(name: str) -> tuple[float, int]:
    """Seconds of one bare pass over the examples of a default sweep (best of three), and their number."""
    workload = load_workload(name)
    examples = workload.evaluation.first(workload.sweep_examples)
    times = []
    with torch.inference_mode():
        for _ in range(4):
            start = time.perf_counter()
            for batch in examples.batches(workload.batch_size):
                workload.model(*batch.inputs)
            times.append(time.perf_counter() - start)
    return min(times[1:]), len(examples)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", nargs="*", default=sample_names())
    recordable(parser)
    options = parser.parse_args()
    rows: list[list[Cell]] = []
    threads = torch.get_num_threads()
    print(f"{'sample':16}{'cells':>6}{'n':>7}{'sweep, s':>10}{'cells × dense, s':>18}{'ratio':>7}")
    for name in options.samples:
        one_pass, n = dense_seconds(name)
        with tempfile.TemporaryDirectory() as workspace:
            start = time.perf_counter()
            report = sweep(name, workspace=workspace)
            took = time.perf_counter() - start
        floor = one_pass * len(report.cells)
        print(f"{name:16}{len(report.cells):6}{n:7,}{took:10.1f}{floor:18.1f}{took / floor:7.2f}", flush=True)
        rows.append([name, len(report.cells), n, took, floor, took / floor])
    columns = (
        Column("sample"), Column("cells"), Column("examples"), Column("first map", "s", ".1f"),
        Column("cells × one dense pass", "s", ".1f"), Column("ratio", "", ".2f"),
    )  # fmt: skip
    write_record(
        options, "The first map", "How long does the map of a sample take, as the dashboard measures it?",
        [Table(columns, rows)],
        "A ratio below 1 is less than what the forward passes alone would cost an engine that runs the whole model for "
        "every cell.",
        [f"The dense pass had {threads} threads of torch's, the sweep cells at a time as it has by default."],
    )  # fmt: skip


if __name__ == "__main__":
    main()
