"""A large sweep on many workers, reckoned from unit costs measured here: `python -m tests.benchmarks.scale`.

10,000 targets × 20 levels on a million examples, by 1 to 1,000 workers. Measured in this run, in seconds of the
processor: a row of evidence written, read and merged, and its bytes; a claim in the database (a transaction of one
row); splitting 200,000 cells into shards; and planning 100,000 cells. Reckoned from them: hours of measuring and
writing, and of what one machine does alone: merging, and reading all of it back for one map; what goes over the
network; how large the database becomes; and the memory of a worker and of that map. A pass of the model is not
measured: its cost per example is an option.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core import Cut
from core.jobs.merging.merge import merge
from core.jobs.runs import RunStore
from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.sensitivity.report import CellResult
from core.sensitivity.search.scheduler import Search
from core.sensitivity.search.shard import parts_of
from core.workspace import Workspace, seal
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record
from tests.scales import ACCURACY

N_TARGETS, N_LEVELS, N_EXAMPLES = 10_000, 20, 1_000_000
WORKERS = (1, 2, 8, 32, 100, 320, 1_000)
BATCHES = (200, 2_000, 20_000)  # examples each
ROWS_AT_ONCE = 500  # of evidence that a sweep writes in half a second, in one transaction
BUNDLE_SECONDS = 2.0
N_PLANNED = 100_000  # cells
HELD_BYTES, READ_BYTES = 1, 4  # in memory, of a hit: as it is judged, and besides of one that is read back
COLUMNS = (
    Column("examples a batch", form=","), Column("workers", form=","), Column("measuring", "h", ",.1f"),
    Column("writing, each worker", "h", ",.2f"), Column("merging, one machine", "h", ",.2f"),
    Column("one map, one machine", "h", ",.2f"), Column("efficiency", form=".0%"), Column("network", "GB", ",.0f"),
    Column("database", "GB", ",.0f"), Column("memory of a worker", "GB", ",.1f"),
    Column("memory of the map", "GB", ",.0f"), Column("what takes longest"),
)  # fmt: skip


@dataclass(frozen=True)
class Units:
    """What was measured of rows of one size: seconds and bytes of one.

    Attributes:
        n: examples of a batch.
        write, read, merge: seconds of the processor of a row.
        n_bytes: of a row on disk.
    """

    n: int
    write: float
    read: float
    merge: float
    n_bytes: float


def units(n: int, n_rows: int) -> Units:
    """Measure, with hits as scores."""
    n_batches = 20
    with tempfile.TemporaryDirectory() as folder:
        other, here = Workspace(Path(folder) / "other"), Workspace(Path(folder) / "here")
        store, rng = EvidenceStore(other), np.random.default_rng(0)
        cells = [seal("cell", i).hex() * 2 for i in range(max(2, n_rows // n_batches))]
        batches = [seal("batch", i).hex() * 2 for i in range(n_batches)]
        empty = here.database.stat().st_size
        rows = [
            (cell, batch, BatchEvidence(rng.integers(0, 2, n).astype("f4"), True))
            for cell in cells
            for batch in batches
        ]
        begun = time.process_time()
        for first in range(0, len(rows), ROWS_AT_ONCE):
            store.add_all(rows[first : first + ROWS_AT_ONCE])
        write = time.process_time() - begun
        begun = time.process_time()
        store.read_all(cells, batches)
        read = time.process_time() - begun
        with other.connect() as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        n_bytes = other.database.stat().st_size - empty
        begun = time.process_time()
        merge(here, other.folder)
        return Units(n, *((x / len(rows)) for x in (write, read, time.process_time() - begun, n_bytes)))


def claim_seconds(times: int = 200) -> float:
    """Of a transaction that changes one row, as a worker makes when it takes cells."""
    with tempfile.TemporaryDirectory() as folder:
        runs = RunStore(Workspace(folder))
        run, _ = runs.submit("sweep", "large", {})
        begun = time.perf_counter()
        for i in range(times):
            runs.update(run.id, done=i)
        return (time.perf_counter() - begun) / times


def split(n_workers: int) -> tuple[float, float]:
    """Seconds of splitting all cells into that many shards, and what the largest has of what it should have."""
    targets = [f"target{i}" for i in range(N_TARGETS) for _ in range(N_LEVELS)]
    begun = time.perf_counter()
    parts = parts_of(targets, n_workers)
    took = time.perf_counter() - begun
    sizes = np.bincount([part - 1 for part in parts.values()], minlength=n_workers)
    return took, float(sizes.max() / sizes.mean())


def plan_seconds() -> float:
    """Of the processor: what a sweep does with its cells before the first is measured."""
    begun = time.process_time()
    cells = [
        CellResult(Cut(f"target{i}", "weight", (j + 1) / (N_LEVELS + 1)), 8, 16)
        for i in range(N_PLANNED // N_LEVELS)
        for j in range(N_LEVELS)
    ]
    search = Search("tolerance", cells, ACCURACY, [200] * 10, 0.01)
    first = search.next()
    assert first is not None
    assert len(first[1]) == N_PLANNED
    return time.process_time() - begun


def reckoned(one: Units, n_workers: int, per_example: float, uneven: float) -> list[Cell]:
    """A row of the table."""
    n_cells = N_TARGETS * N_LEVELS
    n_rows = n_cells * N_EXAMPLES // one.n
    alone = n_cells * N_EXAMPLES * per_example + n_rows * one.write
    measuring = n_cells * N_EXAMPLES * per_example / n_workers * uneven
    writing = n_rows * one.write / n_workers * uneven
    several = n_workers > 1
    merging, mapping = (n_rows * each if several else 0.0 for each in (one.merge, one.read))
    efficiency = alone / (n_workers * (measuring + writing + merging + mapping))
    size = n_rows * one.n_bytes / 1e9
    parts = {"measuring": measuring, "merging": merging, "the map": mapping, "writing": writing}
    longest = max(parts, key=lambda name: parts[name])
    held = n_cells * N_EXAMPLES / 1e9
    memory = (held * HELD_BYTES / n_workers * uneven, held * (HELD_BYTES + READ_BYTES * several))
    hours = (measuring / 3600, writing / 3600, merging / 3600, mapping / 3600)
    return [one.n, n_workers, *hours, efficiency, size if several else 0.0, size, *memory, longest]


def ten_times(one: Units, per_example: float) -> str:
    """What ten times as many targets ask of a thousand workers and of the machine that joins them."""
    n_workers, n_cells = WORKERS[-1], 10 * N_TARGETS * N_LEVELS
    n_rows = n_cells * N_EXAMPLES // one.n
    measuring = n_cells * N_EXAMPLES * per_example / n_workers / 3600
    joining = n_rows * (one.merge + one.read) / 3600
    return (
        f"Ten times the targets, {n_workers:,} workers, batches of {one.n:,}: {measuring:,.0f} h of measuring, "
        f"{joining:,.0f} h of joining, a database of {n_rows * one.n_bytes / 1e12:,.1f} TB; scores in memory: "
        f"{n_cells * N_EXAMPLES * HELD_BYTES / n_workers / 1e9:,.0f} GB in each worker, "
        f"{n_cells * N_EXAMPLES * (HELD_BYTES + READ_BYTES) / 1e12:,.0f} TB for one map of all"
    )


def main() -> None:
    """Print and, if asked, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    recordable(parser)
    parser.add_argument("--rows", type=int, default=20_000, help="of evidence, that unit costs are measured on")
    parser.add_argument("--microseconds", type=float, default=20.0, help="of a pass of the model, for each example")
    options = parser.parse_args()
    found = [units(n, max(200, options.rows // max(1, n // 200))) for n in BATCHES]
    claim = claim_seconds()
    splits = {n: split(n) for n in WORKERS}
    planned = plan_seconds()
    costs: list[list[Cell]] = []
    for one in found:
        costs.append([one.n, one.write * 1e6, one.read * 1e6, one.merge * 1e6, one.n_bytes])
        print(
            f"a row of {one.n:6,} examples: written {one.write * 1e6:7.1f} µs, read {one.read * 1e6:7.1f} µs, merged "
            f"{one.merge * 1e6:7.1f} µs, {one.n_bytes:8,.0f} bytes"
        )
    full = BUNDLE_SECONDS / claim
    print(f"a claim: {claim * 1e3:.2f} ms; by bundles of {BUNDLE_SECONDS:g} s {full:,.0f} workers fill the database")
    for n, (took, uneven) in splits.items():
        print(
            f"{N_TARGETS * N_LEVELS:,} cells into {n:5,} shards: {took:.2f} s, the largest {uneven:.2f} times the mean"
        )
    table: list[list[Cell]] = []
    print(f"{N_PLANNED:,} cells are planned in {planned:.2f} s")
    print(
        f"{'batch':>7}{'workers':>9}{'measuring h':>13}{'writing h':>11}{'merging h':>11}{'map h':>8}{'efficiency':>12}"
        f"{'network GB':>12}{'database GB':>13}{'worker GB':>11}{'map GB':>8}  longest"
    )
    for one in found:
        for n in WORKERS:
            row = reckoned(one, n, options.microseconds * 1e-6, splits[n][1])
            table.append(row)
            _, _, measuring, writing, merging, mapping, efficiency, sent, size, memory, of_map, longest = row
            print(
                f"{one.n:7,}{n:9,}{measuring:13,.1f}{writing:11,.2f}{merging:11,.2f}{mapping:8,.2f}{efficiency:12.0%}"
                f"{sent:12,.0f}{size:13,.0f}{memory:11,.1f}{of_map:8,.0f}  {longest}"
            )
        a_row = options.microseconds * 1e-6 * one.n  # of measuring
        print(
            f"  batches of {one.n:,}: merging takes as long as measuring at {a_row / one.merge:,.0f} workers, merging "
            f"and the map at {a_row / (one.merge + one.read):,.0f}",
            flush=True,
        )
    beyond = [ten_times(one, options.microseconds * 1e-6) for one in found]
    print("\n".join(beyond))
    cost_columns = (
        Column("examples a batch", form=","), Column("written", "µs", ",.1f"), Column("read", "µs", ",.1f"),
        Column("merged", "µs", ",.1f"), Column("on disk", "bytes", ",.0f"),
    )  # fmt: skip
    write_record(
        options,
        "Many workers, reckoned",
        "Where would a sweep of 10,000 targets at 20 levels on a million examples bend, on 1 to 1,000 workers?",
        [Table(cost_columns, costs, "measured: a row of evidence"), Table(COLUMNS, table, "reckoned from them")],
        f"A pass is taken to cost {options.microseconds:g} µs an example; shards are of whole targets, and one machine "
        "merges them and makes one map of them. Seconds are of the processor, so that a busy machine changes little.",
        [
            f"A claim takes {claim * 1e3:.2f} ms, {N_TARGETS * N_LEVELS:,} cells are split in {splits[1000][0]:.2f} s, "
            f"{N_PLANNED:,} planned in {planned:.2f} s.",
            *(f"{line}." for line in beyond),
        ],
    )


if __name__ == "__main__":
    main()
