"""Per-example evidence of full sweeps, read back from a workspace: what the replays of the search are made of."""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core import load_workload, sweep
from core.plans.criteria import DEFAULT_CRITERION
from core.plans.plan import SparsityPlan
from core.sensitivity.cells import plan_cells
from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.sensitivity.measuring.measurement import DENSE, Measurement
from core.sensitivity.report import CellResult, default_tolerance
from core.sensitivity.request import RULES, SweepRequest
from core.sensitivity.search.census import FIRST_OF_RACE, FIRST_OF_SEARCH, LEAST_BATCHES, interleaved, planned
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


def recording(asked: str, workspace: str, examples: int | None = None) -> Recording:
    """A model's default sweep, by default over all open examples; measured into the workspace first if it is not known.

    Args:
        asked: as `arguments` tells.
        workspace: or a folder of workspaces, in which the model's has its name (of a file without what follows the
            dot).
        examples: recorded, before any are skipped.
    """
    name, *words = asked.split(",")
    settings = dict(word.split("=", 1) for word in words)
    criterion, skipped = settings.pop("criterion", DEFAULT_CRITERION), int(settings.pop("skip", 0))
    examples = int(settings.pop("examples", 0)) or examples
    if settings:
        raise SystemExit(f"a recording has criterion=NAME, examples=N and skip=N, not {', '.join(settings)}")
    if (own := Path(workspace) / Path(name).stem).is_dir():
        workspace = str(own)
    workload, store = load_workload(name), EvidenceStore(Workspace(workspace))
    samples = "all" if examples is None else min(examples, workload.n_open)
    measurement = Measurement(workload, store, samples)
    cells = plan_cells(measurement.targets, SweepRequest(name, samples=samples, criteria=(criterion,)))
    plans = [SparsityPlan((cell.cut,)) for cell in cells]
    with measurement:
        for plan in plans:
            measurement.prepare(plan)
        if _read(store, measurement, plans[-1]) is None:
            sweep(name, workspace=workspace, samples=samples, criteria=(criterion,), preview=False)
        found = [_read(store, measurement, plan) for plan in (DENSE, *plans)]
        margins = measurement.margins()
    assert all(found)
    (dense, *batches) = [batches for batches in found if batches]
    weights = [batch.weights for batch in dense if batch.weights is not None]
    rows = _kept(measurement, skipped)
    return Recording(
        ", ".join([workload.name, *words]),
        workload.metric.scale,
        workload.batch_size,
        cells,
        _joined([batch.scores for batch in dense])[rows],
        _joined(weights)[rows] if weights else None,
        np.stack([_joined([batch.scores for batch in cell])[rows] for cell in batches]),
        np.array([any(batch.changed for batch in cell) for cell in batches]),
        None if margins is None else margins.astype(np.float64)[rows],
        workload.metric.against == "dense",
    )


def _kept(measurement: Measurement, skipped: int) -> NDArray[np.int64]:
    """Rows of the examples that a sweep of the first `skipped` does not read."""
    positions = np.concatenate([positions.numpy() for positions in measurement.batches.positions])
    if not skipped:
        return np.arange(len(positions))
    first = Measurement(measurement.workload, None, skipped).batches.positions
    return np.flatnonzero(~np.isin(positions, np.concatenate([positions.numpy() for positions in first])))


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
    census = margins = None
    if rule != "sampling" and recorded.margins is not None and n >= LEAST_BATCHES * size:
        first = FIRST_OF_RACE if search["mode"] == "race" else FIRST_OF_SEARCH
        key = np.random.default_rng(0).permutation(n)
        if rule == "calibrated":
            found = interleaved(recorded.margins[order], recorded.dense[order], sizes, size, key[order])
        else:
            found = planned(recorded.margins[order], recorded.dense[order], sizes, size, key[order], first)
        if found is not None:
            places, sizes, census = found
            order = order[places]
            margins = recorded.margins[order] if rule == "calibrated" else None
    batches = np.split(order, np.cumsum(sizes)[:-1])
    search_ = Search(cells=recorded.cells, scale=recorded.scale, sizes=sizes, census=census, margins=margins, **search)
    for rows in batches:
        search_.tell_dense(recorded.dense[rows], None if recorded.weights is None else recorded.weights[rows])
    visited = []
    while wanted := search_.next():
        batch, positions = wanted
        visited.append(batch)
        for position in positions:
            search_.tell(position, batch, recorded.scores[position, batches[batch]], bool(recorded.changed[position]))
    return search_, visited


def arguments(description: str | None, *more: ArgumentParser) -> Namespace:
    """`--workspace`, `--seeds`, `--examples`, `--times`, and the models, of a script that replays.

    A model is a sample or a workload file; behind it, `,criterion=NAME` for a sweep by another criterion, `,examples=N`
    for one of so many, and `,skip=N` to leave out those of a sweep of N, such as one that constants were chosen on.
    `more`: further options.
    """
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter, parents=more)
    parser.add_argument("samples", nargs="*", default=["fashion-resnet", "fashion-vit", "tiny-gpt"])
    parser.add_argument("--workspace", default=".secateur", help="with full sweeps, or a folder of workspaces by model")
    parser.add_argument("--rule", default=RULES[0], choices=RULES, help="which examples are read")
    parser.add_argument("--seeds", type=int, default=20, help="orders of the examples")
    parser.add_argument("--examples", type=int, help="of the sweeps that are replayed; by default all")
    parser.add_argument("--times", default="1", help="the usual tolerance; several: '0.5,1,2'")
    recordable(parser)
    given = parser.parse_args()
    given.times = [float(text) for text in given.times.split(",")]
    return given
