"""Do the intervals of cells that a race stopped hold what all the data says?

`python -m tests.benchmarks.coverage [SAMPLE …] [--workspace W] [--seeds 20]`. Replays recorded scores of full sweeps in
random orders. Beside it, what the fixed-n interval of the same stopped cells would hold: the price of peeking.
"""

import numpy as np

from core.sensitivity.statistics.intervals import drop_estimate
from tests.benchmarks.record import Cell, Column, Table, write_record
from tests.benchmarks.recorded import Recording, arguments, recording, replay, usual_tolerance


def stopped(recorded: Recording, seeds: int, rule: str, **race: float) -> tuple[int, float, float, float]:
    """How many cells a race stopped early, and the shares held by anytime and fixed intervals, and examples spent."""
    held, naive, spent = [], [], 0
    full = [drop_estimate(recorded.scale, recorded.dense, s, recorded.weights).value for s in recorded.scores]
    n = len(recorded.dense)
    for seed in range(seeds):
        search, _ = replay(recorded, seed, rule, mode="race", **race)
        for position, truth in enumerate(full):
            progress, shown = search.state(position), search.drop(position)
            spent += progress.n
            if progress.state == "stopped" and shown is not None:
                fixed = drop_estimate(recorded.scale, *search.sample(position))
                held.append(shown.low <= truth <= shown.high)
                naive.append(fixed.low <= truth <= fixed.high)
    return len(held), float(np.mean(held)), float(np.mean(naive)), spent / (seeds * n * len(full))


def main() -> None:
    """Print a table."""
    given = arguments(__doc__)
    print(f"{'sample':16}{'race until':>24}{'stopped':>9}{'held':>9}{'fixed-n would':>15}{'cost':>8}")
    rows: list[list[Cell]] = []
    for name in given.samples:
        recorded = recording(name, given.workspace, given.examples)
        tolerance = usual_tolerance(recorded)
        for race in (
            {"tolerance": tolerance},
            {"width": 2 * tolerance},
            {"tolerance": tolerance, "width": 2 * tolerance},
        ):
            n, held, naive, cost = stopped(recorded, given.seeds, given.rule, **race)
            asked = ", ".join(f"{key} {value:g}" for key, value in race.items())
            print(f"{name:16}{asked:>24}{n:9,}{held:9.2%}{naive:15.2%}{cost:8.4f}", flush=True)
            rows.append([name, len(recorded.dense), asked, n, held, naive, cost])
    columns = (
        Column("sample"), Column("examples"), Column("race until"), Column("cells stopped"),
        Column("intervals that hold the truth", "", ".2%"), Column("a fixed-n interval would", "", ".2%"),
        Column("of all examples × cells", "", ".2%"),
    )  # fmt: skip
    write_record(
        given, "Intervals of cells that a race stopped",
        "Do the intervals of cells that were stopped early hold what all the data says?",
        [Table(columns, rows)],
        f"To reach: 95 %; recorded sweeps are replayed in {given.seeds} orders of the examples, and the fixed-n "
        "interval of the same stopped cells is what peeking would have cost.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
