"""Do the intervals that are shown before all examples were read hold what all the data says?

    python -m tests.benchmarks.coverage [MODEL …] [--workspace W] [--rule census] [--seeds 20] [--times 0.5,1,2]

Replays recorded scores of full sweeps in random orders: races until a verdict, until a width, until both; and searches
within a tolerance, with the cells that they left early. MODEL is as in agreement.py. Beside it what the fixed-n
interval of the same cells would hold (the price of peeking), and of the cells that were shown at least ten times the
one whose intervals held least often, for a mean over many easy cells can hide one.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from core.sensitivity.statistics.intervals import drop_estimate, metric_estimate
from tests.benchmarks.page import cell_text
from tests.benchmarks.record import Cell, Column, Table, write_record
from tests.benchmarks.recorded import Recording, arguments, recording, replay, usual_tolerance

OFTEN = 10  # shown at least as often, a cell tells how often its own intervals hold


def asked(tolerance: float, times: list[float], rule: str) -> Iterator[dict[str, Any]]:
    """What is searched for."""
    for one in times:
        within = one * tolerance
        yield {"mode": "race", "tolerance": within}
        if rule != "calibrated":  # which is refused: it forecasts on which side of a tolerance a cell lies
            yield {"mode": "race", "width": 2 * within}
        yield {"mode": "race", "tolerance": within, "width": 2 * within}
        yield {"mode": "tolerance", "tolerance": within}


def shown(recorded: Recording, seeds: int, rule: str, **search: Any) -> list[Cell]:
    """How many intervals were shown before all was read, how many of them held, and examples spent."""
    scale, n, spent = recorded.scale, len(recorded.dense), 0
    drops = [drop_estimate(scale, recorded.dense, scores, recorded.weights).value for scores in recorded.scores]
    metrics = [metric_estimate(scale, scores, recorded.weights).value for scores in recorded.scores]
    held: dict[int, list[bool]] = defaultdict(list)
    of_metric, fixed = [], []
    for seed in range(seeds):
        done, _ = replay(recorded, seed, rule, **search)
        for position, truth in enumerate(drops):
            progress, drop, metric = done.state(position), done.drop(position), done.metric(position)
            spent += progress.n
            if progress.state not in ("stopped", "forecast", "early") or drop is None or metric is None:
                continue
            naive = drop_estimate(scale, *done.sample(position))
            held[position].append(bool(drop.low <= truth <= drop.high))
            of_metric.append(metric.low <= metrics[position] <= metric.high)
            fixed.append(naive.low <= truth <= naive.high)
    every = [one for those in held.values() for one in those]
    often = [float(np.mean(those)) for those in held.values() if len(those) >= OFTEN]
    words = ", ".join(f"{key} {value:g}" for key, value in search.items() if key != "mode")
    return [
        recorded.name, n, f"{search['mode']}: {words}", len(every), float(np.mean(every)) if every else None,
        float(np.mean(of_metric)) if every else None, min(often, default=None),
        float(np.mean(fixed)) if every else None, spent / (seeds * n * len(drops)),
    ]  # fmt: skip


def summed(rows: list[list[Cell]]) -> str:
    """All rows in one line."""
    counts = [(int(str(row[3])), float(str(row[4]))) for row in rows if row[4] is not None]
    n = sum(count for count, _ in counts)
    return f"all: {sum(count * share for count, share in counts) / max(n, 1):.2%} of {n:,} intervals held"


def main() -> None:
    """Print a table."""
    given = arguments(__doc__)
    columns = (
        Column("model"), Column("examples"), Column("search"), Column("intervals shown"),
        Column("hold the drop on all", "", ".2%"), Column("hold the metric on all", "", ".2%"),
        Column("of the worst cell", "", ".0%"), Column("a fixed-n interval would", "", ".2%"),
        Column("of all examples × cells", "", ".2%"),
    )  # fmt: skip
    print(" | ".join(column.name for column in columns))
    rows: list[list[Cell]] = []
    for name in given.samples:
        recorded = recording(name, given.workspace, given.examples)
        for search in asked(usual_tolerance(recorded), given.times, given.rule):
            rows.append(shown(recorded, given.seeds, given.rule, **search))
            print(
                " | ".join(cell_text(cell, one.form) for cell, one in zip(rows[-1], columns, strict=True)), flush=True
            )
    print(summed(rows))
    write_record(
        given, "Intervals shown before all was read" + (", by forecasts" if given.rule == "calibrated" else ""),
        "Do the intervals of cells that were stopped or left early hold what all the data says?",
        [Table(columns, rows)],
        f"To reach: 95 %; recorded sweeps are replayed in {given.seeds} orders of the examples by {given.rule}, "
        "with the fixed-n interval of the same cells, which is what peeking would cost.",
        [f"{summed(rows).removeprefix('all: ')}.", f"The worst cell: of those that were shown at least {OFTEN} times."],
    )  # fmt: skip


if __name__ == "__main__":
    main()
