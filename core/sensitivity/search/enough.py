"""How many examples it takes before any cell can be within a tolerance: known before one is measured. No torch."""

import math

from core.sensitivity.report import default_tolerance
from core.sensitivity.request import SweepRequest
from core.workload.scale import Scale

Z_SQUARED = 3.8414588206941254  # of 95 %, as in Tango's interval; here without SciPy, whose import takes long
OF_USE = 2.5  # times the least: a cell may then change a little, and not nothing at all


def least_high(scale: Scale, n: int) -> float | None:
    """Upper end of a drop's interval on n examples of which the cut changes none; `None` where no range is known.

    Scores of 0 and 1: Tango's, z² / (n + z²). Others of a range: the rule of three, as in `reach.py`, `bootstrap.py`.
    """
    if scale.aggregate == "exp_mean" or scale.low is None or scale.high is None:
        return None
    if scale.aggregate == "mean" and (scale.low, scale.high) == (0, 1):
        return Z_SQUARED / (n + Z_SQUARED)
    return (scale.high - scale.low) * min(1.0, 3 / n)


def least_n(scale: Scale, tolerance: float) -> int | None:
    """The smallest n at which a cell can be within a tolerance; `None` where no range, or nothing, says so."""
    if least_high(scale, 1) is None or tolerance <= 0:
        return None
    if scale.aggregate == "mean" and (scale.low, scale.high) == (0, 1):
        n = math.ceil(Z_SQUARED * (1 - min(tolerance, 1.0)) / tolerance - 1e-9)
    else:
        assert scale.low is not None
        assert scale.high is not None
        n = math.ceil(3 * (scale.high - scale.low) / tolerance - 1e-9)
    return max(2, n)


def useful_n(scale: Scale, tolerance: float) -> int | None:
    """About how many examples are of use for a tolerance: the least, times 2.5, up to one digit; `None` as there."""
    least = least_n(scale, tolerance)
    if least is None:
        return None
    n = OF_USE * least
    digit = 10 ** math.floor(math.log10(n))
    return math.ceil(n / digit) * int(digit)


def default_n(request: SweepRequest, scale: Scale, usual: int | None, n_all: int) -> int | None:
    """How many examples a sweep takes that was not told; `None` for all.

    One that looks for a tolerance takes no fewer than are of use for it, as far as there are as many.

    Args:
        request: whose `samples` is `None`.
        scale: of the metric.
        usual: the workload's own default; `None` for all.
        n_all: evaluation examples.
    """
    if usual is None or request.mode == "exact":
        return None if usual is None else min(n_all, usual)
    tolerance = request.tolerance
    if tolerance is None and request.width is None and scale.unit == "fraction":
        tolerance = default_tolerance(scale, 1.0)
    useful = None if tolerance is None else useful_n(scale, tolerance)
    return min(n_all, usual if useful is None else max(usual, useful))
