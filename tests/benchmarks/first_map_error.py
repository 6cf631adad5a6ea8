"""How far is the first whole map from the last, and what would reading less at random give at the same cost?

    python -m tests.benchmarks.first_map_error [MODEL …] [--workspace W] [--seeds 100] [--read 50,100,250]

Replays recorded scores of full sweeps (see recorded.py; the metric must have margins). A first map reads so many
examples at every cell: today at random. Beside it, as many drawn at random within strata of the dense model's margin,
the smallest margins oftener, the drop added up over the strata: no forecast enters, so that it is right on average
whatever a cut does. And what `--rule calibrated` shows after those at random. Errors are root mean squares over the
draws, averaged over cells: those that lose under 2 points, and those that lose more. What this does not count: margins
take one pass of the dense model over all examples, which a census makes anyway, and an exact sweep does not.
"""

from argparse import ArgumentParser

import numpy as np
from numpy.typing import NDArray

from core.sensitivity.search.calibrated import Forecasts
from core.sensitivity.search.census import interleaved
from tests.benchmarks.page import cell_text
from tests.benchmarks.record import Cell, Column, Table, write_record
from tests.benchmarks.recorded import Recording, arguments, recording

# Strata of the examples by the rank of their margin, and the share of the examples read that each gets: 30 % go as
# they come, the others by 1 / rank. Chosen on recordings of fashion-resnet (8,000) and fashion-vit (3,000) alone.
ENDS = (0.05, 0.1, 0.2, 0.4, 1.0)
SHARES = (0.30, 0.11, 0.13, 0.16, 0.30)
HALVES = (0.2, 1.0), (0.5, 0.5)
MILD = 0.02

Draw = list[tuple[float, NDArray[np.int64]]]


def drawn(rank: NDArray[np.float64], read: int, ends: tuple[float, ...], shares: tuple[float, ...], seed: int) -> Draw:
    """Of each stratum its weight among all examples, and those that are read, `read` in all."""
    rng, stratum = np.random.default_rng(seed), np.searchsorted(ends, rank, side="right")
    wanted = read * np.array(shares)
    counts = np.maximum(1, np.floor(wanted)).astype(int)
    counts[np.argsort(counts - wanted)[: read - counts.sum()]] += 1
    members = [np.flatnonzero(stratum == h) for h in range(len(ends))]
    return [(len(m) / len(rank), rng.permutation(m)[:k]) for m, k in zip(members, counts, strict=True)]


def errors(recorded: Recording, read: int, seeds: int) -> dict[str, NDArray[np.float64]]:
    """Root mean square error of every cell's drop, by how examples are read."""
    assert recorded.margins is not None
    lost, n = recorded.dense - recorded.scores, len(recorded.dense)
    key = np.random.default_rng(0).permutation(n)  # tells equal margins apart
    rank = np.empty(n)
    rank[np.lexsort((key, recorded.margins))] = np.arange(n) / n
    squares: dict[str, NDArray[np.float64]] = {}
    for seed in range(seeds):
        everyone = np.random.default_rng(seed).permutation(n)[:read]
        ways = {
            "at random": [(1.0, everyone)],
            "half of them in the fifth of the smallest margins": drawn(rank, read, *HALVES, seed),
            "five strata": drawn(rank, read, ENDS, SHARES, seed),
        }
        drops = {way: sum(weight * lost[:, rows].mean(1) for weight, rows in parts) for way, parts in ways.items()}
        drops["at random, and a forecast of the others"] = forecast(recorded, everyone, seed)
        for way, found in drops.items():
            squares[way] = squares.get(way, 0.0) + (found - lost.mean(1)) ** 2
    return {way: np.sqrt(one / seeds) for way, one in squares.items()}


def forecast(recorded: Recording, first: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """The drop that `--rule calibrated` shows of every cell after these examples."""
    assert recorded.margins is not None
    n = len(recorded.dense)
    order = np.concatenate([first, np.random.default_rng(seed).permutation(np.setdiff1d(np.arange(n), first))])
    found = interleaved(recorded.margins[order], recorded.dense[order], [len(first), n - len(first)], 250, order)
    assert found is not None
    places, sizes, census = found
    order = order[places]
    forecasts = Forecasts(census, recorded.margins[order], np.cumsum(sizes).tolist(), len(recorded.cells))
    rows, cells = order[: len(first)], range(len(recorded.cells))
    for p in cells:
        forecasts.look(p, recorded.dense[rows], recorded.scores[p][rows], 0.01)
    return np.array([forecasts.drop(p).value for p in cells])


def rows_of(recorded: Recording, read: int, seeds: int) -> list[list[Cell]]:
    """Of the table: errors in points, and beside those at random."""
    drop = (recorded.dense - recorded.scores).mean(1)
    changed = (recorded.dense != recorded.scores).any(1)
    mild, rest = changed & (drop < MILD), drop >= MILD
    found, rows = errors(recorded, read, seeds), list[list[Cell]]()
    for way, error in found.items():
        cells: list[Cell] = []
        for some in (mild, rest):
            here, before = float(error[some].mean()), float(found["at random"][some].mean())
            cells += [int(some.sum()), 100 * here, here / before]
        rows.append([recorded.name, len(recorded.dense), read, way, *cells])
    return rows


def main() -> None:
    """Print a table."""
    more = ArgumentParser(add_help=False)
    more.add_argument("--read", default="50,100,250", help="examples that a first map reads at each cell")
    given = arguments(__doc__, more)
    columns = (
        Column("model"), Column("examples"), Column("read at each cell"), Column("how"),
        Column("cells under 2 points"), Column("error", "points", ".2f"), Column("× at random", "", ".2f"),
        Column("cells over"), Column("their error", "points", ".2f"), Column("× at random", "", ".2f"),
    )  # fmt: skip
    print(" | ".join(column.name for column in columns))
    rows: list[list[Cell]] = []
    for name in given.samples:
        recorded = recording(name, given.workspace, given.examples)
        if recorded.margins is None:
            raise SystemExit(f"{name}: its metric has no margins")
        for read in map(int, given.read.split(",")):
            found = rows_of(recorded, read, given.seeds)
            rows += found
            for row in found:
                print(" | ".join(cell_text(cell, one.form) for cell, one in zip(row, columns, strict=True)), flush=True)
    write_record(
        given, "The error of the first whole map",
        "How far is the first whole map from the last one, and is there a better one at the same cost?",
        [Table(columns, rows)],
        f"Recorded sweeps, {given.seeds} draws; errors are root mean squares of a cell's drop, averaged over the cells "
        "that lose under 2 points on all examples, and over those that lose more.",
        ["Margins take one pass of the dense model over all examples, which a census makes anyway."],
    )  # fmt: skip


if __name__ == "__main__":
    main()
