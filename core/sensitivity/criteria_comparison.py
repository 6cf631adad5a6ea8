"""Comparing criteria: which lets a target lose most, and where the intervals cannot tell. Plain values; no torch."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.sensitivity.report import CellResult, end_of_limit, is_beyond, largest_within
from core.workload.target import Granularity


@dataclass(frozen=True)
class CriterionCurve:
    """What one criterion does to one target.

    Attributes:
        criterion: its name.
        cells: sparsity ascending.
        largest: the largest sparsity up to which every drop's interval stays within the tolerance; 0 if not even the
            lowest measured one does; `None` if nothing is known.
        reason: why it has no meaning here; `None` if it has.
        decided: whether a `largest` of 0 is known: the cell that ends the search is beyond, interval and all. Else the
            examples cannot tell, and it may reach farther.
    """

    criterion: str
    cells: tuple[CellResult, ...]
    largest: float | None
    reason: str | None = None
    decided: bool = True


@dataclass(frozen=True)
class TargetComparison:
    """The criteria by which one target was cut.

    Attributes:
        target: its name.
        granularity: in which it was cut.
        curves: in the order of the sweep.
        best: the criterion that reaches farthest within the tolerance, of those that reach equally far the one whose
            drops are smaller on average; `None` if nothing is known, or none reaches anywhere.
        as_good: others of which the intervals cannot tell that they are worse: at every sparsity that both were
            measured at, the two intervals of the drop overlap.
    """

    target: str
    granularity: Granularity
    curves: tuple[CriterionCurve, ...]
    best: str | None
    as_good: tuple[str, ...]

    def curve(self, criterion: str) -> CriterionCurve | None:
        """That of one criterion; `None` if it was not asked for."""
        return next((curve for curve in self.curves if curve.criterion == criterion), None)

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the cells."""
        return {
            **asdict(self),
            "curves": [
                {
                    "criterion": curve.criterion,
                    "largest": curve.largest,
                    "reason": curve.reason,
                    "decided": curve.decided,
                }
                for curve in self.curves
            ],
        }


def criteria_of(cells: Iterable[CellResult], granularity: Granularity | None = None) -> tuple[str, ...]:
    """Criteria among some cells, in their order; of one granularity, or of all."""
    found = (c.cut.criterion for c in cells if granularity is None or c.cut.granularity == granularity)
    return tuple(dict.fromkeys(name for name in found if name is not None))


def compared_granularities(cells: Iterable[CellResult]) -> tuple[Granularity, ...]:
    """Granularities in which more than one criterion was tried, in the order of the cells."""
    cells = tuple(cells)
    there = dict.fromkeys(cell.cut.granularity for cell in cells)
    return tuple(name for name in there if len(criteria_of(cells, name)) > 1)


def compare_criteria(
    cells: Iterable[CellResult], tolerance: float, granularity: Granularity = "weight"
) -> tuple[TargetComparison, ...]:
    """Every target that was cut by several criteria, in network order.

    Args:
        cells: of any targets, granularities and criteria.
        tolerance: in the metric's unit.
        granularity: of the cells that are compared.
    """
    by_target: dict[str, dict[str, list[CellResult]]] = {}
    for cell in cells:
        if cell.cut.granularity == granularity and cell.cut.criterion is not None:
            by_target.setdefault(cell.cut.target, {}).setdefault(cell.cut.criterion, []).append(cell)
    found = []
    for target, by_criterion in by_target.items():
        if len(by_criterion) > 1:
            curves = tuple(_curve(name, own, tolerance, granularity) for name, own in by_criterion.items())
            best = _best(curves)
            as_good = () if best is None else tuple(c.criterion for c in curves if c is not best and _alike(c, best))
            found.append(TargetComparison(target, granularity, curves, best.criterion if best else None, as_good))
    return tuple(found)


def _curve(criterion: str, cells: Sequence[CellResult], tolerance: float, granularity: Granularity) -> CriterionCurve:
    ordered = tuple(sorted(cells, key=lambda cell: cell.cut.sparsity or 0.0))
    if all(cell.state == "failed" for cell in ordered):
        return CriterionCurve(criterion, ordered, None, ordered[0].reason)
    known = any(cell.drop is not None for cell in ordered)
    within = largest_within(ordered, tolerance, granularity)
    end = end_of_limit(ordered, tolerance)
    decided = bool(within) or (end is not None and is_beyond(end, tolerance))
    return CriterionCurve(criterion, ordered, next(iter(within.values()), 0.0) if known else None, None, decided)


def _best(curves: Sequence[CriterionCurve]) -> CriterionCurve | None:
    reach = max((curve.largest or 0.0 for curve in curves), default=0.0)
    if not reach:
        return None
    far = [curve for curve in curves if curve.largest == reach]
    shared = set.intersection(*(set(_drops(curve)) for curve in far))
    return min(far, key=lambda curve: sum(_drops(curve)[s].value for s in shared))


def _alike(one: CriterionCurve, other: CriterionCurve) -> bool:
    ours, theirs = _drops(one), _drops(other)
    shared = ours.keys() & theirs.keys()
    return bool(shared) and all(ours[s].low <= theirs[s].high and theirs[s].low <= ours[s].high for s in shared)


def _drops(curve: CriterionCurve) -> dict[float, Any]:
    return {cell.cut.sparsity or 0.0: cell.drop for cell in curve.cells if cell.drop is not None}
