"""Rounds of a recovery, and the answer about lottery tickets."""

from rich.console import Console

from core import numbers
from core.cli.tables.frame import new_table, print_table
from core.jobs.run import Run
from core.recovery import recovery_words
from core.recovery.history import Round
from core.recovery.tickets.report import TicketReport
from core.workload.scale import Scale


def recovery_table(run: Run) -> None:
    """Every round, before and after training, and the best within the tolerance."""
    assert run.result is not None
    console, scale = Console(soft_wrap=True, highlight=False), Scale.from_json(dict(run.result["metric"]))
    history = [Round.from_json(dict(row)) for row in run.result["history"]]
    if history:
        columns = recovery_words.round_columns(scale)
        table = new_table(*columns, right=columns)
        for row in history:
            table.add_row(*recovery_words.round_cells(scale, row))
        print_table(table)
    for line in recovery_words.outcome_lines(scale, history, run.result, run.request["tolerance"]):
        console.print(line)


def tickets_table(run: Run) -> None:
    """Every sparsity with the ticket's paired differences over seeds, and the verdict."""
    assert run.result is not None
    report = TicketReport.from_json({name: run.result[name] for name in ("scale", "trained", "tolerance")})
    console, factor = Console(soft_wrap=True, highlight=False), report.scale.factor
    columns = ("removed", "ticket", "over dense", "over re-initialised", "over random mask")
    table = new_table(*columns, right=columns)
    for row in report.rows():
        found = (row.over_dense, row.over_reinitialised, row.over_random_mask)
        cells = [f"{factor * e.value:+.2f} [{factor * e.low:+.2f}, {factor * e.high:+.2f}]" for e in found]
        table.add_row(numbers.share_text(row.sparsity), numbers.metric_text(report.scale, row.ticket), *cells)
    print_table(table)
    n = report.trained[0].n if report.trained else 0
    seeds = len({unit.seed for unit in report.trained})
    console.print(
        f"{report.scale.name} on {n:,} examples, mean of {seeds} seeds; over: how much better the ticket is, in "
        f"{numbers.drop_unit(report.scale)}, paired by seed, with 95 % intervals over seeds"
    )
    console.print(report.verdict())
