"""The map inside a plan, and where its damage starts."""

from rich.console import Console
from rich.markup import escape

from core import numbers
from core.cli.tables.frame import new_table, print_table
from core.plans import cut_words
from core.sensitivity.inside import undo_words
from core.sensitivity.inside.report import UndoReport


def undo_tables(report: UndoReport) -> None:
    """The rows in the order of the map, the first of them together, and the outputs layer by layer."""
    console, unit = Console(soft_wrap=True, highlight=False), numbers.drop_unit(report.scale)
    if report.dense:
        console.print(f"dense {report.scale.name}: {numbers.metric_with_interval(report.scale, report.dense)}")
    console.print(undo_words.plan_text(report))
    cost = undo_words.cost_name(report.cost)
    gains, loses, saves = f"gains ({unit})", f"loses ({unit})", "saves"
    steps = ("one step further", loses, saves) if any(row.step is not None for row in report.rows) else ()
    table = new_table("row given back", gains, "costs", *steps, right=("costs", saves))
    for row in report.ordered():
        further = ("", "", "")
        if row.step is not None and row.further is not None:
            step = cut_words.removed_text(row.step)
            further = (
                step,
                undo_words.change_text(report, row.further),
                undo_words.share_text(row.saves.get(report.cost)),
            )
        back = undo_words.change_text(report, row.back)
        table.add_row(
            escape(cut_words.cut_text(row.cut)),
            back,
            undo_words.share_text(row.costs.get(report.cost)),
            *further[: len(steps)],
        )
    print_table(table)
    n = report.drop.n if report.drop else 0
    console.print(f"{undo_words.NOTE} costs, saves: share of the {cost}. n = {n:,}. · the 95 % interval holds 0.")
    for note in undo_words.partial_notes(report):
        console.print(note)
    for one in report.together:
        console.print(undo_words.together_text(report, one))
    for reason in undo_words.failure_lines(report):
        console.print(reason)
    if report.damage:
        damage_table(report)


def damage_table(report: UndoReport) -> None:
    """How far every layer's output is from the dense model's."""
    columns = ("error alone", "error in the plan", "cosine alone", "cosine in the plan")
    table = new_table("output of", *columns, right=columns)
    for place in report.damage:
        table.add_row(escape(undo_words.place_text(place)), *undo_words.distance_texts(place))
    print_table(table)
    Console(soft_wrap=True, highlight=False).print(undo_words.damage_note(report))
