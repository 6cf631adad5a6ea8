"""Milliseconds of what screens ask of a large workspace: `python -m tests.benchmarks.load [--rows N]`.

A workspace with evidence of N rows, 500 runs (one with a map of 5,000 cells), 500 kept plans and a draft of 5,000 rows,
made through the same functions that workers use; then what screens and commands ask, each the median of five, by the
clock and of CPU: the clock is of this machine as busy as it is.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from core import Cut, SparsityPlan
from core.jobs.drafts import Drafts
from core.jobs.known.plan_book import PlanBook
from core.jobs.runs import RunStore
from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.sensitivity.report import CellResult
from core.sensitivity.slices import broken_examples, column_names, slice_drops
from core.workspace import Workspace, seal
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record
from tests.scales import ACCURACY

N_BATCHES, N_EXAMPLES, N_RUNS, N_CELLS = 100, 25, 500, 5_000
LIMIT = 100.0  # milliseconds, of a query that a screen waits for
TIMES = 5
WORKLOAD = "large"


def key(kind: str, i: int) -> str:
    """Of a cell or a batch, 64 letters."""
    return seal(kind, i).hex() * 2


def filled(folder: Path, n_rows: int) -> tuple[RunStore, float]:
    """The workspace, and the microseconds that writing a row of evidence took."""
    runs, rng = RunStore(Workspace(folder)), np.random.default_rng(0)
    store = EvidenceStore(runs.workspace)
    batches = [key("batch", j) for j in range(N_BATCHES)]
    said = {
        batch: (range(j * N_EXAMPLES, (j + 1) * N_EXAMPLES), {"class": [f"c{i % 10}" for i in range(N_EXAMPLES)]})
        for j, batch in enumerate(batches)
    }
    store.add_batches(said)
    scores = [rng.integers(0, 2, N_EXAMPLES).astype("f4") for _ in range(997)]
    begun, n_cells = time.perf_counter(), max(2, n_rows // N_BATCHES)
    for first in range(0, n_cells, 50):
        store.add_all(
            (key("cell", i), batch, BatchEvidence(scores[(i * 31 + j) % 997], True))
            for i in range(first, min(first + 50, n_cells))
            for j, batch in enumerate(batches)
        )
    each = (time.perf_counter() - begun) / (n_cells * N_BATCHES) * 1e6
    _runs(runs, batches)
    return runs, each


def _runs(runs: RunStore, batches: list[str]) -> None:
    book = PlanBook(runs.workspace)
    for i in range(N_RUNS):
        run, _ = runs.submit("sweep", WORKLOAD, {"i": i})
        book.keep(WORKLOAD, SparsityPlan((Cut(f"layer{i}", "weight", 0.5),)), "hand")
        runs.update(
            run.id, state="finished", started=time.time(), ended=time.time(),
            result={"scale": asdict(ACCURACY), "batches": batches, "dense_cell": key("cell", 0), "i": i},
        )  # fmt: skip
    last = runs.list()[0]
    runs.set_cells(last.id, [CellResult(Cut(f"layer{i}", "weight", 0.5), 8, 16) for i in range(N_CELLS)])
    Drafts(runs.workspace).save(WORKLOAD, plan())


def plan() -> SparsityPlan:
    """Of 5,000 rows."""
    return SparsityPlan(tuple(Cut(f"block.{i}.fc", "weight", 0.5) for i in range(N_CELLS)))


def asked(runs: RunStore) -> dict[str, Callable[[], object]]:
    """What screens ask, by what a person would call it."""
    store, last = EvidenceStore(runs.workspace), runs.list()[0]
    result, drafts, book = dict(last.result or {}), Drafts(runs.workspace), PlanBook(runs.workspace)
    cell, text, other = key("cell", 1), plan().to_json(), [0]

    def new_row() -> None:
        other[0] += 1
        store.add(key("new", other[0]), {key("batch", 0): BatchEvidence(np.ones(N_EXAMPLES, "f4"), True)})

    return {
        "runs: list of 500": runs.list,
        "strip: runs at work": runs.active,
        "notices: ended in the last minute": lambda: runs.ended_since(time.time() - 60),
        "runs: one by its id": lambda: runs.get(last.id),
        "map: 5,000 cells of a run": lambda: runs._rows(last),
        "map: by which columns it can be sliced": lambda: column_names(store, result),
        "slices of a cell: evidence of it and of the dense model": lambda: store.read_all(
            [cell, key("cell", 0)], result["batches"]
        ),
        "slices of a cell": lambda: slice_drops(store, result, cell, "class"),
        "broken examples of a cell": lambda: broken_examples(store, result, cell, 20),
        "plans: list of 500": lambda: book.all(WORKLOAD),
        "plans: with what was measured": lambda: book.measured(WORKLOAD),
        "a plan of 5,000 rows is read": lambda: SparsityPlan.from_json(text),
        "a draft of 5,000 rows is read": lambda: drafts.present(WORKLOAD),
        "a draft of 5,000 rows is saved": lambda: drafts.save(WORKLOAD, plan()),
        "a worker writes a row": new_row,
    }


def milliseconds(act: Callable[[], object]) -> tuple[float, float]:
    """Medians of five: by the clock, and of this process's CPU alone, which others on the machine do not lengthen."""
    took = []
    for _ in range(TIMES):
        begun, cpu = time.perf_counter(), time.process_time()
        act()
        took.append(((time.perf_counter() - begun) * 1000, (time.process_time() - cpu) * 1000))
    return statistics.median(one[0] for one in took), statistics.median(one[1] for one in took)


def main() -> None:
    """Print and, if asked, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    recordable(parser)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of evidence")
    options = parser.parse_args()
    table: list[list[Cell]] = []
    with tempfile.TemporaryDirectory() as folder:
        runs, each = filled(Path(folder), options.rows)
        with runs.workspace.connect() as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        size = runs.workspace.database.stat().st_size
        print(f"{options.rows:,} rows of evidence: {size / 1e6:,.0f} MB, {size / options.rows:.0f} bytes a row")
        print(f"written at {each:.0f} µs a row")
        for what, act in asked(runs).items():
            median, cpu = milliseconds(act)
            table.append([what, median, cpu])
            print(f"{what:60}{median:10.1f} ms{cpu:10.1f} ms of CPU{'  over 100' * (cpu > LIMIT)}", flush=True)
    write_record(
        options,
        "A large workspace",
        "How long does a screen wait for what it asks of a large workspace?",
        [Table((Column("asked"), Column("median", "ms", ".1f"), Column("CPU", "ms", ".1f")), table)],
        f"{options.rows:,} rows of evidence of {N_EXAMPLES} examples each ({size / options.rows:.0f} bytes a row on "
        f"disk), {N_RUNS} runs, a map of {N_CELLS:,} cells, {N_RUNS} kept plans and a draft of {N_CELLS:,} rows.",
    )


if __name__ == "__main__":
    main()
