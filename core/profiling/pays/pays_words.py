"""Where a plan pays, in words. No torch."""

from core.numbers import milliseconds_text, ratio_text
from core.profiling.pays.report import PaysReport, Row


def interval_text(row: Row) -> str:
    """`[2.95, 3.22]`; empty where there is none."""
    return f"[{row.ratio.low:.2f}, {row.ratio.high:.2f}]" if row.ratio else ""


def milliseconds(row: Row) -> str:
    """`0.33`; empty where it was not timed."""
    return milliseconds_text(row.seconds) if row.seconds is not None else ""


def difference_text(row: Row) -> str:
    """`7e-07`; empty where it was not compared."""
    return f"{row.difference:.0e}" if row.difference is not None else ""


def estimate_lines(report: PaysReport) -> list[str]:
    """What compilers estimate of devices that are not here, a line a row, and how to read it; nothing if none does."""
    found = [row for row in report.rows if row.estimated_seconds is not None and row.estimated_cycles is not None]
    lines = [f"≈ {row.engine}, {row.variant}: {estimate_text(row)}." for row in found]
    return [*lines, ESTIMATE_NOTE] if lines else []


def estimate_text(row: Row) -> str:
    """`0.624 ms, 312,161 cycles, 2.10 × fewer`; empty of a row without an estimate."""
    if row.estimated_seconds is None or row.estimated_cycles is None:
        return ""
    times = f", {ratio_text(row.estimated_ratio)} fewer" if row.estimated_ratio is not None else ""
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
