"""The table of a frontier."""

from rich.console import Console
from rich.markup import escape

from core import numbers
from core.cli.tables.frame import new_table, print_table
from core.profiling import profile_words
from core.profiling.frontier import frontier_words as words
from core.profiling.frontier.report import FrontierReport


def frontier_table(report: FrontierReport) -> None:
    """The dense model, then budget by budget a row for each maker, with where it stands."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(profile_words.machine_text(report.machine))
    console.print(words.head_text(report))
    console.print()
    drop = f"drop, {numbers.drop_unit(report.scale)}"
    trained = ("recovered",) if report.recover else ()
    right = ("budget", "left", drop, *trained, "ms", "times as fast", "bytes", "compressed")
    table = new_table("plan by", *right, "plan", "", right=right)
    standings = report.standings("milliseconds")
    seconds = report.dense_seconds
    dense = words.standing_text(report, standings.get(-1)) if seconds is not None else ""
    metric = numbers.metric_with_interval(report.scale, report.metric) if report.metric else ""
    table.add_row(
        "dense", "", "", f"({metric})" if metric else "",
        *("" for _ in trained), numbers.milliseconds_text(seconds) if seconds else "", "",
        _bytes(report.bytes), _bytes(report.compressed), "", dense,
    )  # fmt: skip
    shown: float | None = None
    for i, point in enumerate(report.points):
        budget = numbers.share_text(point.budget) if point.budget != shown else ""
        shown = point.budget
        table.add_row(
            words.MAKER_NAMES[point.maker], budget, words.left_text(point), words.drop_text(report, point),
            *(words.recovered_text(report, point) for _ in trained),
            words.milliseconds_text(report, point), words.ratio_text(point), _bytes(point.bytes),
            _bytes(point.compressed), point.plan or "", escape(words.verdict(report, i, standings, "milliseconds")),
        )  # fmt: skip
    print_table(table)
    for text in dict.fromkeys(point.note for point in report.points if point.note):
        console.print(f"{report.engine}: {escape(text)}.")
    console.print(words.note(report, "milliseconds"))
    console.print(f"`secateur plans {report.workload} ID` shows a plan; on the Tune screen each opens as a draft.")


def _bytes(n: int | None) -> str:
    return numbers.bytes_text(n) if n is not None else ""
