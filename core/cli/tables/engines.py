"""The table of where a plan pays."""

from rich.console import Console
from rich.markup import escape

from core import numbers
from core.cli.tables.frame import new_table, print_table
from core.profiling import profile_words
from core.profiling.pays import pays_words
from core.profiling.pays.report import PaysReport
from core.profiling.stairs import stairs_words
from core.profiling.stairs.report import StairsReport


def pays_table(report: PaysReport) -> None:
    """Engines × models; rows of an engine that have one reason in common are told in one line."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(profile_words.machine_text(report.machine))
    console.print(f"batch {report.batch:,}, {numbers.threads_text(report.threads)}")
    if not report.rows:
        return  # of a run that failed or was stopped before its first engine
    console.print()
    columns = pays_words.NUMBERS
    right = tuple(name for name in columns if name != "95 % interval")
    table = new_table("engine", "model", *columns, "verdict", right=right)
    shown: tuple[str, str | None] | None = None
    for rows in pays_words.told_together(report.rows):
        first, setting = rows[0], (rows[0].engine, rows[0].version)
        name = "" if setting == shown else " ".join(filter(None, setting))
        shown = setting
        cells = pays_words.numbers_of(first)
        table.add_row(name, ", ".join(row.variant for row in rows), *cells, escape(first.verdict))
    print_table(table)
    for note in dict.fromkeys((row.engine, row.note) for row in report.rows if row.note):
        console.print(f"{note[0]}: {escape(note[1])}.")
    for line in pays_words.estimate_lines(report):
        console.print(escape(line))
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
