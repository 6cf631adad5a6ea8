"""Per-example evidence of full sweeps, read back from a workspace: what the replays of the search are made of."""

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core import load_workload, sweep
from core.plans.plan import SparsityPlan
from core.sensitivity.cells import plan_cells
from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.sensitivity.measuring.measurement import DENSE, Measurement
from core.sensitivity.report import CellResult, default_tolerance
from core.sensitivity.request import SweepRequest
from core.sensitivity.search.census import FIRST_OF_RACE, FIRST_OF_SEARCH, LEAST_BATCHES, planned
from core.sensitivity.search.scheduler import Search
from core.sensitivity.statistics.intervals import metric_estimate
from core.workload.scale import Scale
from core.workspace import Workspace
from tests.benchmarks.record import recordable


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
        margins: of the dense model, (n,), or `None` where the metric has none.
        against_dense: whether the metric holds outputs against the dense model's.
    """

    name: str
    scale: Scale
    batch_size: int
    cells: tuple[CellResult, ...]
    dense: NDArray[np.float64]
    weights: NDArray[np.float64] | None
    scores: NDArray[np.float64]
    changed: NDArray[np.bool_]
    margins: NDArray[np.float64] | None
    against_dense: bool = False


def usual_tolerance(recorded: Recording) -> float:
    """The tolerance that the dashboard would propose."""
    dense = metric_estimate(recorded.scale, recorded.dense, recorded.weights)
    return default_tolerance(recorded.scale, dense.value)


def recording(name: str, workspace: str, examples: int | None = None) -> Recording:
    """A sample's default sweep, by default over all examples; measured into the workspace first if it is not known."""
    workload, store = load_workload(name), EvidenceStore(Workspace(workspace))
    samples = "all" if examples is None else min(examples, len(workload.evaluation))
    measurement = Measurement(workload, store, samples)
    cells = plan_cells(measurement.targets, SweepRequest(name, samples=samples))
    if _read(store, measurement, SparsityPlan((cells[-1].cut,))) is None:
        sweep(name, workspace=workspace, samples=samples)
    found = [_read(store, measurement, plan) for plan in (DENSE, *(SparsityPlan((cell.cut,)) for cell in cells))]
    assert all(found)
    (dense, *batches) = [batches for batches in found if batches]
    weights = [batch.weights for batch in dense if batch.weights is not None]
    with measurement:
        margins = measurement.margins()
    return Recording(
        name,
        workload.metric.scale,
        workload.batch_size,
        cells,
        _joined([batch.scores for batch in dense]),
        _joined(weights) if weights else None,
        np.stack([_joined([batch.scores for batch in cell]) for cell in batches]),
        np.array([any(batch.changed for batch in cell) for cell in batches]),
        None if margins is None else margins.astype(np.float64),
        workload.metric.against == "dense",
    )


def _read(store: EvidenceStore, measurement: Measurement, plan: SparsityPlan) -> list[BatchEvidence] | None:
    keys = measurement.batches.keys
    known = store.read(measurement.cell_key(plan), keys)
    return [known[key] for key in keys] if len(known) == len(keys) else None


def _joined(parts: list[NDArray[np.float32]]) -> NDArray[np.float64]:
    return np.concatenate(parts).astype(np.float64)


def replay(recorded: Recording, seed: int, rule: str, **search: Any) -> tuple[Search, list[int]]:
    """A search on the recorded evidence, the examples in an order drawn by a seed.

    Args:
        recorded: the evidence.
        seed: of the order.
        rule: as in `SweepRequest`.
        **search: `mode`, `tolerance`, `width`, `level`.

    Returns:
        The search when it is done, and the batches it visited, in order.
    """
    search.setdefault("dense_is_best", recorded.against_dense and rule != "sampling")
    n, size = len(recorded.dense), recorded.batch_size
    order = np.random.default_rng(seed).permutation(n)
    sizes = np.diff(sorted({min(end, n) for end in (0, size // 5, *range(size, n, size), n)})).tolist()
    census = None
    if rule == "census" and recorded.margins is not None and n >= LEAST_BATCHES * size:
        first = FIRST_OF_RACE if search["mode"] == "race" else FIRST_OF_SEARCH
        key = np.random.default_rng(0).permutation(n)
        found = planned(recorded.margins[order], recorded.dense[order], sizes, size, key[order], first)
        if found is not None:
            places, sizes, census = found
            order = order[places]
    batches = np.split(order, np.cumsum(sizes)[:-1])
    search_ = Search(cells=recorded.cells, scale=recorded.scale, sizes=sizes, census=census, **search)
    for rows in batches:
        search_.tell_dense(recorded.dense[rows], None if recorded.weights is None else recorded.weights[rows])
    visited = []
    while wanted := search_.next():
        batch, positions = wanted
        visited.append(batch)
        for position in positions:
            search_.tell(position, batch, recorded.scores[position, batches[batch]], bool(recorded.changed[position]))
    return search_, visited


def arguments(description: str, times: bool = False) -> Namespace:
    """`--workspace`, `--seeds`, `--examples`, and the samples, of a script that replays."""
    parser = ArgumentParser(description=description)
    parser.add_argument("samples", nargs="*", default=["fashion-resnet", "fashion-vit", "tiny-gpt"])
    parser.add_argument("--workspace", default=".secateur", help="with full sweeps; missing ones are measured")
    parser.add_argument("--rule", default="census", choices=["census", "sampling"], help="which examples are read")
    parser.add_argument("--seeds", type=int, default=20, help="orders of the examples")
    parser.add_argument("--examples", type=int, help="of the sweeps that are replayed; by default all")
    if times:
        parser.add_argument("--times", type=float, default=1.0, help="the usual tolerance")
    recordable(parser)
    return parser.parse_args()
