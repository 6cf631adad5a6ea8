"""What each row of the tuner is worth inside the plan: from the map that was measured there, as plain values."""

from collections.abc import Sequence
from typing import Any

from core import numbers
from core.plans import cut_words
from core.plans.patterns import is_pattern
from core.plans.plan import SparsityPlan
from core.sensitivity.inside import undo_words
from core.sensitivity.inside.report import RowWorth, UndoReport
from dashboard.tuner.rows import TunerRow, key_text


def worth_values(report: UndoReport | None, plan: SparsityPlan, rows: Sequence[TunerRow]) -> dict[str, Any] | None:
    """For the column beside the tuner's rows; `None` where no map was measured.

    Args:
        report: the map of this plan, or else the one that was measured last.
        plan: that the rows stand at.
        rows: of the tuner.

    Returns:
        `exact`: whether the map is of just this plan. `rows`: of each of the tuner's rows what giving it back is worth,
        what that costs, both at length, and its place in the map counted from its end; `None` where the map has none.
    """
    if report is None:
        return None
    ordered = report.ordered()
    found: dict[str, tuple[RowWorth, int]] = {}
    for place, one in enumerate(ordered):
        # of a weight with a pattern on top of its own cut the better one is shown
        found.setdefault(_key(one), (one, len(ordered) - place))
    told = [found.get(row.key) for row in rows]
    return {
        "exact": report.plan == plan,
        "rows": [None if one is None else _texts(report, *one) for one in told],
        "unit": numbers.drop_unit(report.scale),
        "cost": undo_words.cost_name(report.cost),
    }


def _key(one: RowWorth) -> str:
    cut = one.cut
    return key_text("weight" if is_pattern(cut.granularity) else cut.granularity, cut.target)


def _texts(report: UndoReport, one: RowWorth, place: int) -> list[Any]:
    worth, _, costs = undo_words.worth_in_short(report, one).partition(", ")
    about = f"{cut_words.cut_text(one.cut)}: {undo_words.worth_text(report, one)} of the "
    return [worth, costs, f"{about}{undo_words.cost_name(report.cost)}", place, one.back.is_sure]
