"""Time that single cuts save, as plain values: what a profile measured, and what lies between. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from core.plans.costs.stairs import EngineTime


@dataclass(frozen=True)
class Saved:
    """Time that one cut alone saves, as it was measured.

    Attributes:
        sparsity: of the cut, in (0, 1).
        seconds, low, high: per forward pass, with its 95 % interval.
    """

    sparsity: float
    seconds: float
    low: float
    high: float


@dataclass(frozen=True)
class SavedTime:
    """What a profile knows of time: of the dense model, and what cutting one target alone saves.

    Attributes:
        dense: seconds of a forward pass.
        channels: of coupled groups by name, ascending in sparsity.
        heads: of attentions by path; the sparsity is the share of the heads.
        built: in their place, what is known of the model in an engine by its stairs; `None` for savings that add up.
    """

    dense: float
    channels: Mapping[str, tuple[Saved, ...]] = field(default_factory=dict, hash=False)
    heads: Mapping[str, tuple[Saved, ...]] = field(default_factory=dict, hash=False)
    built: EngineTime | None = None

    @property
    def engine(self) -> str | None:
        """Of whom the milliseconds are; `None` for eager torch, added up from single savings."""
        return self.built.engine if self.built is not None else None


def saved_at(measured: Sequence[Saved], sparsity: float) -> Saved:
    """What a sparsity saves: linear between what was measured and nothing at 0, constant beyond the last.

    Args:
        measured: ascending in sparsity, at least one.
        sparsity: in [0, 1].
    """
    points = (Saved(0.0, 0.0, 0.0, 0.0), *measured)
    for before, after in pairwise(points):
        if sparsity <= after.sparsity:
            share = (sparsity - before.sparsity) / (after.sparsity - before.sparsity)
            seconds, low, high = (
                a + share * (b - a)
                for a, b in (
                    (before.seconds, after.seconds),
                    (before.low, after.low),
                    (before.high, after.high),
                )
            )
            return Saved(sparsity, seconds, low, high)
    return replace(points[-1], sparsity=sparsity)
