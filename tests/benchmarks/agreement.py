"""Does a search within a tolerance say what an exact sweep says, and at what cost?

    python -m tests.benchmarks.agreement [MODEL …] [--workspace W] [--rule census] [--seeds 20] [--times 0.5,1,2]

Replays recorded scores of full sweeps in random orders. MODEL is a sample or a workload file, with `,criterion=NAME`,
`,examples=N` or `,skip=N` behind it (see recorded.py). "seen": targets of which the search found that they are not
rising. Cost is the share of all examples × cells that it looked at; passes are visits of batches in units of the whole
data, for each visit needs the dense activations of its batch.
"""

from collections import Counter

from core.sensitivity.report import CellResult, largest_within
from core.sensitivity.statistics.intervals import drop_estimate
from tests.benchmarks.page import cell_text
from tests.benchmarks.record import Cell, Column, Table, write_record
from tests.benchmarks.recorded import Recording, arguments, recording, replay, usual_tolerance
from tests.benchmarks.turns import rises


def exact_cells(recorded: Recording) -> list[CellResult]:
    """The cells as an exact sweep on all examples reports them."""
    done = []
    for cell, scores, changed in zip(recorded.cells, recorded.scores, recorded.changed, strict=True):
        drop = drop_estimate(recorded.scale, recorded.dense, scores, recorded.weights)
        state = "measured" if changed else "no effect"
        done.append(CellResult(cell.cut, cell.n_removed, cell.n_weights, state, None, drop))
    return done


def compared(recorded: Recording, rule: str, seeds: int, times: float) -> list[Cell]:
    """A row of the table: one model, one tolerance, all orders."""
    n, n_cells, cells = len(recorded.dense), len(recorded.cells), exact_cells(recorded)
    tolerance = usual_tolerance(recorded) * times
    exact, target_of = largest_within(cells, tolerance), {cell.cut.curve: cell.cut.target for cell in cells}
    grid = [None, *sorted({cell.cut.sparsity for cell in cells if cell.cut.sparsity})]
    total: Counter[str] = Counter()
    for seed in range(seeds):
        search, visited = replay(recorded, seed, rule, mode="tolerance", tolerance=tolerance)
        total["examples"] += sum(search.state(position).n for position in range(n_cells))
        total["passes"] += sum(min(recorded.batch_size, n) if batch else recorded.batch_size // 5 for batch in visited)
        for curve, answer in search.answers().items():
            target = target_of[curve]
            steps = abs(grid.index(answer.sparsity) - grid.index(exact.get(target)))
            rising = rises(cells, target, tolerance)
            total.update(targets=1, equal=steps == 0, near=steps <= 1, probes=answer.probes)
            total.update(rising=rising, rising_equal=rising and steps == 0, seen=not answer.monotone)
    n_targets = total["targets"]
    return [
        recorded.name, n, times, n_targets, total["equal"] / n_targets, n_targets - total["equal"],
        n_targets - total["near"], total["rising_equal"] / max(total["rising"], 1), n_targets - total["rising"],
        total["seen"], total["examples"] / (seeds * n * n_cells), total["passes"] / (seeds * n),
        total["probes"] / n_targets,
    ]  # fmt: skip


def summed(rows: list[list[Cell]]) -> str:
    """All models and tolerances in one line."""
    answers, other, farther = (sum(int(str(row[at])) for row in rows) for at in (3, 5, 6))
    return (
        f"all: {answers - other:,} of {answers:,} answers as the exact sweep ({1 - other / answers:.2%}), "
        f"{other - farther} one step off, {farther} farther"
    )


def main() -> None:
    """Print a table."""
    given = arguments(__doc__)
    columns = (
        Column("model"), Column("examples"), Column("× the usual tolerance", "", ".1f"), Column("answers"),
        Column("as the exact sweep", "", ".2%"), Column("not as it"), Column("of these more than one step off"),
        Column("as the exact one, of rising targets", "", ".2%"), Column("answers of targets that do not rise"),
        Column("of these seen"), Column("of all examples × cells", "", ".2%"),
        Column("passes over the data", "", ".2f"), Column("sparsities tried per target", "", ".2f"),
    )  # fmt: skip
    print(" | ".join(column.name for column in columns))
    rows: list[list[Cell]] = []
    for name in given.samples:
        recorded = recording(name, given.workspace, given.examples)
        for times in given.times:
            rows.append(compared(recorded, given.rule, given.seeds, times))
            print(
                " | ".join(cell_text(cell, one.form) for cell, one in zip(rows[-1], columns, strict=True)), flush=True
            )
    print(summed(rows))
    write_record(
        given, "Searches against exact sweeps" + (", by forecasts" if given.rule == "calibrated" else ""),
        "Does a search within a tolerance find what an exact sweep finds, and at what cost?",
        [Table(columns, rows)],
        f"Recorded sweeps are replayed in {given.seeds} orders of the examples by the rule {given.rule}; a target "
        "rises if no sparsity is within the tolerance above one that is beyond it.",
        [f"{summed(rows).removeprefix('all: ')}."],
    )  # fmt: skip


if __name__ == "__main__":
    main()
