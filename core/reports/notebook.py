"""Reports, plans and outcomes in a notebook: as HTML without a script, and as tables of pandas. No torch."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from core import numbers
from core.errors import SecateurError
from core.plans import cut_words
from core.plans.plan import SparsityPlan
from core.plans.repairs import repair_words
from core.reports.flat import PARTS, head, main_rows, told, told_rows
from core.reports.page import drawn, key_steps
from core.reports.sheets import map_sheets, tolerance_for
from core.reports.svg import key_svg
from core.reports.tables import Row, cut_columns, estimate_columns, map_rows, plan_rows
from core.sensitivity import sweep_words
from core.sensitivity.pairs import PairsReport
from core.sensitivity.report import SensitivityReport
from core.workload.scale import Scale

if TYPE_CHECKING:
    from core.sensitivity.measuring.plan_measurement import PlanMeasurement

MOST_ROWS = 60  # of a table in a notebook; `to_pandas` has all
CELL = 'style="text-align:left;padding:.15rem .8rem .15rem 0"'


def html(value: object) -> str:
    """A value as an element of HTML; well-formed, so that it is XML as well."""
    return f"<div>{_of(value)[0](value)}</div>"


def frame(value: object) -> Any:
    """A value as a `pandas.DataFrame`.

    Raises:
        SecateurError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise SecateurError("a table needs pandas, which is not installed: `python -m pip install pandas`") from None
    return pandas.DataFrame.from_records(_of(value)[1](value))


def _map_html(report: SensitivityReport) -> str:
    scale, tolerance = report.scale, tolerance_for(report)
    dense = "not measured yet" if report.dense is None else numbers.metric_with_interval(scale, report.dense)
    limit = numbers.limit_text(scale, tolerance)
    sheets = map_sheets(report, tolerance)
    parts = [
        f"<p>{escape(f'{report.workload}, run {report.run}: dense {scale.name} {dense}')}</p>",
        f"<p>Drop in {escape(numbers.drop_unit(scale))}; warm colours lie above {escape(limit)}.</p>",
        key_svg(key_steps(scale, tolerance, sheets)),
    ]
    for sheet in sheets:
        one = drawn(sheet, scale, limit)
        parts.append(f"<p>{escape(one.title)}</p>{one.svg}")
    return "".join(parts)


def _plan_html(plan: SparsityPlan) -> str:
    repair = f", {repair_words(plan.repair)}" if plan.repair else ""
    lines = f"{len(plan.cuts):,} cut{'s' * (len(plan.cuts) != 1)}"
    of = f" of {plan.workload}" if plan.workload else ""
    rows = [(cut.target, cut_words.what_goes_text(cut), cut.criterion or "–") for cut in plan.cuts]
    return f"<p>{escape(f'Plan{of}: {lines}{repair}')}</p>{_table(('target', 'what goes', 'criterion'), rows)}"


def _outcome_html(found: "PlanMeasurement") -> str:
    scale, outcome = found.scale, found.outcome
    pruned = numbers.metric_with_interval(scale, outcome.metric) if outcome.metric else "–"
    drop = numbers.drop_with_interval(scale, outcome.drop) if outcome.drop else _state(outcome)
    rows = [("dense", numbers.metric_with_interval(scale, found.dense)), ("pruned", pruned), ("drop, paired", drop)]
    return _table((f"{scale.name}, measured", ""), rows) + _plan_html(found.plan)


def _outcome_rows(found: "PlanMeasurement") -> list[Row]:
    outcome = found.outcome
    return [
        {
            "state": outcome.state,
            "reason": outcome.reason,
            "unit": found.scale.unit,
            **estimate_columns("dense", found.dense),
            **estimate_columns("pruned", outcome.metric),
            **estimate_columns("drop", outcome.drop),
        }
    ]


def _pairs_html(report: PairsReport) -> str:
    scale = report.scale
    rows = [
        (
            cut_words.cut_text(pair.a),
            cut_words.cut_text(pair.b),
            _drop(scale, pair.joint),
            numbers.drop_text(scale, pair.sum_alone) if pair.sum_alone is not None else "–",
            _drop(scale, pair.interaction) if pair.state == "measured" else _state(pair),
        )
        for pair in report.pairs
    ]
    said = "".join(f"<p>{escape(line)}</p>" for line in sweep_words.pairs_lines(report))
    return said + _table(("a", "b", "together", "added up", "interaction, paired"), rows)


def _pairs_rows(report: PairsReport) -> list[Row]:
    return [
        {
            **{f"a_{name}": value for name, value in cut_columns(pair.a).items()},
            **{f"b_{name}": value for name, value in cut_columns(pair.b).items()},
            "state": pair.state,
            "unit": report.scale.unit,
            **estimate_columns("joint", pair.joint),
            "sum_alone": pair.sum_alone,
            **estimate_columns("interaction", pair.interaction),
            "reason": pair.reason,
        }
        for pair in report.pairs
    ]


def _state(one: Any) -> str:
    return f"{one.state}: {one.reason}" if one.reason else str(one.state)


def _drop(scale: Scale, found: Any) -> str:
    return numbers.drop_with_interval(scale, found) if found is not None else "–"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th {CELL}>{escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td {CELL}>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[:MOST_ROWS]
    )
    left = len(rows) - MOST_ROWS
    more = f"<p>and {left:,} more; to_pandas() has all.</p>" if left > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _flat_html(report: Any) -> str:
    said = "".join(f"<p>{escape(f'{name}: {told(leaf)}')}</p>" for name, leaf in head(report).items())
    tables = [
        (f"<p>{escape(name)}</p>" if len(PARTS[type(report).__name__]) > 1 else "") + _table(columns, cells)
        for name, of in PARTS[type(report).__name__]
        for columns, cells in [told_rows(of(report))]
        if cells
    ]
    return said + ("".join(tables) or "<p>nothing is measured yet</p>")


Way = tuple[Callable[[Any], str], Callable[[Any], Sequence[Row]]]
# by name, for who measures plans knows torch and this does not
WAYS: Mapping[str, Way] = {
    "SensitivityReport": (_map_html, map_rows),
    "SparsityPlan": (_plan_html, plan_rows),
    "PlanMeasurement": (_outcome_html, _outcome_rows),
    "PairsReport": (_pairs_html, _pairs_rows),
    **dict.fromkeys(PARTS, (_flat_html, main_rows)),
}


def _of(value: object) -> Way:
    return WAYS[type(value).__name__]
