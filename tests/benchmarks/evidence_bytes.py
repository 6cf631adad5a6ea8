"""What evidence takes on disk beside its scores: `python -m tests.benchmarks.evidence_bytes [--cells N]`.

Cells × batches as a sweep adds them, a batch after the other, once into the tables of version 7 (keys as text, scores
as they are) and once into those of now, in one run; then what the database's file has grown by, for each row, and what
`secateur check --compact` leaves of it.
"""

import argparse
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from core.jobs.checking.compacted import compact
from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.workspace import PAGE_BYTES, STEPS, Workspace, seal
from core.workspace.rows import define_functions
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record

FORMER = 7
KINDS = ("hits", "hits and losses", "scores of any value", "weighted scores")
COLUMNS = (
    Column("scores"), Column("examples a batch"), Column("bytes of scores a row", form=","),
    Column("version 7, bytes a row", form=",.0f"), Column("now, bytes a row", form=",.0f"),
    Column("now, times the scores", form=".2f"), Column("compacted, bytes a row", form=",.0f"),
    Column("compacted, times the scores", form=".2f"),
)  # fmt: skip


def rows(kind: str, n: int, n_cells: int, n_batches: int) -> Iterator[tuple[str, str, BatchEvidence]]:
    """Evidence in the order of a sweep."""
    rng = np.random.default_rng(0)
    cells = [seal("cell", i).hex() * 2 for i in range(n_cells)]
    for j in range(n_batches):
        weights = rng.random(n, "f4") if kind == "weighted scores" else None
        for cell in cells:
            hits = kind.startswith("hits")
            scores = rng.integers(0, 2, n).astype("f4") if hits else rng.random(n, "f4")
            losses = rng.random(n, "f4") if kind == "hits and losses" else None
            yield cell, seal("batch", j).hex() * 2, BatchEvidence(scores, True, weights, losses=losses)


def former(folder: Path, found: Iterator[tuple[str, str, BatchEvidence]]) -> int:
    """Bytes that the tables of version 7 grow by."""
    with closing(sqlite3.connect(folder / "former.sqlite")) as db:
        define_functions(db)
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        for step in STEPS[:FORMER]:
            db.executescript(step)
        empty = (folder / "former.sqlite").stat().st_size
        for cell, batch, one in found:
            weights = None if one.weights is None else one.weights.tobytes()
            row = (cell, batch, len(one.scores), 1, one.scores.tobytes(), weights)
            db.execute("INSERT INTO evidence VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, seal(*row)))
            if one.losses is not None:
                loss = (cell, batch, "l" * 64, one.losses.tobytes())
                db.execute("INSERT INTO losses VALUES (?, ?, ?, ?, ?)", (*loss, seal(*loss)))
        db.commit()
    return (folder / "former.sqlite").stat().st_size - empty


def now(folder: Path, found: Iterator[tuple[str, str, BatchEvidence]]) -> tuple[int, int]:
    """Bytes that they grow by now, as they are added and compacted."""
    workspace = Workspace(folder)
    empty = compact(workspace).after
    EvidenceStore(workspace, "l" * 64).add_all(found)
    done = compact(workspace)
    return done.before - empty, done.after - empty


def main() -> None:
    """Print and, if asked, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    recordable(parser)
    parser.add_argument("--cells", type=int, default=1_000)
    parser.add_argument("--batches", type=int, default=20)
    args = parser.parse_args()
    table: list[list[Cell]] = []
    for kind in KINDS:
        for n in (25, 200):
            size = args.cells * args.batches
            with tempfile.TemporaryDirectory() as folder:
                before = former(Path(folder), rows(kind, n, args.cells, args.batches)) / size
            with tempfile.TemporaryDirectory() as folder:
                after, tight = (each / size for each in now(Path(folder), rows(kind, n, args.cells, args.batches)))
            scores = 4 * n * (2 if kind in ("hits and losses", "weighted scores") else 1)
            table.append([kind, n, scores, before, after, after / scores, tight, tight / scores])
            told = f"version 7 {before:7.0f}  now {after:7.0f}  × {after / scores:.2f}"
            told += f"  compacted {tight:7.0f}  × {tight / scores:.2f}"
            print(f"{kind:22} n = {n:3}  scores {scores:5}  {told}")
    write_record(
        args,
        "Bytes of evidence on disk",
        "How much does a row of evidence (one cut on one batch) take beside its scores?",
        [Table(COLUMNS, table)],
        "Scores, losses and weights are float32, 4 bytes an example each; hits now need a bit, and weights stand once. "
        "Compacted: after `secateur check --compact`. The empty tables (half a megabyte) are not counted.",
    )


if __name__ == "__main__":
    main()
