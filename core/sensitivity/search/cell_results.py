"""What a search knows of a cell, as the map shows it."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from core.plans.patterns import is_pattern
from core.sensitivity.report import CellResult, Estimate, Stage
from core.sensitivity.search.scheduler import Progress, Search
from core.sensitivity.statistics.bootstrap import UndefinedMetricError
from core.sensitivity.statistics.few import carried_by_few
from core.sensitivity.statistics.sound import too_large_text, unchanged_text
from core.workload.scale import Scale

STAGES: Mapping[str, Stage] = MappingProxyType(
    {"open": "open", "finished": "full", "stopped": "decided", "forecast": "forecast", "early": "early"}
)


def cell_result(
    cell: CellResult, search: Search, position: int, progress: Progress, scale: Scale, loss: Estimate | None
) -> CellResult:
    """A cell with what a search found of it so far.

    Args:
        cell: as it was planned.
        position: of the cell in the search.
        progress: of the cell.
        scale: of the metric.
        loss: how much the cut raised it, as in `CellResult`.
    """
    if progress.state == "failed":
        return replace(cell, state="failed", reason=progress.reason)
    try:
        metric, drop = search.metric(position), search.drop(position)
    except UndefinedMetricError as error:
        return replace(cell, state="failed", reason=str(error)) if progress.state == "finished" else cell
    if metric is None or drop is None:
        return cell
    reason = too_large_text(scale, metric)
    if reason and progress.state == "finished":  # of a few examples the interval may reach far
        return replace(cell, state="failed", reason=reason)
    cell = replace(
        cell, state="measured", metric=metric, drop=drop, stage=STAGES[progress.state], verdict=progress.verdict,
        tolerance=search.tolerance if progress.verdict else None, loss=loss,
        carried=carried_by_few(scale, *search.sample(position)), foreseen=search.is_foreseen(position),
    )  # fmt: skip
    return cell if progress.changed else replace(cell, state="no effect", reason=_no_effect_text(cell, progress.n))


def _no_effect_text(cell: CellResult, n: int) -> str:
    cut = cell.cut
    if cell.n_removed:
        return unchanged_text(n)
    if cut.granularity == "channel":
        aligned = f" where a multiple of {cut.align} has to stay" if cut.align > 1 else ""
        return f"{cut.sparsity} of its channels rounds to none{aligned}"
    if is_pattern(cut.granularity):
        return f"{cut.sparsity} of the {cut.granularity} tiles of {cell.n_weights} weights is none"
    return f"{cut.sparsity} of {cell.n_weights} weights rounds to none"
