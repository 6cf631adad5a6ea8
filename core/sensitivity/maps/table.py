"""A map as a table: a row a cell, plain values, nothing rounded."""

from collections.abc import Iterable, Mapping
from typing import Any

from core.plans import cut_words
from core.sensitivity.report import CellResult, interpolated


def rows_of(cells: Iterable[CellResult]) -> list[dict[str, Any]]:
    """All that is known of cells; what was not measured is `None`, never 0.

    Args:
        cells: of one report, in its order.

    Returns:
        Of each cell its cut (`target`, `kind`, `sparsity` a fraction, `criterion`, `align`), how many entries go of how
        many, `state`, `stage`, `verdict` and `reason`, the metric and the paired drop in the metric's own unit with the
        ends of their 95 % intervals and `n`, and the drop that is interpolated where a search left the cell early.
    """
    cells = tuple(cells)
    between = interpolated(cells)
    return [_row(cell, between) for cell in cells]


def _row(cell: CellResult, between: Mapping[Any, float]) -> dict[str, Any]:
    cut, drop, metric = cell.cut, cell.drop, cell.metric
    return {
        "target": cut.target,
        "kind": cut_words.granularity_text(cut.granularity),
        "sparsity": cut.sparsity,
        "criterion": cut.criterion,
        "align": cut.align,
        "removed": cell.n_removed,
        "of": cell.n_weights,
        "state": cell.state,
        "drop": drop.value if drop else None,
        "drop_low": drop.low if drop else None,
        "drop_high": drop.high if drop else None,
        "n": drop.n if drop else None,
        "metric": metric.value if metric else None,
        "metric_low": metric.low if metric else None,
        "metric_high": metric.high if metric else None,
        "interpolated": between.get(cut),
        "stage": cell.stage if drop else None,
        "verdict": cell.verdict,
        "reason": cell.reason,
    }
