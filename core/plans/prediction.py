"""What a plan should cost, predicted from what each of its cuts costs alone. Nothing here is measured; no torch."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from core.plans.plan import Cut, SparsityPlan
from core.workload.scale import Scale
from core.workload.target import Granularity

Space = Literal["metric", "loss", "log-odds"]
Key = tuple[Granularity, str]  # granularity and name of a target


@dataclass(frozen=True)
class HarmCurve:
    """How much harm cutting one target alone does, by sparsity: a line through what was measured.

    Attributes:
        target, granularity, criterion, align: as in the cuts that were measured.
        sparsities: from 0 up, distinct, at least two; of what goes whole 0 and 1.
        harm: in the predictor's space, 0 at first, never falling.
    """

    target: str
    granularity: Granularity
    criterion: str | None
    align: int
    sparsities: tuple[float, ...]
    harm: tuple[float, ...]

    def at(self, sparsity: float) -> float:
        """Harm of a sparsity; beyond the last that was measured, on with the last piece's slope: a guess."""
        return on_line(self.sparsities, self.harm, sparsity)

    def reaches(self, sparsity: float) -> bool:
        """Whether it was measured up to there."""
        return sparsity <= self.sparsities[-1] + 1e-9


@dataclass(frozen=True)
class Link:
    """From the summed harm of a plan to its metric: a line through points, with its 95 % interval.

    Attributes:
        harm: ascending, at least two.
        metric, low, high: at those points.
    """

    harm: tuple[float, ...]
    metric: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Prediction:
    """What a plan should cost.

    Attributes:
        harm: summed over the plan's cuts, in the predictor's space.
        metric, low, high: predicted, with the interval in which 95 % of measured plans should lie.
        drop, drop_low, drop_high: the same as a drop, in the metric's unit.
        guesses: why the prediction is a guess, one sentence per reason; empty within what was measured.
    """

    harm: float
    metric: float
    low: float
    high: float
    drop: float
    drop_low: float
    drop_high: float
    guesses: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "guesses": list(self.guesses)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Prediction":
        """Inverse of `to_json`."""
        return cls(**{**fields, "guesses": tuple(fields["guesses"])})


@dataclass(frozen=True)
class Predictor:
    """Adds up the harm of single cuts, and says what metric goes with the sum.

    Attributes:
        scale: of the metric.
        dense: the dense model's metric on the same examples.
        n: examples behind the curves.
        space: in which harm adds up.
        curves: by granularity and target.
        link: from harm to metric.
        n_plans: measured plans that corrected the link; with none, nothing is known of how cuts interact.
    """

    scale: Scale
    dense: float
    n: int
    space: Space
    curves: Mapping[Key, HarmCurve] = field(repr=False)
    link: Link = field(repr=False)
    n_plans: int = 0

    def harm_of(self, cut: Cut) -> float | None:
        """Harm of one line of a plan; `None` where its target was not measured, or cut in another way."""
        curve = self.curves.get((cut.granularity, cut.target))
        if curve is None or (curve.criterion, curve.align) != (cut.criterion, cut.align):
            return None
        return curve.at(1.0 if cut.sparsity is None else cut.sparsity)

    def predict(self, plan: SparsityPlan) -> Prediction:
        """What a plan should cost; lines of which nothing is known count nothing and make it a guess."""
        unknown = [cut.target for cut in plan.cuts if self.harm_of(cut) is None]
        beyond = [cut.target for cut in plan.cuts if self._is_beyond(cut)]
        harm = sum(self.harm_of(cut) or 0.0 for cut in plan.cuts)
        guesses = []
        if unknown:
            guesses.append(f"nothing was measured of {_named(unknown)} cut in this way")
        if beyond:
            guesses.append(f"{_named(beyond)} was not measured at so high a sparsity")
        if harm > self.link.harm[-1]:
            guesses.append("no plan and no cut that does so much harm was measured")
        metric, low, high = self.metric_at(harm)
        drops = sorted(self.scale.drop(self.dense, value) for value in (low, high))
        return Prediction(harm, metric, low, high, self.scale.drop(self.dense, metric), *drops, tuple(guesses))

    def metric_at(self, harm: float) -> tuple[float, float, float]:
        """Metric, low and high that go with a summed harm; beyond the last point they stay as there."""
        at = min(max(harm, self.link.harm[0]), self.link.harm[-1])
        link = self.link
        return tuple(on_line(link.harm, values, at) for values in (link.metric, link.low, link.high))  # type: ignore[return-value]

    def _is_beyond(self, cut: Cut) -> bool:
        curve = self.curves.get((cut.granularity, cut.target))
        return curve is not None and cut.sparsity is not None and not curve.reaches(cut.sparsity)

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries and lists of plain values."""
        return {
            "scale": asdict(self.scale),
            "dense": self.dense,
            "n": self.n,
            "space": self.space,
            "curves": [asdict(curve) for curve in self.curves.values()],
            "link": asdict(self.link),
            "n_plans": self.n_plans,
        }


def on_line(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """The line through points, with the slopes of its ends beyond them. `xs` ascend, at least two."""
    i = min(max(bisect_right(xs, x), 1), len(xs) - 1)
    share = (x - xs[i - 1]) / (xs[i] - xs[i - 1])
    return ys[i - 1] + (ys[i] - ys[i - 1]) * share


def _named(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
