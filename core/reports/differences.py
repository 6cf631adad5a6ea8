"""Two maps beside each other, of two runs or two models: what each cut costs more in the second. No torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from core import numbers
from core.errors import SecateurError
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.state_words import state_text
from core.plans.plan import Cut
from core.reports.sheets import Sheet, Square, grids_of, sheet_of
from core.reports.tables import Row, cut_columns, estimate_columns
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.maps.colours import CALM, N_WORSE
from core.sensitivity.moved import Direction, moved_map
from core.sensitivity.report import CellResult, Estimate, SensitivityReport
from core.workload.scale import Scale

MOST_REASONS = 3
# steps of colours of cuts that surely cost more, within the tolerance and beyond it, and of those that surely cost less
MORE, MUCH_MORE, LESS = CALM, CALM + 2, N_WORSE + 1


@dataclass(frozen=True)
class ComparedCell:
    """One cut in both maps.

    Attributes:
        cut: as the first map names it; where each map has one criterion of its own, the second's differs in that alone.
        first, second: its drops; `None` where a map has not measured it.
        difference: second minus first, paired on the same examples, with an interval that holds for all cells together;
            `None` where the two cannot be compared, see `reason`.
        direction: `"more"` or `"less"` costly in the second where the interval lies on one side of 0.
        reason: why there is no difference.
    """

    cut: Cut
    first: Estimate | None
    second: Estimate | None
    difference: Estimate | None = None
    direction: Direction = "unclear"
    reason: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Two maps beside each other.

    Attributes:
        first, second: ids of the runs.
        scale: of the drops.
        difference_scale: of the differences; drops of a perplexity are compared as their logarithms.
        confidence: with which no cell is called more or less costly by chance, all together.
        cells: of either map, in the order of the first, then what only the second has.
        reason: why no cell at all is compared; `None` if some are.
    """

    first: str
    second: str
    scale: Scale
    difference_scale: Scale
    confidence: float
    cells: tuple[ComparedCell, ...]
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def rows(self) -> list[Row]:
        """A cell a row, for a file."""
        return [
            {
                **cut_columns(one.cut),
                **estimate_columns(f"drop_{self.first}", one.first),
                **estimate_columns(f"drop_{self.second}", one.second),
                **estimate_columns("difference", one.difference),
                "difference_unit": self.difference_scale.unit,
                "direction": one.direction if one.difference else None,
                "reason": one.reason,
            }
            for one in self.cells
        ]


def compare(store: RunStore, first: Run, second: Run, confidence: float = 0.95) -> Comparison:
    """Set two sweeps beside each other, cut by cut.

    Args:
        store: of the workspace.
        first, second: sweeps that have measured something, of one model or of two.
        confidence: of all cells together, from 0.5 to below 1.

    Raises:
        SecateurError: a run is no sweep that has measured anything, both are the same, or their metrics differ.
    """
    if first.id == second.id:
        raise SecateurError(f"both are run {first.id}; name another to set beside it")
    maps = [_map_of(store, run) for run in (first, second)]
    if maps[0].scale != maps[1].scale:
        raise SecateurError(
            f"run {first.id} was judged by {maps[0].scale.name}, run {second.id} by {maps[1].scale.name}: drops of two "
            "metrics do not compare; sweep both by the same metric"
        )
    before, after = maps[0], _named_alike(*maps)
    results = (first.result or {}, second.result or {})
    try:
        moved = moved_map(EvidenceStore(store.workspace), before, after, results, confidence)
        known, scale, reason = {one.cut: one for one in moved.cells}, moved.scale, None
    except SecateurError as error:  # two maps that share no examples still stand beside each other
        known, scale, reason = {}, before.scale, str(error)
    of_first, of_second = ({cell.cut: cell for cell in one.cells} for one in (before, after))
    cells = []
    for cut in dict.fromkeys((*of_first, *of_second)):
        one, other = of_first.get(cut), of_second.get(cut)
        drops = one.drop if one else None, other.drop if other else None
        if cut in known:
            cells.append(ComparedCell(cut, *drops, known[cut].difference, known[cut].direction))
        else:
            cells.append(ComparedCell(cut, *drops, reason=reason or _why((first, second), (one, other))))
    return Comparison(first.id, second.id, before.scale, scale, confidence, tuple(cells), reason)


def _map_of(store: RunStore, run: Run) -> SensitivityReport:
    report = store.report(run) if run.kind == "sweep" else None
    if report is None or report.dense is None:
        why = f"of kind {run.kind}" if run.kind != "sweep" else state_text(run)
        raise SecateurError(
            f"run {run.id} is no sweep that has measured anything ({why}); `secateur runs --kind sweep` lists them"
        )
    return report


def _named_alike(before: SensitivityReport, after: SensitivityReport) -> SensitivityReport:
    """The second map with the first's criterion, where each has one of its own: that is then what is compared."""
    used = [{cell.cut.criterion for cell in one.cells} - {None} for one in (before, after)]
    if used[0] == used[1] or any(len(names) != 1 for names in used):
        return after
    (name,) = used[0]
    cells = (
        cell if cell.cut.criterion is None else replace(cell, cut=replace(cell.cut, criterion=name))
        for cell in after.cells
    )
    return replace(after, cells=tuple(cells))


def _why(runs: tuple[Run, Run], cells: tuple[CellResult | None, CellResult | None]) -> str:
    for run, other, cell in zip(runs, reversed(runs), cells, strict=True):
        if cell is None:
            return f"only run {other.id} has it"
        if cell.state == "failed":
            return f"run {run.id} could not measure it: {cell.reason}"
        if cell.drop is None:
            return f"run {run.id} has not measured it yet"
    return "fewer than two examples in common, or a score on them that is no finite number"


def comparison_sheets(found: Comparison, tolerance: float) -> tuple[Sheet, ...]:
    """The difference map: coloured where the two are told apart, and blank where they are not compared."""
    squares: Mapping[Cut, Square] = {one.cut: _square(found, one, tolerance) for one in found.cells}
    grids = grids_of([CellResult(one.cut, 0, 0) for one in found.cells])
    return tuple(sheet_of(title, grid, squares) for title, grid in grids)


def _square(found: Comparison, one: ComparedCell, tolerance: float) -> Square:
    if one.difference is None:
        return Square("", one.reason or "", mark="not compared")
    scale, difference = found.difference_scale, one.difference
    text = numbers.short_drop_text(scale, difference.value)
    told = (
        f"{numbers.drop_text(scale, difference.value)} {numbers.drop_interval(scale, difference)}, n {difference.n:,}"
    )
    if one.direction == "unclear":
        return Square(text, f"not told apart: {told}", mark="undecided")
    step = LESS if one.direction == "less" else MUCH_MORE if difference.value > tolerance else MORE
    return Square(text, f"{one.direction} costly in {found.second}: {told}", step)


def comparison_lines(found: Comparison) -> list[str]:
    """What two maps say of each other, in sentences."""
    compared = [one for one in found.cells if one.difference is not None]
    if found.reason is not None:
        return [
            f"Not compared: {found.reason}. What each measured stands beside the other's, as drops in "
            f"{numbers.drop_unit(found.scale)}."
        ]
    more, less = (sum(one.direction == way for one in compared) for way in ("more", "less"))
    lines = [
        f"Of {len(compared):,} cuts that both measured, {more:,} cost more in run {found.second} than in run "
        f"{found.first}, {less:,} cost less, and {len(compared) - more - less:,} are not told apart (·).",
        f"Differences are paired on the same examples, in {numbers.drop_unit(found.difference_scale)}; their intervals "
        f"hold for all cells together with {100 * found.confidence:.4g} %, so each is wider for it.",
    ]
    left = len(found.cells) - len(compared)
    if left:
        reasons: dict[str, int] = {}
        for one in found.cells:
            if one.reason:
                reasons[one.reason] = reasons.get(one.reason, 0) + 1
        told = [f"{n:,}: {reason}" for reason, n in sorted(reasons.items(), key=lambda pair: -pair[1])]
        others = [f"{len(told) - MOST_REASONS:,} more reasons, told by the squares"] if len(told) > MOST_REASONS else []
        lines.append(f"{left:,} cells are blank (–). {'; '.join([*told[:MOST_REASONS], *others])}.")
    return lines
