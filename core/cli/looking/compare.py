"""The command that sets two maps beside each other."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from core import numbers
from core.cli.command import command
from core.cli.opening import open_store
from core.cli.options import confidence_option, print_json, refuse_idle, share_of
from core.errors import SecateurError

if TYPE_CHECKING:
    from core.reports.differences import Comparison
    from core.sensitivity.report import Estimate
    from core.workload.scale import Scale


@command(
    "secateur compare 3f2a 91bc  # where does the second model, or the second way, cost more?",
    "secateur compare 3f2a 91bc --list  # which layers the new checkpoint made more sensitive, or less",
)
@click.argument("first")
@click.argument("second")
@confidence_option("That none of the cuts is called more or less costly by chance, all together")
@click.option("--list", "as_list", is_flag=True, help="Only cuts that are told apart, the largest difference first.")
@click.option("--all", "everything", is_flag=True, help="With --list: also cuts that are not told apart.")
def compare(
    first: str, second: str, confidence: float, as_list: bool, everything: bool, workspace: Path, as_json: bool
) -> None:
    """Show how much more every cut costs in the sweep SECOND than in the sweep FIRST: the difference map, or a list.

    FIRST and SECOND are runs, of one model or of two, judged by one metric. Cuts that both measured on the same
    examples are paired; of the others it is said why they are blank.
    """
    from rich.markup import escape

    from core.cli.tables.frame import new_table, print_table
    from core.reports import differences
    from core.reports.sheets import tolerance_for

    if not as_list:
        refuse_idle("without --list the map shows every cut; give --list with it", "everything")
    share = share_of(confidence)
    store = open_store(workspace, create=False)
    found = differences.compare(store, store.get(first), store.get(second), share)
    if found.reason is not None and as_list:
        raise SecateurError(f"there is no difference to list: {found.reason}")
    if as_json:
        print_json(found.to_json())
        return
    if found.reason is not None or as_list:
        _list(found, everything or not as_list)
    else:
        report = store.report(store.get(found.first))
        assert report is not None
        for sheet in differences.comparison_sheets(found, tolerance_for(report)):
            table = new_table(sheet.title, *sheet.columns, right=sheet.columns)
            for i, name in enumerate(sheet.rows):
                squares = (sheet.squares.get((i, column)) for column in range(len(sheet.columns)))
                table.add_row(escape(name), *(square.shown if square else "" for square in squares))
            print_table(table)
    for line in differences.comparison_lines(found):
        click.echo(line)


def _list(found: "Comparison", everything: bool) -> None:
    """A cut a line, the largest difference first; what is not compared comes last, in its order."""
    from rich.markup import escape

    from core.cli.tables.frame import new_table, print_table
    from core.plans import cut_words

    cells = [one for one in found.cells if everything or one.direction != "unclear"]
    cells.sort(key=lambda one: -abs(one.difference.value) if one.difference else 1.0)
    drops = f"drop in {found.first}", f"drop in {found.second}"
    table = new_table("target", "removed", *drops, "difference", "costs", right=drops)
    for one in cells:
        difference = numbers.drop_with_interval(found.difference_scale, one.difference) if one.difference else "–"
        table.add_row(
            escape(one.cut.target),
            cut_words.what_goes_text(one.cut) + cut_words.criterion_text(one.cut),
            _drop(found.scale, one.first),
            _drop(found.scale, one.second),
            difference,
            one.direction if one.direction != "unclear" else "·" if one.difference else "",
        )
    if cells:
        print_table(table)


def _drop(scale: "Scale", drop: "Estimate | None") -> str:
    return numbers.drop_text(scale, drop.value) if drop is not None else "–"
