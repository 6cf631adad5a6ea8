"""The table of where a plan pays."""

from rich.console import Console
from rich.markup import escape

from core import numbers
from core.cli.tables.frame import new_table, print_table
from core.profiling import profile_words
from core.profiling.pays import pays_words
from core.profiling.pays.report import PaysReport


def pays_table(report: PaysReport) -> None:
    """Engines × models; rows of an engine that have one reason in common are told in one line."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(profile_words.machine_text(report.machine))
    console.print(f"batch {report.batch:,}, {numbers.threads_text(report.threads)}")
    console.print()
    columns = pays_words.columns_of(report.rows)
    right = tuple(name for name in columns if name != "95 % interval")
    table = new_table("engine", "model", *columns, "verdict", right=right)
    shown: tuple[str, str | None] | None = None
    for rows in pays_words.told_together(report.rows):
        first, setting = rows[0], (rows[0].engine, rows[0].version)
        name = "" if setting == shown else " ".join(filter(None, setting))
        shown = setting
        cells = pays_words.numbers_of(first, columns)
        table.add_row(name, ", ".join(row.variant for row in rows), *cells, escape(first.verdict))
    print_table(table)
    for note in dict.fromkeys((row.engine, row.note) for row in report.rows if row.note):
        console.print(f"{note[0]}: {escape(note[1])}.")
    if pays_words.ESTIMATED in columns:
        console.print(pays_words.ESTIMATE_NOTE)
    console.print(pays_words.NOTE)
