"""The table of where a plan pays."""

from rich.console import Console
from rich.markup import escape

from core import numbers
from core.cli.tables.frame import new_table, print_table
from core.profiling import profile_words
from core.profiling.pays import pays_words
from core.profiling.pays.report import PaysReport, Row
from core.profiling.stairs import stairs_words
from core.profiling.stairs.report import StairsReport


def pays_table(report: PaysReport) -> None:
    """Engines × models; rows of an engine that have one reason in common are told in one line."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(profile_words.machine_text(report.machine))
    console.print(f"batch {report.batch:,}, {numbers.threads_text(report.threads)}")
    console.print()
    columns = ("bytes", "compressed", "ms", "times as fast", "difference")
    table = new_table("engine", "model", *columns[:4], "95 % interval", "difference", "verdict", right=columns)
    shown: tuple[str, str | None] | None = None
    for rows in _told_together(report.rows):
        first, setting = rows[0], (rows[0].engine, rows[0].version)
        name = "" if setting == shown else " ".join(filter(None, setting))
        shown = setting
        table.add_row(name, ", ".join(row.variant for row in rows), *_numbers(first), escape(first.verdict))
    print_table(table)
    for note in dict.fromkeys((row.engine, row.note) for row in report.rows if row.note):
        console.print(f"{note[0]}: {escape(note[1])}.")
    console.print(pays_words.NOTE)


def stairs_table(report: StairsReport) -> None:
    """Of each engine and target its widths, with the time of the whole model beside the dense one's."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(profile_words.machine_text(report.machine))
    console.print(f"batch {report.batch:,}, {numbers.threads_text(report.threads)}")
    for engine in report.engines:
        console.print()
        console.print(escape(stairs_words.engine_text(engine)))
        if engine.widths:
            table = new_table("target", "dense", "ends of steps", "off the fast path")
            for row in stairs_words.rows(engine):
                table.add_row(*map(escape, row))
            print_table(table)
        for line in stairs_words.missing_lines(engine):
            console.print(escape(line))
    console.print(stairs_words.NOTE)


def _told_together(rows: tuple[Row, ...]) -> list[list[Row]]:
    found: list[list[Row]] = []
    for row in rows:
        same = found and row.reason and (found[-1][0].engine, found[-1][0].reason) == (row.engine, row.reason)
        if same:
            found[-1].append(row)
        else:
            found.append([row])
    return found


def _numbers(row: Row) -> tuple[str, ...]:
    return (
        numbers.bytes_text(row.bytes) if row.bytes is not None else "",
        numbers.bytes_text(row.compressed) if row.compressed is not None else "",
        pays_words.milliseconds(row),
        numbers.ratio_text(row.ratio.value) if row.ratio else "",
        pays_words.interval_text(row),
        pays_words.difference_text(row),
    )
