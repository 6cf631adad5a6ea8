"""What a plan should cost, predicted from what each of its cuts costs alone. Nothing here is measured; no torch."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from core.plans.plan import Cut, SparsityPlan
from core.workload.scale import Scale
from core.workload.target import Granularity

Space = Literal["metric", "log", "log-odds"]
Key = tuple[Granularity, str, str | None, int]  # granularity, target, criterion, alignment: all of a cut but how much


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

    @property
    def key(self) -> Key:
        """What its cuts have in common."""
        return self.granularity, self.target, self.criterion, self.align

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
        space: in which harm adds up, from the dense model's value on: of the metric itself, its logarithm, or its
            log-odds.
        curves: what is known of single cuts.
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

    def curve_of(self, cut: Cut) -> HarmCurve | None:
        """What was measured of cuts like this one; `None` where that is nothing."""
        return self.curves.get(key_of(cut))

    def harm_of(self, cut: Cut) -> float | None:
        """Harm of one line of a plan; `None` where its target was not measured, or cut in another way."""
        curve = self.curve_of(cut)
        return None if curve is None else curve.at(_amount(cut))

    def predict(self, plan: SparsityPlan) -> Prediction:
        """What a plan should cost; lines of which nothing is known count nothing and make it a guess."""
        if not plan.cuts:  # it is the dense model, bit for bit
            return Prediction(0.0, self.dense, self.dense, self.dense, 0.0, 0.0, 0.0)
        unknown, beyond, harm = [], [], 0.0
        for cut in plan.cuts:
            curve = self.curve_of(cut)
            if curve is None:
                unknown.append(cut.target)
                continue
            harm += curve.at(_amount(cut))
            if not curve.reaches(_amount(cut)):
                beyond.append(cut.target)
        guesses = []
        if unknown:
            guesses.append(f"nothing was measured of {_named(unknown)} cut in this way")
        if beyond:
            guesses.append(f"{_named(beyond)} was not measured at so high a sparsity")
        if harm > self.link.harm[-1]:
            guesses.append("no plan and no cut that does so much harm was measured")
        metric, low, high = self.metric_at(harm)
        drop_low, drop_high = sorted(self.scale.drop(self.dense, value) for value in (low, high))
        drop = self.scale.drop(self.dense, metric)
        return Prediction(harm, metric, low, high, drop, drop_low, drop_high, tuple(guesses))

    def metric_at(self, harm: float) -> tuple[float, float, float]:
        """Metric, low and high that go with a summed harm; beyond the last point they stay as there."""
        link = self.link
        at = min(max(harm, link.harm[0]), link.harm[-1])
        metric, low, high = (on_line(link.harm, values, at) for values in (link.metric, link.low, link.high))
        return metric, low, high

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

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Predictor":
        """Inverse of `to_json` after a trip through JSON."""
        curves = [
            HarmCurve(**{**curve, "sparsities": tuple(curve["sparsities"]), "harm": tuple(curve["harm"])})
            for curve in fields["curves"]
        ]
        return cls(
            Scale.from_json(fields["scale"]),
            fields["dense"],
            fields["n"],
            fields["space"],
            {curve.key: curve for curve in curves},
            Link(**{name: tuple(values) for name, values in fields["link"].items()}),
            fields["n_plans"],
        )


def harm_within(predictor: Predictor, tolerance: float) -> float:
    """The largest summed harm whose predicted drop is at most a tolerance, in the metric's unit.

    Infinite where no harm is predicted to cost more: nothing beyond the link's last point is known. Minus infinity
    where even none at all does.
    """
    link = predictor.link
    drops = [predictor.scale.drop(predictor.dense, metric) for metric in link.metric]
    if drops[-1] <= tolerance:
        return float("inf")
    i = len(drops) - 1
    while i > 0 and drops[i - 1] > tolerance:
        i -= 1
    if i == 0:
        return float("-inf")
    share = (tolerance - drops[i - 1]) / (drops[i] - drops[i - 1])
    return link.harm[i - 1] + (link.harm[i] - link.harm[i - 1]) * share


def key_of(cut: Cut) -> Key:
    """Key of the curve on which a cut lies."""
    return cut.granularity, cut.target, cut.criterion, cut.align


def _amount(cut: Cut) -> float:
    return 1.0 if cut.sparsity is None else cut.sparsity


def on_line(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """The line through points, with the slopes of its ends beyond them. `xs` ascend, at least two."""
    i = min(max(bisect_right(xs, x), 1), len(xs) - 1)
    share = (x - xs[i - 1]) / (xs[i] - xs[i - 1])
    return ys[i - 1] + (ys[i] - ys[i - 1]) * share


def _named(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
