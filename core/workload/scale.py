"""What a metric's number means: unit, direction, range. No torch: the dashboard reads it."""

import math
from dataclasses import dataclass
from typing import Any, Literal

SPANS = 4096  # of an example there must be fewer, so that two counts fit into the 24 bits of a float32
ROUNDING = 1e-4  # by which a score may lie outside of its range: a logarithm of a float32 softmax


@dataclass(frozen=True)
class Scale:
    """How to read a metric's number.

    Attributes:
        name: e.g. `"accuracy"`.
        unit: e.g. `"fraction"`, `"nats"`, `"per token"`.
        higher_is_better: the direction; a drop is positive when the model became worse, whichever way that is.
        low, high: range; `None` where there is no bound.
        aggregate: how scores become the number: their `"mean"`; `"exp_mean"`, the exponential of it (perplexity); or,
            from predictions and the truth of the whole set, `"macro_f1"`, `"spearman"`, `"r2"`; or, from counts of
            spans, `"span_f1"`, where a prediction is two of them, see `packed`.
    """

    name: str
    unit: str
    higher_is_better: bool
    low: float | None
    high: float | None
    aggregate: Literal["mean", "exp_mean", "macro_f1", "spearman", "r2", "span_f1"] = "mean"

    @property
    def is_bounded(self) -> bool:
        """Whether every score lies in a known range, and the metric is their mean."""
        return self.aggregate == "mean" and self.low is not None and self.high is not None

    @property
    def worst(self) -> float | None:
        """The worst that a score can be, though no interval may reckon with it; `None`: there is no end."""
        end = self.low if self.higher_is_better else self.high
        return -1.0 if end is None and self.unit == "cosine" and self.higher_is_better else end

    @property
    def of_set(self) -> bool:
        """Whether the number is no mean over examples: scores are predictions, and their truth stands for weights."""
        return self.aggregate in ("macro_f1", "spearman", "r2", "span_f1")

    @property
    def of_numbers(self) -> bool:
        """Whether it is a number of the set made of numbers, so that no single example is right or wrong."""
        return self.aggregate in ("spearman", "r2")

    @property
    def score_range(self) -> tuple[float | None, float | None]:
        """Within which the scores of examples lie, but for `ROUNDING`; `None` where there is no bound."""
        if self.of_set:
            return None, None
        if self.aggregate == "exp_mean":  # scores are logarithms
            return math.log(self.low) if self.low else None, math.log(self.high) if self.high else None
        return self.low, self.high

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


def packed(predicted: Any, matched: Any) -> Any:
    """Counts of an example's spans as one number, which float32 holds exactly; each less than `SPANS`."""
    return predicted * SPANS + matched


def unpacked(scores: Any) -> tuple[Any, Any]:
    """Predicted and matched spans, of `packed` numbers in an array."""
    predicted = scores // SPANS
    return predicted, scores - predicted * SPANS
