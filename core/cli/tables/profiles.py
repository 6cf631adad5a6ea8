"""Tables of a profile: sizes, times, layers, savings."""

from rich.console import Console

from core import numbers
from core.cli.tables.frame import new_table, print_table
from core.profiling import profile_words
from core.profiling.report import LayerCost, ProfileReport, Timing

MANY_LAYERS = 30  # in a table; --json has them all


def profile_tables(report: ProfileReport) -> None:
    """Everything that a profile found."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(profile_words.machine_text(report.machine))
    console.print()
    _sizes(report)
    _times(report)
    for line in profile_words.unavailable_lines(report):
        console.print(line)
    console.print(profile_words.TIMES_NOTE)
    console.print()
    if report.layers:
        _layers(report, console)
    if report.savings:
        _savings(report, console)


def _sizes(report: ProfileReport) -> None:
    names = [size.variant for size in report.sizes]
    table = new_table("", *names, right=names)
    rows = {
        "parameters": [f"{size.parameters:,}" for size in report.sizes],
        "non-zeros": [f"{size.nonzeros:,}" for size in report.sizes],
        "one example takes": [numbers.flops_text(size.flops) for size in report.sizes],
        "file": [numbers.bytes_text(size.bytes_dense) for size in report.sizes],
        "file, compressed": [numbers.bytes_text(size.bytes_compressed) for size in report.sizes],
        f"peak memory, batch {report.sizes[0].peak_batch}": [
            numbers.bytes_text(size.peak_bytes) for size in report.sizes
        ],
    }
    for name, texts in rows.items():
        table.add_row(name, *texts)
    print_table(table)


def _times(report: ProfileReport) -> None:
    columns = ("batch", "threads", "ms", "quartiles", "times as fast")
    table = new_table("engine", "batch", "threads", "model", *columns[2:], "95 % interval", "", right=columns)
    shown: tuple[str, int, int] | None = None
    for timing in report.timings:
        setting = (timing.engine, timing.batch, timing.threads)
        first = ("", "", "") if setting == shown else (timing.engine, f"{timing.batch:,}", f"{timing.threads}")
        shown = setting
        table.add_row(*first, timing.variant, *_numbers(report, timing))
    print_table(table)


def _numbers(report: ProfileReport, timing: Timing) -> tuple[str, ...]:
    low, high = numbers.milliseconds_text(timing.low), numbers.milliseconds_text(timing.high)
    texts = (numbers.milliseconds_text(timing.median), f"[{low}, {high}]")
    ratio = report.ratio_of(timing)
    if ratio is None:
        return (*texts, "", "", "")
    return (*texts, numbers.ratio_text(ratio.value), profile_words.ratio_interval(ratio), ratio.verdict)


def _layers(report: ProfileReport, console: Console) -> None:
    batch = max(layer.batch for layer in report.layers)
    layers = report.layers_at(batch)
    parameters, flops = sum(layer.parameters for layer in layers), sum(layer.flops for layer in layers)
    costly = sorted(layers, key=lambda layer: -(layer.share or 0.0))[:MANY_LAYERS]
    columns = ("parameters %", "FLOPs %", "time %", "ms")
    table = new_table("layer", *columns, right=columns)
    for layer in layers:
        if layer in costly:
            table.add_row(
                layer.name,
                _share(layer.parameters, parameters),
                _share(layer.flops, flops),
                "–" if layer.share is None else numbers.share_text(layer.share),
                "–" if layer.seconds is None else numbers.milliseconds_text(layer.seconds),
            )
    print_table(table)
    console.print(_layers_line(layers, costly))
    console.print(profile_words.LAYERS_NOTE)


def _layers_line(layers: tuple[LayerCost, ...], costly: list[LayerCost]) -> str:
    at = f"At batch {layers[0].batch:,}, {numbers.threads_text(layers[0].threads)}"
    if len(layers) == len(costly):
        return f"{at}."
    left = sum(layer.share or 0.0 for layer in layers if layer not in costly)
    n = len(layers) - len(costly)
    return f"{at}; {n:,} more layers take {numbers.share_text(left)} of the time, and --json has them."


def _share(part: float, whole: float) -> str:
    return numbers.share_text(part / whole) if whole else "–"


def _savings(report: ProfileReport, console: Console) -> None:
    columns = ("removed", "batch", "threads", "ms saved")
    table = new_table("target", *columns, "95 % interval", right=columns)
    for one in report.savings:
        low, high = numbers.milliseconds_text(one.low), numbers.milliseconds_text(one.high)
        table.add_row(
            one.target,
            numbers.sparsity_text(one.sparsity),
            f"{one.batch:,}",
            f"{one.threads}",
            numbers.milliseconds_text(one.seconds) + ("·" if one.low <= 0 <= one.high else ""),
            f"[{low}, {high}]",
        )
    console.print()
    print_table(table)
    console.print(profile_words.SAVINGS_NOTE)
