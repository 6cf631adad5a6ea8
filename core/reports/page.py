"""A report as one HTML page without a script: it loads nothing, is light or dark as the reader's system, and prints."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from core import numbers
from core.delivery.card.facts import Table
from core.jobs.known import plan_words
from core.jobs.run_words import run_label
from core.plans.repairs import REPAIRS
from core.reports import words
from core.reports.differences import comparison_lines, comparison_sheets
from core.reports.gathered import Gathered, SentMap
from core.reports.sheets import Sheet, map_sheets, tolerance_for
from core.reports.svg import key_svg, sheet_svg
from core.sensitivity.maps.colours import BETTER_ENDS, N_WORSE, WORSE_ENDS
from core.sensitivity.maps.marks import MARKS, MEANINGS
from core.workload.scale import Scale

TEMPLATES = Environment(
    loader=PackageLoader("core.reports", "templates"),
    autoescape=select_autoescape(default=True),  # names of layers and notes are anybody's
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Drawn:
    """A sheet, drawn."""

    title: str
    svg: Markup


@dataclass(frozen=True)
class MapPart:
    """One run's map on the page."""

    title: str
    dense: str
    key_text: str
    key: Markup
    sheets: tuple[Drawn, ...]
    lines: tuple[str, ...]


def page(found: Gathered, now: float) -> str:
    """The report as HTML.

    Args:
        found: what it holds.
        now: when it is made, seconds since the epoch.
    """
    refs = tuple(dict.fromkeys(run.workload for run in found.runs))
    scales = {sent.run.id: sent.report.scale for sent in found.maps}
    text = TEMPLATES.get_template("report.html.jinja").render(
        title=f"Pruning {' and '.join(words.sent_ref(ref) for ref in refs)}",
        made=datetime.fromtimestamp(now).strftime("%Y-%m-%d %H:%M"),
        version=version("secateur"),
        maps=[map_part(sent) for sent in found.maps],
        differences=_differences(found),
        plan=_plan_part(found),
        outcomes=words.outcome_table(found.measured),
        outcomes_note=_outcomes_note(found),
        recoveries=[
            {"title": run_label(sent.run), "table": words.rounds_table(sent), "lines": words.rounds_lines(sent)}
            for sent in found.recoveries
        ],
        uncuttable=_uncuttable(found.maps),
        measured=[words.measured_table(run) for run in found.runs],
        commands="\n".join(words.commands(found.runs, found.plan, {key: s.factor for key, s in scales.items()})),
    )
    return words.without_folders(text, refs)


def map_part(sent: SentMap) -> MapPart:
    """A map with its key, drawn."""
    report = sent.report
    tolerance = tolerance_for(report, (sent.run.result or {}).get("tolerance"))
    sheets = map_sheets(report, tolerance)
    dense = "not measured yet" if report.dense is None else numbers.metric_with_interval(report.scale, report.dense)
    limit = numbers.limit_text(report.scale, tolerance)
    return MapPart(
        words.map_title(sent),
        f"dense {report.scale.name} {dense}",
        f"Drop in {numbers.drop_unit(report.scale)}; warm colours lie above the tolerance of {limit}.",
        Markup(key_svg(key_steps(report.scale, tolerance, sheets))),
        tuple(drawn(sheet, report.scale, limit) for sheet in sheets),
        tuple(words.map_lines(sent)),
    )


def drawn(sheet: Sheet, scale: Scale, limit: str) -> Drawn:
    """A sheet with the words below its title that its marks need."""
    marks = " | ".join(f"{MARKS[mark]} = {MEANINGS[mark]}" for mark in sheet.marks)
    title = sheet.title + (f". Marks: {marks}" if marks else "")
    spoken = f"{sheet.title}: drop of {scale.name} of {len(sheet.rows)} targets, coloured by a tolerance of {limit}"
    return Drawn(title, Markup(sheet_svg(sheet, spoken)))


def _differences(found: Gathered) -> list[dict[str, object]]:
    if found.comparison is None:
        if found.not_compared is None:
            return []
        return [{"title": "Difference", "lines": [f"Not compared: {found.not_compared}."], "sheets": []}]
    first = found.maps[0].report
    tolerance = tolerance_for(first, (found.maps[0].run.result or {}).get("tolerance"))
    limit = numbers.limit_text(first.scale, tolerance)
    sheets = () if found.comparison.reason else comparison_sheets(found.comparison, tolerance)
    title = f"Difference: {words.map_title(found.maps[1])} minus {words.map_title(found.maps[0])}"
    lines = comparison_lines(found.comparison)
    return [{"title": title, "lines": lines, "sheets": [drawn(sheet, first.scale, limit) for sheet in sheets]}]


def key_steps(scale: Scale, tolerance: float, sheets: Sequence[Sheet]) -> list[tuple[int, str]]:
    """Steps of the colours with what each reaches to: improvements where there are any, then drops."""
    there = {square.step for sheet in sheets for square in sheet.squares.values()}
    better = [numbers.drop_text(scale, -end * tolerance) for end in (0.0, *BETTER_ENDS)]
    worse = [numbers.drop_text(scale, end * tolerance) for end in WORSE_ENDS]
    improved = [(N_WORSE + i, f"< {end}") for i, end in enumerate(better) if N_WORSE + i in there]
    return [*reversed(improved), *enumerate([*(f"≤ {end}" for end in worse), f"> {worse[-1]}"])]


def _plan_part(found: Gathered) -> dict[str, object] | None:
    if found.plan is None:
        return None
    one = found.plan
    repair = [f"Repaired by {one.plan.repair}: {REPAIRS[one.plan.repair]}."] if one.plan.repair else []
    lines = [f"Made by {plan_words.MADE_BY[one.made_by]}, {plan_words.when_text(one.created)}.", *repair]
    lines += [one.note] if one.note else []
    return {"title": plan_words.plan_title(one), "lines": lines, "table": words.plan_table(one)}


def _outcomes_note(found: Gathered) -> str:
    if not found.measured:
        return ""
    note = plan_words.PLANS_NOTE.format(unit=numbers.drop_unit(found.measured[0].result.scale))
    return note + (f" {found.n_left_out:,} more measured plans are not shown." if found.n_left_out else "")


def _uncuttable(maps: Sequence[SentMap]) -> list[dict[str, object]]:
    tables: list[tuple[SentMap, Table]] = [(sent, words.uncuttable_table(sent)) for sent in maps]
    several = len(maps) > 1
    return [
        {"of": f": {words.sent_ref(sent.run.workload)}, run {sent.run.id}" if several else "", "table": table}
        for sent, table in tables
        if table.rows
    ]
