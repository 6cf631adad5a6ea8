"""What a plan should cost, predicted from what each of its cuts costs alone. Nothing here is measured; no torch."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import inf
from types import MappingProxyType
from typing import Any, Literal

from core.errors import SecateurError
from core.plans.patterns import is_pattern
from core.plans.plan import Cut, SparsityPlan
from core.workload.scale import Scale
from core.workload.target import Granularity

Space = Literal["metric", "log", "log-odds"]
Key = tuple[Granularity, str, str | None, int]  # granularity, target, criterion, alignment: all of a cut but how much
Family = Literal["weights", "patterns", "structure", "blocks"]  # of cuts: how many of them interact is alike within one
CAUTION = 0.9  # of the plans like one that is predicted stay within its bound
_FAMILIES: Mapping[str, Family] = MappingProxyType(
    {"weight": "weights", "channel": "structure", "head": "structure", "kv_group": "structure", "block": "blocks"}
)


def family_of(granularity: Granularity) -> Family:
    """The family of cuts of a granularity."""
    return "patterns" if is_pattern(granularity) else _FAMILIES[granularity]


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
        bound: at those points the metric that a plan is at least as good as with probability `CAUTION`; empty where
            nobody says, and the worse end of the interval stands for it.
    """

    harm: tuple[float, ...]
    metric: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    bound: tuple[float, ...] = ()

    def at(self, harm: float, higher_is_better: bool) -> tuple[float, float, float, float]:
        """Metric, low, high and bound that go with a harm; beyond the last point they stay as there."""
        bound = self.bound or (self.low if higher_is_better else self.high)
        at = min(max(harm, self.harm[0]), self.harm[-1])
        metric, low, high, least = (on_line(self.harm, ys, at) for ys in (self.metric, self.low, self.high, bound))
        return metric, low, high, least


@dataclass(frozen=True)
class Known:
    """A plan that was measured, or the one cut of a plan that a sweep measured: nobody needs to predict it.

    Attributes:
        cuts: the lines of the plan, sorted.
        metric, low, high: with the 95 % interval.
        drop, drop_low, drop_high: on the same examples (paired), in the metric's unit.
        n: examples.
    """

    cuts: tuple[Cut, ...]
    metric: float
    low: float
    high: float
    drop: float
    drop_low: float
    drop_high: float
    n: int


LATER = ("drop_bound", "measured")  # fields of a prediction that older builds did not write


@dataclass(frozen=True)
class Prediction:
    """What a plan should cost.

    Attributes:
        harm: summed over the plan's cuts, in the predictor's space.
        metric, low, high: predicted, with the interval in which 95 % of measured plans should lie.
        drop, drop_low, drop_high: the same as a drop, in the metric's unit.
        guesses: why the prediction is a guess, one sentence per reason; empty within what was measured.
        drop_bound: the drop that a plan does not exceed with probability `CAUTION`; `None` where older builds said it.
        measured: number of examples, where it is no prediction: this very plan was measured, and that is what it says.
    """

    harm: float
    metric: float
    low: float
    high: float
    drop: float
    drop_low: float
    drop_high: float
    guesses: tuple[str, ...] = ()
    drop_bound: float | None = None
    measured: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values; as older builds wrote it where there is nothing new to say."""
        later = {name: value for name in LATER if (value := getattr(self, name)) is not None}
        told = {name: value for name, value in asdict(self).items() if name not in LATER}
        return {**told, "guesses": list(self.guesses), **later}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Prediction":
        """Inverse of `to_json`."""
        return cls(**{**fields, "guesses": tuple(fields["guesses"])})


def on_dense(scale: Scale, dense: float, prediction: Prediction) -> tuple[float, float, float]:
    """The predicted metric and the ends of its interval, low first, where the dense model's metric is `dense`.

    The predicted drop taken off that: cells may have been measured on other examples, on which the dense model was
    better or worse, and that is no drop. Within the range of the metric.
    """
    sign = -1 if scale.higher_is_better else 1
    least, most = (-inf if scale.low is None else scale.low), (inf if scale.high is None else scale.high)
    drops = prediction.drop, prediction.drop_low, prediction.drop_high
    value, *ends = (min(max(dense + sign * drop, least), most) for drop in drops)
    return value, min(ends), max(ends)


@dataclass(frozen=True)
class Predictor:
    """Adds up the harm of single cuts, and says what metric goes with the sum.

    A plan of one cut does what the cut does alone (`alone`); one of many does what a link says, and the more evenly the
    harm is spread over its cuts, the more the link counts. Each family of cuts has its own link.

    Attributes:
        scale: of the metric.
        dense: the dense model's metric on the same examples.
        n: examples behind the curves.
        space: in which harm adds up, from the dense model's value on: of the metric itself, its logarithm, or its
            log-odds.
        curves: what is known of single cuts.
        link: from harm to metric, as all measured plans together say it; for a family that has no link of its own.
        n_plans: measured plans that corrected the links; with none, nothing is known of how cuts interact.
        links: by family.
        alone: from the harm of one cut to its metric, as swept cells say it; `None`: `link` counts there too.
        known: plans that were measured, by their cuts.
        kinds: families of the measured plans that corrected the links.
        repair: that the cells and plans it knows were measured with; it says nothing of plans with another.
    """

    scale: Scale
    dense: float
    n: int
    space: Space
    curves: Mapping[Key, HarmCurve] = field(repr=False)
    link: Link = field(repr=False)
    n_plans: int = 0
    links: Mapping[Family, Link] = field(default_factory=dict, repr=False)
    alone: Link | None = field(default=None, repr=False)
    known: Mapping[tuple[Cut, ...], Known] = field(default_factory=dict, repr=False)
    kinds: tuple[Family, ...] = ()
    repair: str | None = None

    def fits(self, plan: SparsityPlan) -> bool:
        """Whether it knows plans with this one's repair."""
        return plan.repair == self.repair or not plan.cuts

    def curve_of(self, cut: Cut) -> HarmCurve | None:
        """What was measured of cuts like this one; `None` where that is nothing."""
        return self.curves.get(key_of(cut))

    def harm_of(self, cut: Cut) -> float | None:
        """Harm of one line of a plan; `None` where its target was not measured, or cut in another way."""
        curve = self.curve_of(cut)
        return None if curve is None else curve.at(_amount(cut))

    def predict(self, plan: SparsityPlan) -> Prediction:
        """What a plan should cost; lines of which nothing is known count nothing and make it a guess.

        What was measured is not predicted: of such a plan it says what measuring it gave.

        Raises:
            SecateurError: the plan has another repair than what this predictor was made of.
        """
        if not self.fits(plan):
            own, other = (f"repaired by {name}" if name else "raw" for name in (self.repair, plan.repair))
            swept = f"sweep with --repair {plan.repair}" if plan.repair else "sweep without --repair"
            raise SecateurError(
                f"what {own} cuts cost says nothing of a plan that is {other}; {swept}, or measure it with apply"
            )
        if not plan.cuts:  # it is the dense model, bit for bit
            return Prediction(0.0, self.dense, self.dense, self.dense, 0.0, 0.0, 0.0, drop_bound=0.0)
        unknown, beyond, harms = [], [], []
        for cut in plan.cuts:
            curve = self.curve_of(cut)
            if curve is None:
                unknown.append(cut.target)
                continue
            harms.append((family_of(cut.granularity), curve.at(_amount(cut))))
            if not curve.reaches(_amount(cut)):
                beyond.append(cut.target)
        harm = sum(one for _, one in harms)
        if (told := self.known.get(plan.cuts)) is not None:
            return Prediction(
                harm, told.metric, told.low, told.high, told.drop, told.drop_low, told.drop_high,
                drop_bound=told.drop_high, measured=told.n,
            )  # fmt: skip
        guesses = []
        if unknown:
            guesses.append(f"nothing was measured of {_named(unknown)} cut in this way")
        if beyond:
            guesses.append(f"{_named(beyond)} was not measured at so high a sparsity")
        if harm > self.link.harm[-1]:
            guesses.append("no plan and no cut that does so much harm was measured")
        metric, low, high, bound = self._told(harms, harm)
        drop_low, drop_high = sorted(self.scale.drop(self.dense, value) for value in (low, high))
        drop = self.scale.drop(self.dense, metric)
        return Prediction(
            harm, metric, low, high, drop, drop_low, drop_high, tuple(guesses), self.scale.drop(self.dense, bound)
        )

    def _told(self, harms: Sequence[tuple[Family, float]], total: float) -> tuple[float, float, float, float]:
        """Metric, low, high and bound: the links of the families of its cuts, weighed by their share of the harm."""
        told = []
        for family, weight in shares_of(harms, self.alone is not None).items():
            own = self.alone if family is None else self.links.get(family)
            told.append((weight, (own or self.link).at(total, self.scale.higher_is_better)))
        metric, low, high, bound = (sum(weight * values[i] for weight, values in told) for i in range(4))
        return metric, low, high, bound

    def metric_at(self, harm: float) -> tuple[float, float, float]:
        """Metric, low and high that go with a summed harm by `link`; beyond the last point they stay as there."""
        return self.link.at(harm, self.scale.higher_is_better)[:3]

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
            "links": {family: asdict(link) for family, link in self.links.items()},
            "alone": None if self.alone is None else asdict(self.alone),
            "known": [asdict(known) for known in self.known.values()],
            "kinds": list(self.kinds),
            **({"repair": self.repair} if self.repair else {}),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Predictor":
        """Inverse of `to_json` after a trip through JSON."""
        curves = [
            HarmCurve(**{**curve, "sparsities": tuple(curve["sparsities"]), "harm": tuple(curve["harm"])})
            for curve in fields["curves"]
        ]
        known = [Known(**{**one, "cuts": tuple(Cut(**cut) for cut in one["cuts"])}) for one in fields.get("known", ())]
        alone = fields.get("alone")
        return cls(
            Scale.from_json(fields["scale"]),
            fields["dense"],
            fields["n"],
            fields["space"],
            {curve.key: curve for curve in curves},
            _link(fields["link"]),
            fields["n_plans"],
            {family: _link(link) for family, link in fields.get("links", {}).items()},
            None if alone is None else _link(alone),
            {one.cuts: one for one in known},
            tuple(fields.get("kinds", ())),
            fields.get("repair"),
        )


def _link(fields: Mapping[str, Any]) -> Link:
    return Link(**{name: tuple(values) for name, values in fields.items()})


def shares_of(harms: Sequence[tuple[Family, float]], alone: bool = True) -> dict[Family | None, float]:
    """How much each family's link counts for a plan, and under `None` what a cut does alone; they add up to 1.

    Of one cut the latter is all. Of many it is the chance that two draws from the harm hit the same cut (Simpson's
    index, Nature 163:688, 1949), which falls with the number of cuts that carry it.

    Args:
        harms: family and harm of each cut.
        alone: whether something is known of single cuts apart; else the links are all.
    """
    total = sum(harm for _, harm in harms)
    if not harms:
        return {None: 1.0} if alone else {"weights": 1.0}
    if total <= 0:  # nothing tells them apart
        harms, total = [(family, 1.0) for family, _ in harms], float(len(harms))
    one = sum((harm / total) ** 2 for _, harm in harms) if alone else 0.0
    shares: dict[Family | None, float] = {None: one}
    for family, harm in harms:
        shares[family] = shares.get(family, 0.0) + (1 - one) * harm / total
    return shares


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
