"""How well the plans that a solver chose are predicted, judged on examples that neither sweep nor anchors saw.

    python -m tests.benchmarks.solved_plans [MODEL ...] [--recorded 3000] [--swept 500] [--sweeps 7] [--workspace DIR]

Of each model every cell is measured once on all recorded examples. A "sweep" is then what it would have said on a part
of them, drawn anew each time; the anchors are measured on as many others; and each plan that the solver makes for a
goal is judged on the rest. A plan counts as covered where the drop on the rest lies in its stated 95 % interval, the
noise of the rest itself (a few thousand examples) not taken off.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core import sweep
from core.jobs.runs import RunStore
from core.plans.plan import SparsityPlan
from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.report import CellResult, Estimate
from core.sensitivity.statistics.intervals import drop_estimate, metric_estimate
from core.sensitivity.statistics.risen import Risen
from core.tuning.predictor import MeasuredJoint
from core.workload.description import Description
from core.workload.loading import canonical_ref, load_workload
from core.workspace import Workspace

Scores = NDArray[np.float64]
Rows = NDArray[np.int64]


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
        outcome = self.measurement.measure(plan)
        assert outcome.drop is not None, outcome.reason
        known = self.measurement.known(self.measurement.cell_key(plan))
        return _joined([known[i].scores for i in sorted(known)])

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
