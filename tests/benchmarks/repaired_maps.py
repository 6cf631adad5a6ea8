"""Does the map after a cheap repair say better than the raw one what a cut costs once it was fine-tuned?

    python -m tests.benchmarks.repaired_maps [MODEL …] [--repair full] [--steps 40] [--samples 2000] [--only K]

Of every cell (channels and neurons, heads, single weights, at a few sparsities): the drop raw, the drop repaired, and
the drop after that cut alone was fine-tuned for a few steps, from the raw cut, on the same examples. Rank correlation
of the first two with the last, paired bootstrap over the cells; what both sweeps cost; and of even plans how much of
the loss each repair takes back. `minilm` needs what tests/benchmarks/minilm.py names.
"""

import random
import time
from argparse import ArgumentParser
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.stats import spearmanr

from core import SparsityPlan, Workload, load_workload
from core.errors import SecateurError
from core.plans.plan import Cut
from core.plans.repairs import REPAIRS
from core.plans.schedules import Schedule
from core.recovery.request import RecoverRequest
from core.recovery.rounds import Recovery
from core.recovery.settings import FineTuning
from core.sensitivity.measuring.measurement import Measurement
from tests.benchmarks.record import Cell, Column, Table, interval, recordable, write_record

MODELS = ("fashion-resnet", "fashion-vit", "tiny-gpt", "minilm")
UNITS = (0.5, 0.75)  # of channels and neurons: where a cut costs more than noise
WEIGHTS = (0.8, 0.95)
RATES = {"minilm": 5e-5}
BATCHES = {"tiny-gpt": 16, "minilm": 16}  # examples a step of fine-tuning; of the others 64
ROUNDS = 2000  # of the bootstrap over cells


@dataclass(frozen=True)
class CellDrops:
    """One cell's drops, in the metric's unit."""

    name: str
    raw: float
    repaired: float
    tuned: float


def loaded(name: str) -> Workload:
    """A sample, or MiniLM with its first training sentences to calibrate on."""
    if name != "minilm":
        return load_workload(name)
    from tests.benchmarks.minilm import workload

    found = workload()
    assert found.training is not None
    rest = found.training.take(torch.arange(500, len(found.training)))
    return replace(found, calibration=found.training.first(500), training=rest)


def cuts_of(measurement: Measurement) -> list[Cut]:
    """Channels and neurons, every head, and the weights of every layer."""
    measurement.structure()
    found: list[Cut] = []
    for target in measurement.targets:
        if target.granularity == "channel":
            found += [Cut(target.name, "channel", sparsity) for sparsity in UNITS]
        elif target.granularity == "weight":
            found += [Cut(target.name, "weight", sparsity) for sparsity in WEIGHTS]
        elif target.granularity == "head":
            found.append(Cut(target.name, "head"))
    return found


def measured(measurement: Measurement, cuts: list[Cut], repair: str | None) -> tuple[list[float | None], float]:
    """Drops of plans of one cut, replayed like any sweep's; and the CPU seconds that they took."""
    begun = time.process_time()
    found: list[float | None] = []
    for cut in cuts:
        try:
            drop = measurement.measure(SparsityPlan((cut,), repair=repair)).drop
        except SecateurError:
            drop = None  # no repair for this one: the map leaves it blank
        found.append(None if drop is None else drop.value)
    return found, time.process_time() - begun


def fine_tuned(measurement: Measurement, name: str, cut: Cut, steps: int) -> float | None:
    """The drop of one cut after some steps of fine-tuning."""
    settings = FineTuning(steps=steps, rate=RATES.get(name, 5e-4), batch_size=BATCHES.get(name, 64))
    schedule = Schedule("one_shot", final_sparsity=0.5, num_iterations=1)
    request = RecoverRequest(name, schedule, settings, SparsityPlan((cut,)).to_document())
    drop = Recovery(measurement, request).run()[-1].drop
    return None if drop is None else drop.value


def correlations(cells: list[CellDrops], seed: int = 0) -> tuple[float, float, dict[str, float]]:
    """Spearman's ρ raw and repaired, and their difference with its 95 % interval over resampled cells."""
    drops = np.array([(one.raw, one.repaired, one.tuned) for one in cells])

    def both(rows: np.ndarray) -> tuple[float, float]:
        tuned = drops[rows, 2]
        return tuple(float(spearmanr(drops[rows, k], tuned).statistic) for k in (0, 1))  # type: ignore[return-value]

    raw, repaired = both(np.arange(len(drops)))
    draws = np.random.default_rng(seed).integers(0, len(drops), (ROUNDS, len(drops)))
    gains = [b - a for a, b in map(both, draws)]
    low, high = np.nanquantile(gains, (0.025, 0.975))
    return raw, repaired, {"value": repaired - raw, "low": float(low), "high": float(high)}


def even_plans(measurement: Measurement) -> dict[str, SparsityPlan]:
    """Half of the channels of every group, every second head, and 80 % of all weights; those that there are."""
    kinds = ("channel", "head", "weight")
    of = {kind: [t.name for t in measurement.targets if t.granularity == kind] for kind in kinds}
    plans = {
        "half of the channels": SparsityPlan(tuple(Cut(name, "channel", 0.5) for name in of["channel"])),
        "every second head": SparsityPlan(tuple(Cut(name, "head") for name in of["head"][1::2])),
        "80 % of the weights": SparsityPlan(tuple(Cut(name, "weight", 0.8) for name in of["weight"])),
    }
    return {what: plan for what, plan in plans.items() if plan.cuts}


def taken_back(measurement: Measurement, name: str, what: str, plan: SparsityPlan) -> list[list[Cell]]:
    """What each repair that can do something makes of a plan's drop, a row each."""
    raw = measurement.measure(plan).drop
    assert raw is not None
    rows: list[list[Cell]] = []
    for kind in REPAIRS:
        try:
            drop = measurement.measure(replace(plan, repair=kind)).drop
        except SecateurError as error:
            print(f"  {what}, {kind}: {error}")
            continue
        if drop is not None:
            rows.append([name, what, kind, interval(raw), interval(drop), 1 - drop.value / raw.value])
            print(f"  {what}, {kind}: {raw.value:.4f} → {drop.value:.4f}, {rows[-1][-1]:.0%} back", flush=True)
    return rows


def of_model(name: str, repair: str, steps: int, samples: int, only: int | None) -> tuple[list[Cell], list[list[Cell]]]:
    """A row of correlations, and rows of what each repair takes back of an even plan's loss."""
    workload = loaded(name)
    n = min(samples, workload.n_open)
    with Measurement(workload, None, n) as measurement:
        cuts = cuts_of(measurement)
        cuts = cuts if only is None or only >= len(cuts) else random.Random(0).sample(cuts, only)
        measurement.replay()
        raw, cost_raw = measured(measurement, cuts, None)
        repaired, cost = measured(measurement, cuts, repair)
        cells = []
        for cut, before, after in zip(cuts, raw, repaired, strict=True):
            if before is None or after is None:
                continue
            tuned = fine_tuned(measurement, name, cut, steps)
            if tuned is not None:
                cells.append(CellDrops(cut.curve, before, after, tuned))
                print(
                    f"  {cut.curve} {cut.sparsity}: raw {before:.4f} repaired {after:.4f} tuned {tuned:.4f}", flush=True
                )
        rho_raw, rho, gain = correlations(cells)
        off = [np.median([abs(getattr(one, kind) - one.tuned) for one in cells]) for kind in ("raw", "repaired")]
        worse = sum(one.repaired > one.raw for one in cells)
        row: list[Cell] = [name, len(cells), rho_raw, rho, gain, *map(float, off), worse, cost / cost_raw]
        taken = [
            line for what, plan in even_plans(measurement).items() for line in taken_back(measurement, name, what, plan)
        ]
    return row, taken


def main() -> None:
    """Print the rows."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--repair", default="full", choices=REPAIRS)
    parser.add_argument("--steps", type=int, default=40, help="of fine-tuning, each cell")
    parser.add_argument("--samples", type=int, default=2000, help="examples that drops are measured on")
    parser.add_argument("--only", type=int, metavar="K", help="so many cells of each model, drawn by a seed")
    recordable(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, shares = [], []
    for name in options.models or MODELS:
        row, taken = of_model(name, options.repair, options.steps, options.samples, options.only)
        print(row, flush=True)
        rows.append(row)
        shares += taken
    write_record(
        options,
        "Maps after a repair",
        "Does a map after a cheap repair rank the cuts as their drop after fine-tuning does, and what does it cost?",
        [
            Table(
                (
                    Column("model"),
                    Column("cells"),
                    Column("ρ raw", "", ".2f"),
                    Column("ρ repaired", "", ".2f"),
                    Column("gain", "", "+.2f"),
                    Column("median |raw − tuned|", "", ".4f"),
                    Column("median |repaired − tuned|", "", ".4f"),
                    Column("cells made worse"),
                    Column("CPU, repaired ÷ raw", "", ".2f"),
                ),
                rows,
            ),
            Table(
                (
                    Column("model"),
                    Column("plan"),
                    Column("repair"),
                    Column("drop raw", "", ".4f"),
                    Column("drop repaired", "", ".4f"),
                    Column("share taken back", "", ".0%"),
                ),
                shares,
                "What repairs take back of even plans",
            ),
        ],
        "ρ: Spearman's rank correlation over cells with the drop after fine-tuning from the raw cut; the gain with its "
        "95 % interval over resampled cells. Drops in the metric's own unit.",
        [],
    )


if __name__ == "__main__":
    main()
