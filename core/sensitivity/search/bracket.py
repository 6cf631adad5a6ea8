"""Between which two sparsities of one target the tolerance is crossed, and which cells that hangs on."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.sensitivity.search.curtailment import Look

# Standard errors by which forecasts are taken for better than they are when the next cells are chosen: to guess too
# high costs less, for a cell that is beyond shows it soon, and one that is within makes all below it needless.
OPTIMISM = 0.7


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


def bracket(looks: Sequence[Look], tolerance: float, doubt: float = 0.0) -> Bracket:
    """Read what is known of a target's cells, sparsities ascending.

    The crossing is sought between the highest cell decided to be within and the lowest decided to be beyond: a
    bisection whose next point is where a curve fitted to the forecasts crosses the tolerance. The cells on both sides
    of it are needed for a certain answer anyway, so both are wanted, and every batch corrects the guess.

    Curves need not rise. Cells below the answer that look beyond are measured on until they no longer do, or are
    decided; one that is beyond becomes the new upper end. Those that look within are believed, on few examples: a bump
    of less than a few points that is hidden far below the answer can be missed.

    Args:
        looks: one a cell, at least one.
        tolerance: in the metric's unit.
        doubt: standard errors by which those far below the answer are taken for worse than they look.
    """
    above = next((j for j, seen in enumerate(looks) if seen.verdict == "beyond"), len(looks))
    below = max((j for j in range(above) if looks[j].verdict == "within"), default=-1)
    monotone = all(seen.verdict != "within" for seen in looks[above:])
    between = looks[below + 1 : above]
    if between:
        crossing = below + _n_within(between, tolerance, OPTIMISM)
        wanted = tuple(j for j in (crossing, crossing + 1) if below < j < above)
        return Bracket(below + _n_within(between, tolerance, 0.0), False, monotone, wanted)
    doubtful = tuple(j for j in range(below) if _looks_beyond(looks[j], tolerance, max(doubt, j == below - 1)))
    return Bracket(below, not doubtful, monotone, doubtful)


def _looks_beyond(seen: Look, tolerance: float, errors: float) -> bool:
    # A bump is likeliest beside the crossing, so the benefit of the doubt ends there: one standard error. Asking it of
    # all cells costs a seventh more examples, and finds as many.
    return seen.verdict is None and seen.high + errors * seen.error > tolerance


def rising(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Nondecreasing least-squares fit, by pooling neighbours that violate the order (Ayer et al. 1955, AMS 26:641)."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for value, weight in zip(values, weights, strict=True):
        pools.append((value, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, weight_a, n_a), (b, weight_b, n_b) = pools[-2:]
            weight_ab = weight_a + weight_b
            pools[-2:] = [((a * weight_a + b * weight_b) / weight_ab, weight_ab, n_a + n_b)]
    return [mean for mean, _, n in pools for _ in range(n)]


def _n_within(looks: Sequence[Look], tolerance: float, errors: float) -> int:
    """How many cells from the first on the fitted curve has within tolerance, if all are `errors` better than seen."""
    fitted = rising([seen.high - errors * seen.error for seen in looks], [float(seen.n) for seen in looks])
    return sum(high <= tolerance for high in fitted)
