"""What a census saves: `python -m tests.benchmarks.rules [MODEL …] [--examples N] [--mode tolerance] [--rounds 2]`.

The same sweep by `--rule sampling` and `--rule census`, in turn and each in a fresh workspace, by the CPU seconds of
this process (set OMP_NUM_THREADS=1), one cell at a time. Beside it how many examples × cells were measured, and whether
the answers are the same.
"""

import argparse
import tempfile
import time

from core import sweep
from core.jobs.runs import RunStore
from core.workspace import Workspace
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record


def spent(name: str, rule: str, mode: str, samples: int | str) -> tuple[float, int, dict[str, float | None]]:
    """CPU seconds of a sweep, examples × cells that it measured, and its answers."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        sweep(name, workspace=folder, mode=mode, rule=rule, samples=samples, preview=False, threads=1)
        seconds = time.process_time() - start
        workspace = Workspace(folder)
        (run,) = RunStore(workspace).list()
        result = run.result or {}
        with workspace.connect() as db:
            told = db.execute("SELECT sum(n) FROM evidence WHERE cell != ?", (result["dense_cell"],)).fetchone()[0]
    return seconds, told, {target: answer["sparsity"] for target, answer in result["answers"].items()}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["fashion-resnet", "fashion-vit"])
    parser.add_argument("--examples", type=int, help="by default all")
    parser.add_argument("--mode", default="tolerance", choices=["tolerance", "race"])
    parser.add_argument("--rounds", type=int, default=2)
    recordable(parser)
    given = parser.parse_args()
    rows: list[list[Cell]] = []
    for name in given.models:
        found: dict[str, list[tuple[float, int, dict[str, float | None]]]] = {"sampling": [], "census": []}
        sweep(name, workspace=tempfile.mkdtemp(), samples=20, sparsities=(0.5,), preview=False, replay=True)  # imports
        for _ in range(given.rounds):
            for rule, ways in found.items():
                ways.append(spent(name, rule, given.mode, given.examples or "all"))
        seconds = {rule: min(one[0] for one in ways) for rule, ways in found.items()}
        told = {rule: ways[0][1] for rule, ways in found.items()}
        same = found["sampling"][0][2] == found["census"][0][2]
        ratios = seconds["sampling"] / seconds["census"], told["sampling"] / told["census"]
        words = "the same" if same else "differ"
        print(
            f"{name:16} CPU {seconds['sampling']:6.1f} s → {seconds['census']:6.1f} s ({ratios[0]:.2f} ×), examples × "
            f"cells {told['sampling']:,} → {told['census']:,} ({ratios[1]:.2f} ×), answers {words}",
            flush=True,
        )
        rows.append([name, given.mode, seconds["sampling"], seconds["census"], *ratios, "yes" if same else "no"])
    columns = (
        Column("model"), Column("mode"), Column("at random, CPU seconds", "", ".1f"),
        Column("by census, CPU seconds", "", ".1f"), Column("ratio", "", ".2f"),
        Column("ratio of examples × cells", "", ".2f"), Column("same answers"),
    )  # fmt: skip
    write_record(
        given, "What a census saves", "How much less does a search by census cost than one that reads all at random?",
        [Table(columns, rows)], f"The best of {given.rounds}, in turn; one cell at a time.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
