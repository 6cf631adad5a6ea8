"""The sweep: every cell of layers × sparsities and every head, each from the dense weights."""

import re
from collections.abc import Callable, Sequence

from core.errors import SecateurError
from core.plans.plan import Cut, SparsityPlan, n_removed
from core.pruning.masks import unknown_name_hint
from core.sensitivity.measurement import Measurement
from core.sensitivity.report import CellResult
from core.sensitivity.request import SweepRequest
from core.workload.target import Target


def plan_cells(targets: Sequence[Target], request: SweepRequest) -> tuple[CellResult, ...]:
    """The cells of a sweep, waiting to be measured, in network order with each target's sparsities ascending.

    Raises:
        SecateurError: no target matches the request's `layers`.
    """
    matching = [target for target in targets if re.search(request.layers, target.name)]
    chosen = [target for target in matching if target.granularity == "weight" or request.heads]
    cells = tuple(cell for target in chosen for cell in _cells_of(target, request))
    if not cells:
        names = [target.name for target in targets]
        if not names:
            raise SecateurError("the model has nothing that can be cut; `secateur targets` lists the reasons")
        if matching:
            raise SecateurError(
                f"--layers {request.layers!r} matches only targets that this sweep leaves out; "
                "see --heads and --sparsities"
            )
        raise SecateurError(
            f"--layers {request.layers!r} matches no target; {unknown_name_hint(request.layers, names)}"
        )
    return cells


def _cells_of(target: Target, request: SweepRequest) -> list[CellResult]:
    if target.granularity == "head":
        return [CellResult(Cut(target.name, "head"), target.n_weights, target.n_weights)]
    return [
        CellResult(
            Cut(target.name, "weight", sparsity, request.criterion),
            n_removed(sparsity, target.n_weights),
            target.n_weights,
        )
        for sparsity in request.sparsities
    ]


def measure_cells(
    measurement: Measurement, cells: Sequence[CellResult], on_cell: Callable[[int, CellResult, bool], None]
) -> None:
    """Measure cell after cell.

    Args:
        measurement: entered.
        cells: from `plan_cells`.
        on_cell: called with position, finished cell, and whether it was known already.

    Raises:
        Cancelled: as the measurement's `check` says; every cell reported so far is on disk.
    """
    for position, cell in enumerate(cells):
        outcome = measurement.measure(SparsityPlan((cell.cut,)))
        reason = outcome.reason
        if outcome.state == "no effect" and cell.n_removed == 0:
            reason = f"{cell.cut.sparsity} of {cell.n_weights} weights rounds to none"
        done = CellResult(cell.cut, cell.n_removed, cell.n_weights, outcome.state, outcome.metric, outcome.drop, reason)
        on_cell(position, done, outcome.reused)
