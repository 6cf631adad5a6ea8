"""Which widths are worth a measurement: steps are found at little cost. No torch."""

from collections.abc import Sequence
from math import gcd, lcm
from random import Random

from core.profiling.stairs.report import Width

MOST_STEPS = 16  # of the even grid; engines' blocks have 4 to 32 channels
PROBES = ((1.0, -1), (1.0, -2), (0.5, 1), (0.5, 2), (0.25, 1))  # off the grid: what leaving a block costs, high and low
FEW = 8  # channels, of which every width is taken


def widths_of(n: int, parts: int = 1) -> tuple[int, ...]:
    """Widths below `n` to be measured, ascending: an even grid of a multiple of 4, and probes beside it.

    Every step of the grid is a multiple of 4 (of `parts` too), the least power of two that makes no more than
    `MOST_STEPS` of them; the probes are one and two channels beside the whole, the half and a quarter.

    Args:
        n: channels of the dense model.
        parts: a width is a multiple of this.
    """
    if n // parts <= FEW:
        return tuple(range(parts, n, parts))
    step = 4
    while n / step > MOST_STEPS:
        step *= 2
    wanted = {*range(step, n, step), *(round(n * share) + off for share, off in PROBES)}
    return tuple(sorted({width // parts * parts for width in wanted if 0 < width // parts * parts < n}))


def drawn_whole(every: Sequence[Width], multiple: int, draw: Random) -> tuple[Width, ...]:
    """A plan that narrows every target at once: one width of each that is not left whole, near to a share in common.

    Args:
        every: widths that are measured one at a time.
        multiple: of which channels are one, and of what each group's own widths have in common.
        draw: where chance comes from.
    """
    common, chosen = draw.uniform(0.3, 0.9), []
    for granularity, target, n in dict.fromkeys((one.granularity, one.target, one.n) for one in every):
        share = min(1.0, max(0.2, draw.gauss(common, 0.15)))
        own = [one.width for one in every if (one.granularity, one.target) == (granularity, target)]
        if granularity == "channel":
            step = lcm(multiple, gcd(*own, n))
            width = max(step, round(n * share / step) * step)
        else:
            width = min((*own, n), key=lambda one: abs(one - n * share))
        if 0 < width < n:
            chosen.append(Width(target, granularity, n, width))
    return tuple(chosen)
