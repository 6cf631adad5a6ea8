"""Between which two sparsities of one target the tolerance is crossed, and which cells that hangs on."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.sensitivity.curtailment import Verdict


@dataclass(frozen=True)
class Probe:
    """What is known of one cell.

    Attributes:
        verdict: of all examples, where some decided it.
        high: forecast of the upper end of the drop's interval on all examples, in the metric's unit.
        n: examples behind the forecast.
    """

    verdict: Verdict | None
    high: float
    n: int
    error: float = 0.0


@dataclass(frozen=True)
class Bracket:
    """The crossing of one target's curve.

    Attributes:
        answer: position of the largest sparsity up to which all are within, as far as is known; -1 for none.
        certain: the answer and the sparsity above it are decided, and nothing below looks beyond.
        monotone: no cell that is decided to be within lies above one that is decided to be beyond.
        wanted: positions on which the answer hangs now; empty when certain.
    """

    answer: int
    certain: bool
    monotone: bool
    wanted: tuple[int, ...]


POLICY = "both"


def bracket(probes: Sequence[Probe], tolerance: float) -> Bracket:
    """Read a target's cells, sparsities ascending.

    The crossing is searched between the highest cell decided to be within and the lowest decided to be beyond, where
    a curve fitted to the forecasts says it is: both cells beside it are needed for a certain answer anyway, and a wrong
    guess is corrected by the next batch. Curves need not rise: cells below the answer that look beyond are measured on
    until they no longer do, or are decided; one that is beyond becomes the new upper end.
    """
    above = next((j for j, probe in enumerate(probes) if probe.verdict == "beyond"), len(probes))
    below = max((j for j in range(above) if probes[j].verdict == "within"), default=-1)
    monotone = all(probe.verdict != "within" for probe in probes[above:])
    if below + 1 < above:
        between = range(below + 1, above)
        fitted = rising([probes[j].high for j in between], [probes[j].n for j in between])
        guess = below + sum(high <= tolerance for high in fitted)
        return Bracket(guess, False, monotone, pick(guess, probes, below, above, tolerance))
    doubtful = tuple(j for j in range(below) if probes[j].verdict is None and probes[j].high > tolerance)
    return Bracket(below, not doubtful, monotone, doubtful)


def pick(guess, probes, below, above, tolerance):
    if POLICY.startswith("win"):
        between = range(below + 1, above)
        z = float(POLICY[3:])
        n = [probes[j].n for j in between]
        lo = below + sum(h <= tolerance for h in rising([probes[j].high + z * probes[j].error for j in between], n))
        hi = below + sum(h <= tolerance for h in rising([probes[j].high - z * probes[j].error for j in between], n))
        return tuple(j for j in range(lo, hi + 2) if below < j < above)
    if POLICY.startswith("low1_"):
        between = range(below + 1, above)
        z = float(POLICY[5:])
        n = [probes[j].n for j in between]
        hi = below + sum(h <= tolerance for h in rising([probes[j].high - z * probes[j].error for j in between], n))
        return tuple(j for j in range(guess, hi + 2) if below < j < above)
    if POLICY.startswith("hi1_"):
        between = range(below + 1, above)
        z = float(POLICY[4:])
        n = [probes[j].n for j in between]
        lo = below + sum(h <= tolerance for h in rising([probes[j].high + z * probes[j].error for j in between], n))
        return tuple(j for j in range(lo, guess + 2) if below < j < above)
    c = [j for j in (guess, guess + 1) if below < j < above]
    if POLICY == "both" or len(c) < 2:
        return tuple(c)
    if POLICY == "low":
        return (c[0],)
    if POLICY == "high":
        return (c[1],)
    if POLICY == "level":
        m = min(probes[j].n for j in c)
        return tuple(j for j in c if probes[j].n == m)
    if POLICY == "near":
        return (min(c, key=lambda j: abs(probes[j].high - tolerance)),)
    if POLICY == "far":
        return (max(c, key=lambda j: abs(probes[j].high - tolerance)),)
    if POLICY == "near_after":
        m = min(probes[j].n for j in c)
        if m < AFTER:
            return tuple(j for j in c if probes[j].n == m)
        return (min(c, key=lambda j: abs(probes[j].high - tolerance)),)


AFTER = 500


def rising(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Nondecreasing least-squares fit, by pooling neighbours that violate the order (Ayer et al. 1955)."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, cells
    for value, weight in zip(values, weights, strict=True):
        pools.append((value, max(weight, 1e-9), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, wa, na), (b, wb, nb) = pools[-2:]
            pools[-2:] = [((a * wa + b * wb) / (wa + wb), wa + wb, na + nb)]
    return [mean for mean, _, cells in pools for _ in range(cells)]
