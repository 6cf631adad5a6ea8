"""What is known of every round of a recovery. Plain values; no torch."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.sensitivity.report import Estimate


@dataclass(frozen=True)
class Round:
    """A round of pruning and fine-tuning, evaluated.

    Attributes:
        iteration: counted from 1.
        sparsity: share of the weights that can be cut which are gone, in [0, 1).
        before: metric on the evaluation examples after the cut, before training; with n and 95 % interval. `None` if it
            could not be calculated, as for an accuracy of NaN outputs.
        after: the same after training.
        drop: paired drop of `after` from the dense model; positive is worse. `None` as `after`.
        steps: optimiser steps that were made.
        seconds: for cutting, training and evaluating.
        chosen: as `drop`, on those of the examples alone that a round may be chosen by; `None` where that is all of
            them, or an older build made the round.
    """

    iteration: int
    sparsity: float
    before: Estimate | None
    after: Estimate | None
    drop: Estimate | None
    steps: int
    seconds: float
    chosen: Estimate | None = None

    def choice(self, n: int) -> Estimate | None:
        """The drop that the round may be chosen by, which is on `n` examples; `None` if that is not known."""
        return self.chosen if self.drop is None or self.drop.n > n else self.drop

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Round":
        """Inverse of `to_json`."""
        names = ("before", "after", "drop", "chosen")
        estimates = {name: Estimate(**fields[name]) if fields.get(name) else None for name in names}
        return cls(**{**fields, **estimates})


def best_within(history: Sequence[Round], tolerance: float, n: int) -> Round | None:
    """The sparsest round of whose drop the whole 95 % interval lies within `tolerance`, in the metric's unit.

    `None` if there is none. Of rounds equally sparse the one with the smaller drop.

    Args:
        history: rounds that are done.
        tolerance: accepted.
        n: examples that a round may be chosen by, of those that it was measured on the first.
    """
    by = [(row, row.choice(n)) for row in history]
    within = [(row.sparsity, -drop.value, row) for row, drop in by if drop is not None and drop.high <= tolerance]
    return max(within, key=lambda found: found[:2])[2] if within else None
