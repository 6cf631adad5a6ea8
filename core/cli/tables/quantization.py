"""The map of pruning × quantization for the terminal."""

from rich.console import Console

from core import numbers
from core.cli.tables.frame import new_table, print_table
from core.quantization import quantization_words
from core.quantization.report import QuantizationReport


def quantization_tables(report: QuantizationReport) -> None:
    """Drops of targets × ways, and the answers."""
    console = Console(soft_wrap=True, highlight=False)
    if report.dense:
        console.print(f"dense {report.metric.name}: {numbers.metric_with_interval(report.metric, report.dense)}")
    ways = list(dict.fromkeys((cell.sparsity, cell.bits) for cell in report.cells))
    alone = [way for way in ways if None in way]
    both = [[way for way in ways if None not in way and way[0] == s] for s in dict.fromkeys(s for s, _ in ways)]
    by_place = {(cell.target, cell.sparsity, cell.bits): cell for cell in report.cells}
    for shown in [alone, *filter(None, both)]:  # all beside each other are too many for a screen
        columns = [quantization_words.way_text(*way) for way in shown]
        table = new_table("target", "weights", *columns, right=("weights", *columns))
        for target, n in dict.fromkeys((cell.target, cell.n_weights) for cell in report.cells):
            cells = [by_place[target, *way] for way in shown]
            table.add_row(target, f"{n:,}", *(quantization_words.cell_text(report, cell) for cell in cells))
        print_table(table)
    for line in quantization_words.answer_lines(report):
        console.print(line)
