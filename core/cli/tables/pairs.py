"""Interactions of cuts."""

from rich.console import Console

from core import numbers
from core.cli.tables.frame import new_table, print_table
from core.plans import cut_words
from core.sensitivity import sweep_words
from core.sensitivity.pairs import PairsReport

MANY_PAIRS = 15  # in a table; --json has them all


def pairs_table(report: PairsReport) -> None:
    """The strongest interactions, and what all pairs say together."""
    console, scale = Console(soft_wrap=True, highlight=False), report.scale
    if report.dense:
        console.print(f"dense {report.metric.name}: {numbers.metric_with_interval(report.metric, report.dense)}")
    shown = report.strongest(MANY_PAIRS)
    if shown:
        columns = ("together", "added up", "interaction")
        table = new_table("cut", "and", *columns, "95 % interval", right=columns)
        for pair in shown:
            assert pair.joint is not None
            assert pair.interaction is not None
            assert pair.sum_alone is not None
            values = (pair.joint.value, pair.sum_alone, pair.interaction.value)
            table.add_row(
                cut_words.cut_text(pair.a),
                cut_words.cut_text(pair.b),
                *(numbers.drop_text(scale, value) for value in values),
                numbers.drop_interval(scale, pair.interaction) + ("" if pair.is_sure else "·"),
            )
        print_table(table)
        n_known = sum(pair.interaction is not None for pair in report.pairs)
        console.print(
            f"The {len(shown)} strongest of {n_known:,} interactions, in {numbers.drop_unit(scale)}, n = "
            f"{shown[0].interaction.n if shown[0].interaction else 0:,}. · the 95 % interval holds 0."
        )
        console.print(sweep_words.INTERACTIONS_NOTE)
    for line in sweep_words.pairs_lines(report):
        console.print(line)
