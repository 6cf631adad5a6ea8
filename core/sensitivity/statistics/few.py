"""Whether a few examples carry a drop: then its interval rests on them, and on how many such were met."""

import numpy as np

from core.sensitivity.statistics.intervals import Scores, is_binary, is_proportion
from core.sensitivity.statistics.reach import n_moving
from core.workload.scale import Scale

CARRIERS = 3
FEW = 10.0  # examples that carry the drop, by their participation ratio, below which it is said
LEAST = 30  # examples: of fewer, three are many


def carried_by_few(scale: Scale, dense: Scores, pruned: Scores, weights: Scores | None = None) -> float | None:
    """Share of all changes that the three largest make; `None` where many examples share them, or none changed.

    Args:
        scale, dense, pruned, weights: as of `drop_estimate`. Scores of 0 and 1 have an interval that knows of counts,
            and a metric of the set is no mean: `None`.
    """
    if scale.of_set or len(dense) < LEAST:
        return None
    if weights is None and is_proportion(scale) and is_binary(dense) and is_binary(pruned):
        return None
    changes = np.abs(pruned - dense) if weights is None else np.abs(weights * (pruned - dense))
    if not changes.any() or n_moving(changes) >= FEW:
        return None
    return float(np.partition(changes, -CARRIERS)[-CARRIERS:].sum() / changes.sum())
