"""Allocations that need the shapes of layers alone: how much each loses at one budget. No torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, prod
from types import MappingProxyType

from core.plans.checked import n_removed
from core.workload.target import Target

Counts = Mapping[str, int]  # weights that go, by name of the target; never all of a layer
Allocated = Callable[[int], Counts]  # how many weights go in all -> of each layer


def most_removed(targets: Sequence[Target]) -> int:
    """How many weights can go if one of each layer stays."""
    return sum(target.n_weights - 1 for target in targets)


def uniform(targets: Sequence[Target]) -> Allocated:
    """The same share of every layer, rounded as a plan rounds it.

    The total is off by the rounding of each layer. Source: Han et al. 2015, arXiv:1506.02626.
    """
    n = sum(target.n_weights for target in targets)

    def counts(removed: int) -> Counts:
        share = removed / n if n else 0.0
        return {target.name: min(n_removed(share, target.n_weights), target.n_weights - 1) for target in targets}

    return counts


def erk(targets: Sequence[Target]) -> Allocated:
    """Erdős–Rényi-kernel: a layer's density goes as the sum of its dimensions over their product.

    A layer that would be denser than dense stays whole, and the others are scaled again. Large layers lose most. The
    total is exact. Source: Evci et al. 2020 (RigL), arXiv:1911.11134, appendix; an embedding counts as a matrix.
    """

    def counts(removed: int) -> Counts:
        kept = sum(target.n_weights for target in targets) - min(removed, most_removed(targets))
        return _apportioned(targets, erk_densities([target.shape for target in targets], kept), kept)

    return counts


def erk_densities(shapes: Sequence[tuple[int, ...]], kept: float) -> tuple[float, ...]:
    """Density of each layer, in [0, 1], so that `kept` weights stay in all; unrounded.

    Args:
        shapes: of the weights, outputs, inputs and kernel in any order.
        kept: weights that stay, between 0 and all of them.
    """
    dense: set[int] = set()
    while True:
        rest = [i for i in range(len(shapes)) if i not in dense]
        room = kept - sum(prod(shapes[i]) for i in dense)
        raw = sum(sum(shapes[i]) for i in rest)  # numbers that a scale of 1 would keep
        scale = room / raw if raw else 0.0
        above = {i for i in rest if scale * sum(shapes[i]) > prod(shapes[i])}
        if not above:
            return tuple(1.0 if i in dense else scale * sum(shape) / prod(shape) for i, shape in enumerate(shapes))
        dense |= above


def _apportioned(targets: Sequence[Target], densities: Sequence[float], kept: int) -> Counts:
    """Whole numbers that add up: rounded down, and one more for the largest remainders; at least 1 stays of each."""
    wanted = [density * target.n_weights for density, target in zip(densities, targets, strict=True)]
    stays = [min(max(1, floor(one + 1e-9)), target.n_weights) for one, target in zip(wanted, targets, strict=True)]
    missing = kept - sum(stays)
    step = 1 if missing > 0 else -1
    order = sorted(range(len(targets)), key=lambda i: step * (stays[i] - wanted[i]))
    while missing:
        before = missing
        for i in order:
            if missing and 1 <= stays[i] + step <= targets[i].n_weights:
                stays[i] += step
                missing -= step
        assert missing != before, "more weights stay than there are, or fewer than layers"
    return {target.name: target.n_weights - n for target, n in zip(targets, stays, strict=True)}


@dataclass(frozen=True)
class Units:
    """A coupled group as allocations of channels see it.

    Attributes:
        target: the group.
        shapes: of the weights whose rows make its channels.
    """

    target: Target
    shapes: tuple[tuple[int, ...], ...]

    @property
    def n(self) -> int:
        """Channels that there are."""
        return self.target.n_units or 0


def uniform_units(groups: Sequence[Units]) -> Callable[[float], Counts]:
    """The same share of the channels of every group, rounded as a plan rounds it; one of each stays."""
    return lambda gone: {one.target.name: min(n_removed(gone, one.n), one.n - 1) for one in groups}


def erk_units(groups: Sequence[Units]) -> Callable[[float], Counts]:
    """ERK's rule for channels: the share that stays of a group goes as dimensions over their product, of its layers.

    A group that would be denser than dense stays whole. Departs from Evci et al. 2020, arXiv:1911.11134, which allots
    single weights layer by layer: channels that several layers make have one share, of the sums over those layers.
    """
    raw = [sum(map(sum, one.shapes)) / sum(map(prod, one.shapes)) for one in groups]
    least = min(raw, default=1.0)

    def counts(gone: float) -> Counts:
        kept = [min(1.0, (1 - gone) * one / least) for one in raw]
        return {
            one.target.name: min(n_removed(1 - share, one.n), one.n - 1)
            for one, share in zip(groups, kept, strict=True)
        }

    return counts


SHAPE_ALLOCATIONS: Mapping[str, Callable[[Sequence[Target]], Allocated]] = MappingProxyType(
    {
        "uniform": uniform,  # Han et al. 2015, arXiv:1506.02626
        "erk": erk,  # Evci et al. 2020, arXiv:1911.11134
    }
)
