"""Peak memory of a sweep: `python -m tests.benchmarks.memory [SAMPLE …]`.

Each measurement is a process of its own: the dense model over all examples of a default sweep, then sweeps with
several bounds on kept values. What a sweep takes beyond the dense evaluation is set against its bound; beside the bound
it holds what one cell at a time needs on each thread, the rankings of the weights, and the code of torch.export
(`tracing`, measured in a sweep bound to one byte).
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile

from core import load_workload, sweep
from core.sensitivity.measuring.measurement import Measurement
from core.workload.loading import sample_names
from tests.benchmarks.record import ROOT, Cell, Column, Table, recordable, write_record

BOUNDS = (1e-9, 0.02, 0.1, 0.5)  # gigabytes


def peak(*arguments: str) -> float:
    """Peak resident memory in MB of this script called with arguments."""
    words = [sys.executable, "-m", "tests.benchmarks.memory", *arguments]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def child(name: str, bound: str) -> None:
    """Do the work of one measurement and print the peak."""
    if bound == "dense":
        workload = load_workload(name)
        with Measurement(workload, None, workload.sweep_examples) as measurement:
            measurement.dense()
    else:
        sweep(name, workspace=tempfile.mkdtemp(), memory=float(bound), preview=False, sparsities=(0.5,), mode="exact")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", nargs="*", default=sample_names())
    recordable(parser)
    options = parser.parse_args()
    rows: list[list[Cell]] = []
    for name in options.samples:
        dense = peak("--child", name, "dense")
        print(f"{name}: dense evaluation {dense:.0f} MB ({os.cpu_count()} cores)")
        tracing = None
        for bound in BOUNDS:
            more = peak("--child", name, str(bound)) - dense
            tracing = more if tracing is None else tracing
            print(f"  bound {1000 * bound:6.1f} MB: {more:+6.0f} MB, of it beyond tracing {more - tracing:+6.0f} MB")
            rows.append([name, dense, 1000 * bound, more, more - tracing])
    columns = (
        Column("sample"), Column("dense evaluation", "MB", ".0f"), Column("bound on kept values", "MB", ".0f"),
        Column("a sweep takes beyond that", "MB", "+.0f"), Column("of it beyond tracing", "MB", "+.0f"),
    )  # fmt: skip
    write_record(
        options, "Memory of a sweep", "How much memory does a sweep take, and does the bound hold it?",
        [Table(columns, rows)],
        "Peak resident memory of processes of their own; what lies beyond tracing is set against the bound, and holds "
        "besides it what one cell needs on each thread and the rankings of the weights.",
    )  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
