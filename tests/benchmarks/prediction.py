"""How well plans are predicted: rank correlation, and how often the measured metric lies in the 95 % interval.

    python -m tests.benchmarks.prediction [MODEL ...] [--examples N] [--plans 50] [--spaces]

For each model: a sweep over the weights of every layer, six anchors (uniform plans, `core.tuning.anchors`), then
random plans that nobody chose. Each is drawn around a uniform sparsity u: every layer loses a Beta(4u, 4(1 - u)) part
of its weights, 95 % at most. "Usable": u up to where the uniform plan has lost half of what the worst anchor loses;
"all": u up to 0.9, where most plans of a small CNN are at chance. The random plans correct nothing.

`--spaces` compares in what terms harm adds up: the metric itself, its log-odds or logarithm, and the loss, each by its
own sweep. It needs a metric with a loss.
"""

import argparse
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import spearmanr

from core.plans.plan import Cut, SparsityPlan
from core.plans.prediction import Predictor
from core.sensitivity.cells import plan_cells
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.report import CellResult
from core.sensitivity.request import SweepRequest
from core.sensitivity.sweep import Sweep
from core.tuning.anchors import anchor_plans
from core.tuning.predictor import MeasuredJoint, make_predictor
from core.workload.loading import load_workload
from core.workload.metric import Metric
from core.workload.scale import Scale
from core.workload.workload import Workload
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record

MODELS = ("fashion-resnet", "fashion-vit", "tiny-gpt")


def swept(measurement: Measurement, name: str) -> list[CellResult]:
    """Every weight cell."""
    request = SweepRequest(name, heads=False, preview=False)
    cells = list(plan_cells(measurement.targets, request))
    Sweep(
        measurement, cells, request, lambda news: [cells.__setitem__(p, cell) for p, cell in news.cells.items()]
    ).run()  # type: ignore[func-returns-value]
    return cells


def measured(measurement: Measurement, plans: Sequence[SparsityPlan]) -> list[MeasuredJoint]:
    """Plans, one after the other; those that fail are left out."""
    dense = measurement.dense()
    found = []
    for plan in plans:
        outcome = measurement.measure(plan)
        if outcome.metric is not None and outcome.drop is not None:
            found.append(MeasuredJoint(plan, dense, outcome.metric, outcome.drop))
    return found


def random_plans(targets: Sequence[str], most: float, n: int, seed: int = 0) -> list[SparsityPlan]:
    """Plans drawn as told above."""
    rng = random.Random(seed)
    plans = []
    for _ in range(n):
        u = rng.uniform(0.05, most)
        a, b = max(0.5, 4 * u), max(0.5, 4 * (1 - u))
        plans.append(
            SparsityPlan(tuple(Cut(name, "weight", round(min(0.95, rng.betavariate(a, b)), 3)) for name in targets))
        )
    return plans


def usable(anchors: Sequence[MeasuredJoint]) -> float:
    """The uniform sparsity at which half of what the worst anchor loses is lost, between two anchors on a line."""
    worst = max(one.drop.value for one in anchors)
    xs = [0.0, *(max(cut.sparsity or 0.0 for cut in one.plan.cuts) for one in anchors)]
    drops = np.maximum.accumulate([0.0, *(one.drop.value for one in anchors)])
    return float(np.interp(worst / 2, drops, xs))


def told(predictor: Predictor, plans: Sequence[MeasuredJoint], label: str, factor: float) -> list[Cell]:
    """A row of the table, printed; gaps, widths and drops times `factor`."""
    predictions = [predictor.predict(one.plan) for one in plans]
    drops = [factor * one.drop.value for one in plans]
    inside = np.mean(
        [factor * p.drop_low <= d <= factor * p.drop_high for p, d in zip(predictions, drops, strict=True)]
    )
    gap = np.median([abs(factor * p.drop - d) for p, d in zip(predictions, drops, strict=True)])
    width = factor * np.median([p.drop_high - p.drop_low for p in predictions])
    rho = spearmanr([p.harm for p in predictions], drops).statistic
    print(
        f"| {label} | {len(plans)} | {predictor.n_plans} | {rho:.3f} | {inside:.0%} | {gap:.3g} | {width:.3g} "
        f"| {min(drops):.3g} to {max(drops):.3g} |",
        flush=True,
    )
    measured_drops = f"{min(drops):.3g} to {max(drops):.3g}".replace("-", "−")
    return [label, len(plans), predictor.n_plans, float(rho), float(inside), float(gap), float(width), measured_drops]


def by_loss(workload: Workload) -> Workload | None:
    """The same model, judged by its loss; `None` where the metric has none."""
    if workload.metric.loss is None:
        return None
    scale = Scale("loss", "nats", higher_is_better=False, low=None, high=None)
    return replace(workload, metric=Metric(scale, workload.metric.loss, workload.metric.weigh))


def as_is(scale: Scale) -> Scale:
    """A scale that is read in its own terms: neither a fraction nor an exponential."""
    return replace(scale, unit="", aggregate="mean", low=None, high=None)


def spaces(name: str, workload: Workload, cells: Sequence[CellResult], plans: Sequence[MeasuredJoint]) -> None:
    """How well each space ranks the same plans."""
    scale, dense = workload.metric.scale, plans[0].dense
    rows: list[tuple[str, Callable[[], Predictor | None]]] = [
        ("metric", lambda: make_predictor(cells, as_is(scale), dense)),
        ("its own (log-odds, log)", lambda: make_predictor(cells, scale, dense)),
    ]
    loss = by_loss(workload)
    if loss is not None:
        with Measurement(loss, None, dense.n) as measurement:
            losses, of_dense = swept(measurement, name), measurement.dense()
        rows.append(("loss", lambda: make_predictor(losses, loss.metric.scale, of_dense)))
    for label, make in rows:
        predictor = make()
        assert predictor is not None
        rho = spearmanr(
            [predictor.predict(one.plan).harm for one in plans], [one.drop.value for one in plans]
        ).statistic
        print(f"    Spearman where {label} adds up: {rho:.3f}", flush=True)


def main() -> None:
    """Print a row for each model and range."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--examples", type=int)
    parser.add_argument("--plans", type=int, default=50)
    parser.add_argument("--spaces", action="store_true")
    recordable(parser)
    asked = parser.parse_args()
    rows: list[list[Cell]] = []
    print("| plans | random plans | anchors | Spearman | inside 95 % | median gap | median width | measured drops |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in asked.models:
        workload, start = load_workload(name), time.monotonic()
        with Measurement(workload, None, asked.examples) as measurement:
            cells, dense, scale = swept(measurement, name), measurement.dense(), workload.metric.scale
            alone = make_predictor(cells, scale, dense)
            assert alone is not None
            anchors = measured(measurement, anchor_plans(alone, ("weight",)))
            predictor = make_predictor(cells, scale, dense, anchors)
            assert predictor is not None
            layers = [target.name for target in measurement.targets if target.granularity == "weight"]
            most = usable(anchors)
            within = measured(measurement, random_plans(layers, most, asked.plans))
            every = measured(measurement, random_plans(layers, 0.9, asked.plans, seed=1))
        for which, plans, label in (
            (predictor, within, f"usable (u to {most:.2f})"),
            (alone, within, "usable, no anchors"),
            (predictor, every, "all (u to 0.9)"),
        ):
            row = told(which, plans, f"{workload.name}, {label}", scale.factor)
            rows.append([workload.name, dense.n, label, *row[1:]])
        print(f"    n = {dense.n:,}, {time.monotonic() - start:.0f} s")
        if asked.spaces:
            spaces(name, workload, cells, within)
    columns = (
        Column("model"), Column("examples"), Column("random plans"), Column("number"), Column("anchors"),
        Column("Spearman", "", ".3f"), Column("inside the 95 % interval", "", ".0%"), Column("median gap"),
        Column("median width"), Column("measured drops"),
    )  # fmt: skip
    write_record(
        asked, "Random plans predicted", "How well is the drop of a plan predicted that nobody chose?",
        [Table(columns, rows)],
        "Spearman's correlation of predicted harm and measured drop, and the share of plans whose measured drop lies "
        "in the predicted 95 % interval; gaps, widths and drops are in points of a fraction, else the metric's own.",
        [
            "Plans lie around a uniform sparsity u, up to where half of the metric is lost (usable) or up to 90 % "
            "(all); none of them corrected a prediction, the anchors did.",
            "A plan that a solver chose for its prediction is predicted too well more often.",
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
