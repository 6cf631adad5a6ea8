"""Per-example evidence of full sweeps, read back from a workspace: what the replays of the search are made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core import load_workload, sweep
from core.plans.plan import SparsityPlan
from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.sensitivity.measurement import DENSE, Measurement
from core.sensitivity.report import CellResult
from core.sensitivity.request import SweepRequest
from core.sensitivity.sweep import plan_cells
from core.workload.scale import Scale
from core.workspace import Workspace


@dataclass(frozen=True)
class Recording:
    """What a full sweep of a sample measured.

    Attributes:
        name: of the sample.
        scale: of its metric.
        batch_size: examples per forward pass.
        cells: waiting, in the sweep's order.
        dense: scores of the dense model, (n,).
        weights: of the examples, (n,), or `None`.
        scores: of every cell, (cells, n).
        changed: whether a cell changes any output, (cells,).
    """

    name: str
    scale: Scale
    batch_size: int
    cells: tuple[CellResult, ...]
    dense: NDArray[np.float64]
    weights: NDArray[np.float64] | None
    scores: NDArray[np.float64]
    changed: NDArray[np.bool_]


def recording(name: str, workspace: str) -> Recording:
    """A sample's default sweep over all examples; measured into the workspace first where it is not known."""
    workload, store = load_workload(name), EvidenceStore(Workspace(workspace))
    measurement = Measurement(workload, store, "all")
    cells = plan_cells(measurement.targets, SweepRequest(name, samples="all"))
    if _read(store, measurement, SparsityPlan((cells[-1].cut,))) is None:
        sweep(name, workspace=workspace, samples="all")
    found = [_read(store, measurement, plan) for plan in (DENSE, *(SparsityPlan((cell.cut,)) for cell in cells))]
    assert all(found)
    (dense, *batches) = [batches for batches in found if batches]
    weights = [batch.weights for batch in dense if batch.weights is not None]
    return Recording(
        name,
        workload.metric.scale,
        workload.batch_size,
        cells,
        _joined([batch.scores for batch in dense]),
        _joined(weights) if weights else None,
        np.stack([_joined([batch.scores for batch in cell]) for cell in batches]),
        np.array([any(batch.changed for batch in cell) for cell in batches]),
    )


def _read(store: EvidenceStore, measurement: Measurement, plan: SparsityPlan) -> list[BatchEvidence] | None:
    keys = measurement._keys
    known = store.read(measurement._conditions.cell_key(plan), keys)
    return [known[key] for key in keys] if len(known) == len(keys) else None


def _joined(parts: list[NDArray[np.float32]]) -> NDArray[np.float64]:
    return np.concatenate(parts).astype(np.float64)
