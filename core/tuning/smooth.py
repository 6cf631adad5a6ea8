"""Curves that say something where the noise hides what was measured. No torch.

The harm of a small cut lies below its noise: measured as 0 or less, it would look free, and a solver would take the
luckiest layers for the most robust. But harm grows with sparsity like a power, which is known from the cells of the
same target that are clear, so each point is averaged with what the power says of it, weighed by how sure each is.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

CLEAR = 3.0  # standard errors from 0
USUAL_POWER = 4.0  # of harm against sparsity, where no target has two clear points
POWERS = (1.0, 8.0)  # between which a power is believed
SPREAD = 0.7  # relative error of what the power says
EARLY = 0.5  # of the most harm of a curve: above it curves bend over, and say nothing of the power


@dataclass(frozen=True)
class Point:
    """A measured sparsity: its harm, with its standard error."""

    sparsity: float
    harm: float
    error: float


def usual_power(curves: Sequence[Sequence[Point]]) -> float:
    """The power with which harm grows in the clear beginnings of curves: the median over neighbouring points."""
    slopes = []
    for curve in curves:
        most = max((point.harm for point in curve), default=0.0)
        clear = [p for p in curve if p.harm > CLEAR * p.error and p.harm > 0 and p.harm <= EARLY * most]
        slopes += [log(b.harm / a.harm) / log(b.sparsity / a.sparsity) for a, b in pairwise(clear)]
    return min(max(statistics.median(slopes), POWERS[0]), POWERS[1]) if slopes else USUAL_POWER


def smoothed(curve: Sequence[Point], power: float) -> list[float]:
    """The harm of each point, averaged with what a power law through the first clear one says.

    Args:
        curve: of one target, sparsity ascending, above 0.
        power: from `usual_power`.
    """
    first = next((point for point in curve if point.harm > CLEAR * point.error and point.harm > 0), None)
    if first is None:  # never clear: at most its noise, at the highest sparsity
        last = curve[-1]
        first = Point(last.sparsity, max(last.harm, last.error / 2), last.error)
    found = []
    for point in curve:
        if point.sparsity >= first.sparsity and point.harm > CLEAR * point.error:
            found.append(point.harm)
            continue
        said = first.harm * (point.sparsity / first.sparsity) ** power
        by_said, by_point = 1 / max(SPREAD * said, 1e-12) ** 2, 1 / max(point.error, 1e-12) ** 2
        found.append((by_said * said + by_point * point.harm) / (by_said + by_point))
    return found
