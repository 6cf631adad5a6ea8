"""Where a plan pays, in words. No torch."""

from collections.abc import Iterable

from core.numbers import bytes_text, milliseconds_text, ratio_text, threads_text
from core.profiling import profile_words
from core.profiling.pays.report import PaysReport, Row

NUMBERS = ("bytes", "compressed", "ms", "times as fast", "95 % interval", "difference")


def measured_on(report: PaysReport) -> str:
    """Machine, batch and threads."""
    machine = profile_words.machine_text(report.machine)
    return f"{machine}; batch {report.batch:,}, {threads_text(report.threads)}"


def told_together(rows: Iterable[Row]) -> list[list[Row]]:
    """Rows in their order; those of an engine that follow each other, without numbers for one reason, are one entry."""
    found: list[list[Row]] = []
    for row in rows:
        before = found[-1][0] if found else row
        if found and has_none(row) and has_none(before) and (before.engine, before.reason) == (row.engine, row.reason):
            found[-1].append(row)
        else:
            found.append([row])
    return found


def has_none(row: Row) -> bool:
    """Whether a row tells why it has no numbers, and has none."""
    return row.reason is not None and row.bytes is None and row.seconds is None


def numbers_of(row: Row) -> tuple[str, ...]:
    """A cell for each of `NUMBERS`; empty is what there is not."""
    return (
        bytes_text(row.bytes) if row.bytes is not None else "",
        bytes_text(row.compressed) if row.compressed is not None else "",
        milliseconds(row),
        ratio_text(row.ratio.value) if row.ratio else "",
        interval_text(row),
        difference_text(row),
    )


def interval_text(row: Row) -> str:
    """`[2.95, 3.22]`; empty where there is none."""
    return f"[{row.ratio.low:.2f}, {row.ratio.high:.2f}]" if row.ratio else ""


def milliseconds(row: Row) -> str:
    """`0.33`; empty where it was not timed."""
    return milliseconds_text(row.seconds) if row.seconds is not None else ""


def difference_text(row: Row) -> str:
    """`7e-07`, `0` of the same bits; empty where it was not compared."""
    if row.difference is None:
        return ""
    return f"{row.difference:.0e}" if row.difference else "0"


def estimate_lines(report: PaysReport) -> list[str]:
    """What compilers estimate of devices that are not here, a line a row, and how to read it; nothing if none does."""
    found = [row for row in report.rows if row.estimated_seconds is not None and row.estimated_cycles is not None]
    lines = [f"≈ {row.engine}, {row.variant}: {estimate_text(row)}." for row in found]
    return [*lines, ESTIMATE_NOTE] if lines else []


def estimate_text(row: Row) -> str:
    """`0.624 ms, 312,161 cycles, 2.10 × fewer`; empty of a row without an estimate."""
    if row.estimated_seconds is None or row.estimated_cycles is None:
        return ""
    times = ""
    if row.estimated_ratio is not None:
        more = row.estimated_ratio < 1
        by = ratio_text(1 / row.estimated_ratio if more else row.estimated_ratio)
        times = ", as many" if by == ratio_text(1.0) else f", {by} {'more' if more else 'fewer'}"
    return f"{milliseconds_text(row.estimated_seconds)} ms, {row.estimated_cycles:,} cycles{times}"


ESTIMATE_NOTE = (
    "≈ is an estimate, no measurement: what the compiler of a device that is not here says of its own file, with no "
    "interval, beside this engine's own dense model in int8."
)
NOTE = (
    "Times: milliseconds of a forward pass, and how many times as fast as this engine's own dense float32 model; all "
    "models of an engine have turns, in each the quickest of several short bursts counts, and the interval is the 95 % "
    "one of the median over the turns. “Faster” only where all of it lies above 1 by what the place in memory makes "
    "(5 %; nothing for torch, run from another place every turn). Compressed: zlib, level 6. Difference: largest "
    "of any output from torch's float32 one, in parts of the largest output. It holds for this machine, this batch and "
    "these versions; what int8 does to quality is told by `secateur quantize`."
)
