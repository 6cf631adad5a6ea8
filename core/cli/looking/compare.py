"""The command that sets two maps beside each other."""

from pathlib import Path

import click

from core.cli.command import command
from core.cli.opening import open_store
from core.cli.options import confidence_option, print_json, share_of


@command("secateur compare 3f2a 91bc  # where does the second model, or the second way, cost more?")
@click.argument("first")
@click.argument("second")
@confidence_option("That none of the cuts is called moved by chance, all together")
def compare(first: str, second: str, confidence: float, workspace: Path, as_json: bool) -> None:
    """Show the difference map of two sweeps: how much more every cut costs in SECOND than in FIRST.

    FIRST and SECOND are runs, of one model or of two, judged by one metric. Cuts that both measured on the same
    examples are paired; of the others it is said why they are blank. `secateur moved` lists only what has moved.
    """
    from rich.markup import escape

    from core.cli.tables.frame import new_table, print_table
    from core.reports import differences
    from core.reports.sheets import tolerance_for

    share = share_of(confidence)
    store = open_store(workspace, create=False)
    found = differences.compare(store, store.get(first), store.get(second), share)
    if as_json:
        print_json(found.to_json())
        return
    report = store.report(store.get(found.first))
    assert report is not None
    for sheet in differences.comparison_sheets(found, tolerance_for(report)):
        table = new_table(sheet.title, *sheet.columns, right=sheet.columns)
        for i, name in enumerate(sheet.rows):
            squares = (sheet.squares.get((i, column)) for column in range(len(sheet.columns)))
            table.add_row(escape(name), *(square.text if square else "" for square in squares))
        print_table(table)
    for line in differences.comparison_lines(found):
        click.echo(line)
