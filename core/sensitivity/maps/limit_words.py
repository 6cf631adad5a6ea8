"""How far one curve stays within a tolerance, in words that say no more than was computed."""

from collections.abc import Sequence

from core.numbers import drop_interval, drop_text, limit_text, sparsity_text
from core.sensitivity.report import CellResult, end_of_limit, is_beyond, is_within, largest_within
from core.workload.scale import Scale

MANY = 4  # sparsities beyond the end that are named


def limit_line(name: str, cells: Sequence[CellResult], scale: Scale, tolerance: float) -> str:
    """`stem` stays within 1.00 points up to 60 %, interval and all; at 70 % it may be beyond: +0.50 [−0.20, +1.40].

    A limit counts from the lowest sparsity up and ends at the first cell that may be beyond. What was found within the
    tolerance behind that cell is named, and is no limit.

    Args:
        name: of the curve.
        cells: of one target, one granularity and one criterion, at least one.
        scale: of the metric.
        tolerance: in the metric's unit.

    Returns:
        A line of Markdown.
    """
    limit, first = limit_text(scale, tolerance), cells[0].cut
    ordered = sorted(cells, key=lambda cell: cell.cut.sparsity or 0.0)
    most = largest_within(ordered, tolerance, first.granularity).get(first.target)
    end = end_of_limit(ordered, tolerance)
    if most is None and end is None:
        silent = all(cell.state == "no effect" for cell in ordered)
        what = "no cut changed any output, which says nothing of a limit" if silent else "nothing of its limit is known"
        return f"`{name}`: {what}"
    if most is not None:
        forecast = any(cell.stage == "forecast" and cell.cut.sparsity == most for cell in ordered)
        text = f"`{name}` stays within {limit} up to **{sparsity_text(most)}**{' by forecast' * forecast}"
        text += ", interval and all"
        return text if end is None else f"{text}; at {_why(scale, end, tolerance)}"
    assert end is not None
    at = end.cut.sparsity or 0.0
    text = f"`{name}`: no limit within {limit} is known, for at {_why(scale, end, tolerance)}"
    beyond = [cell for cell in ordered if (cell.cut.sparsity or 0.0) > at and is_within(cell, tolerance)]
    named = ", ".join(sparsity_text(cell.cut.sparsity or 0.0) for cell in beyond[:MANY])
    more = f" and {len(beyond) - MANY} more" if len(beyond) > MANY else ""
    return text + (f"; by themselves {named}{more} are within it, interval and all" if beyond else "")


def _why(scale: Scale, cell: CellResult, tolerance: float) -> str:
    """What stands in the way at a sparsity: `70 % it may be beyond: +0.50 [−0.20, +1.40], n = 200`."""
    at = sparsity_text(cell.cut.sparsity or 0.0)
    if cell.state == "failed":
        return f"{at} it cannot be cut: {cell.reason}"
    if cell.drop is None:
        return f"{at} it is not measured yet"
    sure = is_beyond(cell, tolerance)
    drop = f"{drop_text(scale, cell.drop.value)} {drop_interval(scale, cell.drop)}, n = {cell.drop.n:,}"
    return f"{at} it {'is' if sure else 'may be'} beyond: {drop}"
