"""Profiles in words: times with their spread, ratios, machines, what could not be timed. No torch."""

from core.numbers import milliseconds_text, threads_text
from core.profiling.report import Machine, ProfileReport, SpeedRatio, Timing


def timing_text(timing: Timing) -> str:
    """`2.10 [2.05, 2.20], n = 30`: milliseconds, the median with its quartiles, and the number of rounds."""
    low, high = milliseconds_text(timing.low), milliseconds_text(timing.high)
    return f"{milliseconds_text(timing.median)} [{low}, {high}], n = {timing.n}"


def ratio_interval(ratio: SpeedRatio) -> str:
    """`[0.95, 1.06]`; a bound that would be rounded onto 1 keeps the digits that tell on which side it lies."""
    return f"[{_side_of_one(ratio.low)}, {_side_of_one(ratio.high)}]"


def _side_of_one(bound: float) -> str:
    places = 2
    while places < 6 and bound != 1 and round(bound, places) == 1:
        places += 1
    return f"{bound:.{places}f}"


def machine_text(machine: Machine) -> str:
    """`AMD EPYC, 2 cores, Linux x86_64, on cpu; torch 2.13.0, onnxruntime 1.32.0`."""
    cores = f"{machine.cores} core{'s' * (machine.cores > 1)}"
    runtime = f", onnxruntime {machine.onnxruntime}" if machine.onnxruntime else ""
    return f"{machine.cpu}, {cores}, {machine.system}, on {machine.device}; torch {machine.torch}{runtime}"


def unavailable_lines(report: ProfileReport) -> list[str]:
    """What could not be timed and why, one line for each reason."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for one in report.unavailable:
        at = f"{one.variant}, batch {one.batch}" + (f", {threads_text(one.threads)}" if one.threads else "")
        by_reason.setdefault((one.engine, one.reason), []).append(at)
    return [f"No time from {engine} ({'; '.join(at)}): {reason}" for (engine, reason), at in by_reason.items()]


TIMES_NOTE = (
    "Milliseconds per forward pass: median, quartiles in brackets. Times as fast: the first model's seconds / this "
    "one's, both of the same round, with the 95 % interval of the median; “faster” only where all of it lies above 1, "
    "“slower” where all of it lies below; of compiled engines by 5 % at least, for where two models lie in memory "
    "makes that much. It holds for this machine, this engine and this batch."
)


LAYERS_NOTE = (
    "Of the first model, run eagerly and timed inside: each layer without those it calls. What is between them is "
    "activations, additions and attention itself. FLOPs are torch's count, of matrix products and convolutions; zeros "
    "count like any number."
)


SAVINGS_NOTE = (
    "Milliseconds that cutting one target alone saves, run eagerly; negative: it takes longer. "
    "· the 95 % interval holds 0. Of many looked at together, about one in twenty leaves out 0 by chance."
)
