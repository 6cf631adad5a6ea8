"""Does a search within a tolerance say what an exact sweep says, and at what cost?

`python -m tests.benchmarks.agreement [SAMPLE …] [--workspace W] [--seeds 20]`. Replays recorded scores of full sweeps
in random orders. "seen": targets of which the search found that they are not rising. Cost is the share of all examples
× cells that it looked at; passes are visits of batches in units of the whole data, for each visit needs the dense
activations of its batch.
"""

from collections import Counter

from core.sensitivity.report import CellResult, largest_within
from core.sensitivity.statistics.intervals import drop_estimate
from tests.benchmarks.record import Cell, Column, Table, write_record
from tests.benchmarks.recorded import Recording, arguments, recording, replay, usual_tolerance


def exact_cells(recorded: Recording) -> list[CellResult]:
    """The cells as an exact sweep on all examples reports them."""
    done = []
    for cell, scores, changed in zip(recorded.cells, recorded.scores, recorded.changed, strict=True):
        drop = drop_estimate(recorded.scale, recorded.dense, scores, recorded.weights)
        state = "measured" if changed else "no effect"
        done.append(CellResult(cell.cut, cell.n_removed, cell.n_weights, state, None, drop))
    return done


def rises(cells: list[CellResult], target: str, tolerance: float) -> bool:
    """Whether no cell of a target is within the tolerance above one that is beyond."""
    within = [c.drop.high <= tolerance for c in cells if c.cut.target == target and c.cut.sparsity and c.drop]
    return within == sorted(within, reverse=True)


def main() -> None:
    """Print a table."""
    given = arguments(__doc__, times=True)
    print(
        f"{'sample':16}{'targets':>8}{'equal':>8}{'±1 step':>9}{'rising, equal':>15}{'not rising':>12}{'seen':>8}",
        end="",
    )
    print(f"{'cost':>8}{'passes':>8}{'visits':>8}{'probes':>8}")
    rows: list[list[Cell]] = []
    for name in given.samples:
        recorded = recording(name, given.workspace, given.examples)
        n, n_cells, cells = len(recorded.dense), len(recorded.cells), exact_cells(recorded)
        tolerance = usual_tolerance(recorded) * given.times
        exact = largest_within(cells, tolerance)
        grid = [None, *sorted({cell.cut.sparsity for cell in cells if cell.cut.sparsity})]
        total: Counter[str] = Counter()
        for seed in range(given.seeds):
            search, visited = replay(recorded, seed, given.rule, mode="tolerance", tolerance=tolerance)
            total["examples"] += sum(search.state(position).n for position in range(n_cells))
            total["visits"] += len(visited)
            total["passes"] += sum(
                min(recorded.batch_size, n) if batch else recorded.batch_size // 5 for batch in visited
            )
            for target, answer in search.answers().items():
                steps = abs(grid.index(answer.sparsity) - grid.index(exact.get(target)))
                rising = rises(cells, target, tolerance)
                total.update(targets=1, equal=steps == 0, near=steps <= 1, probes=answer.probes)
                total.update(rising=rising, rising_equal=rising and steps == 0, seen=not answer.monotone)
        n_targets = total["targets"]
        print(
            f"{name:16}{n_targets:8}{total['equal'] / n_targets:8.2%}{total['near'] / n_targets:9.2%}"
            f"{total['rising_equal'] / max(total['rising'], 1):15.2%}{n_targets - total['rising']:12}{total['seen']:8}"
            f"{total['examples'] / (given.seeds * n * n_cells):8.4f}{total['passes'] / (given.seeds * n):8.2f}"
            f"{total['visits'] / given.seeds:8.0f}{total['probes'] / n_targets:8.2f}",
            flush=True,
        )
        rows.append([
            name, n, n_targets, total["equal"] / n_targets, total["near"] / n_targets,
            total["rising_equal"] / max(total["rising"], 1), n_targets - total["rising"], total["seen"],
            total["examples"] / (given.seeds * n * n_cells), total["passes"] / (given.seeds * n),
            total["probes"] / n_targets,
        ])  # fmt: skip
    columns = (
        Column("sample"), Column("examples"), Column("answers"), Column("as the exact sweep", "", ".2%"),
        Column("at most one step off", "", ".2%"), Column("as the exact one, of rising targets", "", ".2%"),
        Column("answers of targets that do not rise"), Column("of these seen"),
        Column("of all examples × cells", "", ".2%"), Column("passes over the data", "", ".2f"),
        Column("sparsities tried per target", "", ".2f"),
    )  # fmt: skip
    write_record(
        given, "Searches against exact sweeps",
        "Does a search within a tolerance find what an exact sweep finds, and at what cost?",
        [Table(columns, rows)],
        f"Recorded sweeps are replayed in {given.seeds} orders of the examples by the rule {given.rule}, with "
        f"{given.times:g} times the usual tolerance; a target rises if no sparsity is "
        "within the tolerance above one that is beyond it.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
