"""Whether giving back the first three rows of a plan gains what the map inside it said, and what the map costs.

    python -m tests.benchmarks.undo_map [--plans 50] [--samples 1000] [--time MODEL [--timed 500]]

Perceptrons of six layers, trained here on small pictures of Fashion-MNIST. Of each net a sweep on the first examples,
and plans that the solver makes of it for many budgets; of each plan the map on the examples after those; and the plan
without its first three rows is judged on all that are left, which nothing has looked at. A plan counts as held where
the gain on those lies in the interval that the map stated, their own noise not taken off.
"""

import time
from argparse import ArgumentParser
from itertools import pairwise
from tempfile import TemporaryDirectory

import torch
from torch import nn
from torch.nn import functional as F

from core import SparsityPlan, Workload, accuracy, sweep, undo
from core.jobs.known.findings import dense_of, known_cells, measured_joints, sweep_reports
from core.jobs.runs import RunStore
from core.pruning.structure import everything
from core.sensitivity.inside.report import UndoReport
from core.sensitivity.measuring.measurement import Measurement
from core.tuning.goal import Goal, solve
from core.tuning.predictor import make_predictor
from core.workload.description import describe
from core.workload.examples import Examples
from core.workload.loading import load_workload
from core.workspace import Workspace
from sample_models.fashion_mnist import images_and_labels
from tests.benchmarks.record import Column, Table, recordable, write_record

WIDTHS = (196, 64, 48, 48, 32, 32, 10)
NETS = 5


def trained(seed: int) -> Workload:
    """A perceptron that is right about four of five pictures; some seconds."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(WIDTHS)):
        layers += [nn.Linear(a, b)] + ([nn.ReLU()] if i < len(WIDTHS) - 2 else [])
    net = nn.Sequential(*layers)
    x, labels = images_and_labels("train")
    x, labels = small(x[:20000]), labels[:20000]
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(3):
        for rows in torch.randperm(len(x)).split(128):
            optimiser.zero_grad()
            F.cross_entropy(net(x[rows]), labels[rows]).backward()
            optimiser.step()
    x, labels = images_and_labels("t10k")
    return Workload(f"perceptron-{seed}", net.eval(), Examples(small(x), labels), accuracy(), batch_size=1000)


def small(images: torch.Tensor) -> torch.Tensor:
    """14 × 14 pictures in a row."""
    return F.avg_pool2d(images, 2).flatten(1)


def solved(workload: Workload, folder: str, n: int, samples: int) -> list[SparsityPlan]:
    """Plans that the solver makes from a sweep, for budgets of 2 to 20 % of the weights."""
    sweep(workload, workspace=folder, samples=samples, preview=False)
    runs = RunStore(Workspace(folder))
    found = describe("memory:" + workload.name, workload, everything)
    reports = sweep_reports(runs, found)
    predictor = make_predictor(
        known_cells(reports).values(), found.scale, dense_of(reports), measured_joints(runs, found)
    )
    assert predictor is not None
    lefts = [0.02 + 0.18 * i / max(1, n - 1) for i in range(n)]
    return [solve(Goal("nonzeros", left=left), predictor, found, granularities=("weight",)).plan for left in lefts]


def judged(workload: Workload, report: UndoReport, skip: int) -> float:
    """What giving back the last rows that were measured together gains on all examples after those."""
    less = report.without(report.together[-1].rows)
    with Measurement(workload, None, "all", skip=skip) as measurement:
        ours, theirs = (measurement.measure(plan).metric for plan in (report.plan, less))
    assert ours is not None
    assert theirs is not None
    return theirs.value - ours.value


def mean(values: list[float]) -> float | None:
    """`None` of none."""
    return sum(values) / len(values) if values else None


def cost_of_maps(name: str, samples: int) -> tuple[float, float, float]:
    """Seconds of a tolerance sweep, of the map inside a uniform plan of 50 %, and of that without steps further."""
    workload = load_workload(name)
    plan = SparsityPlan.uniform(describe(name, workload).targets, 0.5, "magnitude", name)
    found = []
    for how in (
        lambda folder: sweep(name, workspace=folder, samples=samples, heads=False, mode="tolerance", preview=False),
        lambda folder: undo(name, plan, workspace=folder, samples=samples, damage=False),
        lambda folder: undo(name, plan, workspace=folder, samples=samples, damage=False, further=False),
    ):
        with TemporaryDirectory() as folder:
            begun = time.monotonic()
            how(folder)
            found.append(time.monotonic() - begun)
    return found[0], found[1], found[2]


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--plans", type=int, default=50, help="in all")
    parser.add_argument("--nets", type=int, default=NETS, help="nets that they are of")
    parser.add_argument("--samples", type=int, default=1000, help="of the sweep, and of each map")
    parser.add_argument("--time", metavar="MODEL", help="also set the map's time beside a tolerance sweep's")
    parser.add_argument("--timed", type=int, default=500, help="examples of that")
    recordable(parser)
    options = parser.parse_args()
    rows: list[list[str | int | float | None]] = []
    held = told = 0
    all_gaps: list[float] = []
    all_raw: list[float] = []
    for seed in range(options.nets):
        workload = trained(seed)
        n, of_three, of_net, gaps, raw = 0, 0, 0, [], []
        with TemporaryDirectory() as folder:
            for plan in solved(workload, folder, options.plans // options.nets, options.samples):
                report = undo(workload, plan, workspace=folder, samples=options.samples, damage=False, further=False)
                if not report.together:
                    continue
                assert report.unseen
                said = report.together[-1].gain
                change = report.together[-1].back.change
                assert said is not None
                assert change is not None
                gain = judged(workload, report, 2 * options.samples)
                n, of_net = n + 1, of_net + (said.low <= gain <= said.high)
                of_three += len(report.together[-1].rows) == 3
                gaps.append(100 * (gain - said.value))
                raw.append(100 * (gain - change.value))
        held, told = held + of_net, told + n
        rows.append([workload.name, n, of_three, of_net, mean(gaps), mean(raw)])
        all_gaps, all_raw = all_gaps + gaps, all_raw + raw
        print(rows[-1], flush=True)
    rows.append(["all", told, sum(int(str(row[2])) for row in rows), held, mean(all_gaps), mean(all_raw)])
    print(f"held: {held} of {told}", flush=True)
    tables = [
        Table(
            (
                Column("net"),
                Column("plans"),
                Column("of three rows"),
                Column("held"),
                Column("mean judged − said", "points", "+.2f"),
                Column("mean judged − measured", "points", "+.2f"),
            ),
            rows,
        )
    ]
    if options.time:
        swept, both, back = cost_of_maps(options.time, options.timed)
        print(f"{options.time}: tolerance sweep {swept:.1f} s, map {both:.1f} s, without steps further {back:.1f} s")
        columns = (
            Column("model"), Column("tolerance sweep", "s", ".1f"), Column("map", "s", ".1f"),
            Column("map without steps", "s", ".1f"), Column("ratio", "", ".2f"),
            Column("ratio without steps", "", ".2f"),
        )  # fmt: skip
        tables.append(Table(columns, [[options.time, swept, both, back, both / swept, back / swept]], "Cost"))
    write_record(
        options,
        "The map inside a plan",
        "Does giving back the first rows of a plan, three or else two that surely gain, gain what the map said?",
        tables,
        "Held: the gain on 6,000 examples that nothing looked at lies in the 95 % interval that the map stated.",
        [
            "Said: what was measured less what luck is taken to have added: the rows were chosen on those examples.",
            "Plans without two rows that surely gain anything are left out: of those the map says nothing together.",
        ],
    )


if __name__ == "__main__":
    main()
