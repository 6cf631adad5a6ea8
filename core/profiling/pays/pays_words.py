"""Where a plan pays, in words. No torch."""

from core.numbers import milliseconds_text
from core.profiling.pays.report import Row


def interval_text(row: Row) -> str:
    """`[2.95, 3.22]`; empty where there is none."""
    return f"[{row.ratio.low:.2f}, {row.ratio.high:.2f}]" if row.ratio else ""


def milliseconds(row: Row) -> str:
    """`0.33`; empty where it was not timed."""
    return milliseconds_text(row.seconds) if row.seconds is not None else ""


def difference_text(row: Row) -> str:
    """`7e-07`; empty where it was not compared."""
    return f"{row.difference:.0e}" if row.difference is not None else ""


NOTE = (
    "Times: milliseconds of a forward pass, and how many times as fast as this engine's own dense float32 model; all "
    "models of an engine have turns, in each the quickest of several short bursts counts, and the interval is the 95 % "
    "one of the median over the turns. “Faster” only where all of it lies above 1 by what the place in memory makes "
    "(5 %; nothing for torch, run from another place every turn). Compressed: zlib, level 6. Difference: largest "
    "of any output from torch's float32 one, in parts of the largest output. It holds for this machine, this batch and "
    "these versions; what int8 does to quality is told by `secateur quantize`."
)
