"""What a metric's number means: unit, direction, range. No torch: the dashboard reads it."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Scale:
    """How to read a metric's number.

    Attributes:
        name: e.g. `"accuracy"`.
        unit: e.g. `"fraction"`, `"nats"`, `"per token"`.
        higher_is_better: the direction; a drop is positive when the model became worse, whichever way that is.
        low, high: range; `None` where there is no bound.
        aggregate: `"mean"` of the scores, or `"exp_mean"`, the exponential of their mean (perplexity).
    """

    name: str
    unit: str
    higher_is_better: bool
    low: float | None
    high: float | None
    aggregate: Literal["mean", "exp_mean"] = "mean"

    @property
    def factor(self) -> float:
        """What a number is multiplied by before it is shown: 100 for fractions, which are shown as percent."""
        return 100.0 if self.unit == "fraction" else 1.0

    def drop(self, dense: float, pruned: float) -> float:
        """How much worse `pruned` is than `dense`, in the metric's unit; negative when it is better."""
        return dense - pruned if self.higher_is_better else pruned - dense

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Scale":
        """Inverse of `dataclasses.asdict`."""
        return cls(**fields)
