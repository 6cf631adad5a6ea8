"""How far the interval of a mean reaches below and above it, for scores whose tails may be worse than the sample shows.

Student's interval is too narrow on the side of a long tail, which is the flattering one: the worst examples are mostly
those that are missing. Each side is that of a score interval of which Wilson's and Poisson's are cases,

    t² g / 2n + sqrt(t² s² / n + (t² g / 2n)²),

with g how large one example's share can be on that side. Where a few examples move, all alike, g is what one moves, and
the interval is Poisson's; for light symmetric scores g is 0 and it is Student's, never less.

g is the larger of two. What the sample shows: its third moment by its second, times 1 + 4/sqrt(k), for few examples
that carry the spread show less than there is; k, the participation ratio (Σu²)²/Σu⁴, is how many do (n/3 of normal
ones). And a floor, which shrinks as evidence comes: the range of the scores, or as far as the shares lie apart where
none is known, times exp(-k/5). It takes the place of the rule of three, which one moving example switched off. 4 and 5
are chosen by replays: `tests/benchmarks/interval_replays.py` prints what they hold.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Scores = NDArray[np.float64]
UNDERSHOWN = 4.0  # of the factor by which few examples show too short a tail
FORGOTTEN = 5.0  # examples that move until the floor has shrunk to a third


def reaches(influence: Scores, span: float | None, level: float = 0.975) -> tuple[float, float]:
    """How far below and above a mean its interval reaches, both at least 0.

    Args:
        influence: what each example adds to the error of the mean, (n,), n >= 2, finite; their mean is 0.
        span: how far from the mean one can lie at most; `None`: no range is known.
        level: probability below the upper end.

    n equal scores do not show that there is no spread, only that less than 3/n of the mass lies elsewhere (Hanley &
    Lippman-Hand 1983). Without a range nothing can be said then, and both are 0.
    """
    n, largest = len(influence), float(np.abs(influence).max())
    if largest == 0.0:
        three = 3 * math.log1p(-level) / math.log1p(-0.975)  # of the rule: -log(0.05), and more for more confidence
        half = 0.0 if span is None else span * min(1.0, three / n)
        return half, half
    below, above = tails(influence, span)
    deviation = float(influence.std(ddof=1))
    return reach_of(deviation, below, n, level), reach_of(deviation, above, n, level)


def tails(influence: Scores, span: float | None) -> tuple[float, float]:
    """How large one example's share can be below and above the mean: g; arguments as of `reaches`, not all equal."""
    largest = float(np.abs(influence).max())
    u = influence / largest  # of scores of any size no power leaves the range of floats
    squares = u * u
    second = float(squares.sum())
    k = second**2 / float((squares * squares).sum())  # `n_moving(u)`, of which this is half of the work
    tail = largest * float((squares * u).sum()) / second * (1 + UNDERSHOWN / math.sqrt(k))
    floor = (float(influence.max() - influence.min()) if span is None else span) * math.exp(-k / FORGOTTEN)
    most = math.inf if span is None else max(span, largest)
    return min(max(-tail, floor), most), min(max(tail, floor), most)


def n_moving(influence: Scores) -> float:
    """How many examples carry the spread: the participation ratio, from 1 on; (n,), not all 0."""
    squares = (influence / np.abs(influence).max()) ** 2
    return float(squares.sum()) ** 2 / float((squares * squares).sum())


def reach_of(deviation: float, tail: float, n: int, level: float = 0.975) -> float:
    """How far an interval reaches on the side of a tail; `deviation`: of one example."""
    t = float(stdtrit(n - 1, level))
    by_tail = t * t * tail / (2 * n)
    return by_tail + math.hypot(t * deviation / math.sqrt(n), by_tail)
