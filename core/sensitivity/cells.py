"""The cells of a sweep: which cuts are measured of which target, and which of them are impossible."""

import re
from collections.abc import Sequence
from dataclasses import replace

from core.errors import SecateurError, unknown_name_hint
from core.plans.checked import n_removed
from core.plans.criteria import why_not
from core.plans.patterns import parse_pattern
from core.plans.plan import FRACTIONAL, Cut
from core.pruning.coupling.groups import CannotCutError, n_units_removed
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.report import CellResult
from core.sensitivity.request import SweepRequest
from core.workload.target import Target


def plan_cells(targets: Sequence[Target], request: SweepRequest) -> tuple[CellResult, ...]:
    """The cells of a sweep, waiting to be measured, in network order with each target's sparsities ascending.

    A pattern that a layer cannot be cut in, or a criterion that says nothing of it, has cells that have failed already;
    nobody measures them.

    Raises:
        SecateurError: no target matches the request's `layers`.
    """
    matching = [target for target in targets if re.search(request.layers, target.name)]
    wanted = {
        "weight": request.weights or bool(request.patterns),
        "channel": request.channels,
        "head": request.heads,
        "kv_group": request.heads,
        "block": request.blocks,
    }
    chosen = [target for target in matching if wanted[target.granularity]]
    cells = tuple(cell for target in chosen for cell in _cells_of(target, request))
    if not cells:
        names = [target.name for target in targets]
        if not names:
            raise SecateurError("the model has nothing that can be cut; `secateur targets` lists the reasons")
        if matching:
            raise SecateurError(
                f"--layers {request.layers!r} matches only targets that this sweep leaves out; "
                "see --heads, --blocks and --sparsities"
            )
        raise SecateurError(
            f"--layers {request.layers!r} matches no target; {unknown_name_hint(request.layers, names)}"
        )
    return cells


def _cells_of(target: Target, request: SweepRequest) -> list[CellResult]:
    """By criterion, then by granularity, sparsities ascending."""
    if target.granularity not in FRACTIONAL:
        return [CellResult(Cut(target.name, target.granularity), target.n_weights, target.n_weights)]
    cells: list[CellResult] = []
    for criterion in request.criteria:
        if target.granularity == "channel":
            found = [_channel_cell(target, sparsity, criterion, request) for sparsity in request.sparsities]
        else:
            found = _weight_cells(target, criterion, request)
            found += [cell for text in request.patterns for cell in _pattern_cells(target, text, criterion, request)]
        cells += found
    return [_failed(cell, why_not(cell.cut.criterion or "", target, cell.cut.granularity)) for cell in cells]


def _failed(cell: CellResult, reason: str | None) -> CellResult:
    """A cell that need not be measured, if there is a reason; one that failed before keeps its own."""
    if reason is None or cell.state == "failed":
        return cell
    return replace(cell, n_removed=0, state="failed", reason=reason)


def _weight_cells(target: Target, criterion: str, request: SweepRequest) -> list[CellResult]:
    return [
        CellResult(
            Cut(target.name, "weight", sparsity, criterion), n_removed(sparsity, target.n_weights), target.n_weights
        )
        for sparsity in request.sparsities
        if request.weights
    ]


def _pattern_cells(target: Target, text: str, criterion: str, request: SweepRequest) -> list[CellResult]:
    """One cell for `N:M`, which has one sparsity; of tiles one for each."""
    pattern = parse_pattern(text)
    cuts = [
        Cut(target.name, text, sparsity, criterion)
        for sparsity in (request.sparsities if pattern.sparsity is None else (pattern.sparsity,))
    ]
    reason = pattern.why_not(target)
    if reason is not None:
        return [CellResult(cut, 0, target.n_weights, "failed", reason=reason) for cut in cuts]
    return [CellResult(cut, pattern.n_removed(target.n_weights, cut.sparsity or 0.0), target.n_weights) for cut in cuts]


def _channel_cell(target: Target, sparsity: float, criterion: str, request: SweepRequest) -> CellResult:
    """A cell of a coupled group; failed from the start where the group cannot lose so much."""
    cut = Cut(target.name, "channel", sparsity, criterion, request.align)
    assert target.n_units is not None
    try:
        removed = target.n_weights * n_units_removed(target, sparsity, request.align) // target.n_units
    except CannotCutError as error:
        return CellResult(cut, 0, target.n_weights, "failed", reason=str(error))
    return CellResult(cut, removed, target.n_weights)


def prepared(
    cells: Sequence[CellResult], measurement: Measurement, repair: str | None = None
) -> tuple[CellResult, ...]:
    """Cells whose criteria, and whose repair, have looked at their calibration data.

    Those of which a criterion says nothing, or for which the repair can do nothing, have failed.

    Raises:
        SecateurError: as `Cutting.prepare_cuts`.
    """
    reasons = measurement.cutting.prepare_cuts([c.cut for c in cells if c.state != "failed"], repair)
    return tuple(_failed(cell, reasons.get(cell.cut)) for cell in cells)
