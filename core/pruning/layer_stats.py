"""What masks remove, layer by layer. The values need no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.workload.target import Target

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LayerStats:
    """What was cut from one layer.

    Attributes:
        name: of the layer, as a target.
        total_params: entries of its weight.
        pruned_params: entries that the mask removed.
        sparsity: pruned_params / total_params, in [0, 1].
    """

    name: str
    total_params: int
    pruned_params: int
    sparsity: float


def layer_stats(targets: Sequence[Target], masks: "Mapping[str, Tensor]") -> tuple[LayerStats, ...]:
    """What masks remove from every weight target, in network order; heads count where their columns lie."""
    stats = []
    for target in targets:
        if target.granularity == "weight":
            mask = masks.get(target.parameter)
            removed = 0 if mask is None else int((~mask).sum())
            stats.append(LayerStats(target.name, target.n_weights, removed, removed / target.n_weights))
    return tuple(stats)
