"""What a frontier found, as plain values, and who is dominated. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Literal

from core.numbers import share_text
from core.plans.plan import Form
from core.profiling.report import PLACEMENT, Machine
from core.sensitivity.report import Estimate
from core.shown import Shown
from core.workload.scale import Scale

Axis = Literal["milliseconds", "bytes", "compressed"]
AXES: tuple[Axis, ...] = ("milliseconds", "bytes", "compressed")
DENSE = "dense"


@dataclass(frozen=True)
class Point:
    """A plan for a budget, with what was measured of it so far.

    Attributes:
        maker: who made it: the solver, or a peer.
        budget: the share of the cost that might be left.
        plan: its id in the plan book; `None` where there is none.
        document: the plan itself, as plain values.
        form: of the model that was timed.
        left: share of the cost that it leaves.
        metric, drop: measured, before any training; the drop paired with the dense model.
        recovered: the drop after fine-tuning with the masks held; `None` where none was asked for.
        bytes, compressed: of the engine's files, and of these after zlib at level 6.
        seconds: of a forward pass, median of the turns' quickest bursts.
        ratio: seconds of the dense model / this one's, of the same turns.
        note: what a person must know of the engine's file; empty if nothing.
        reason: why there is no plan, no quality or no time; `None` if there are, or it was not its turn yet.
    """

    maker: str
    budget: float
    plan: str | None = None
    document: dict[str, Any] | None = None
    form: Form | None = None
    left: float | None = None
    metric: Estimate | None = None
    drop: Estimate | None = None
    bytes: int | None = None
    compressed: int | None = None
    seconds: float | None = None
    ratio: Estimate | None = None
    note: str = ""
    reason: str | None = None
    recovered: Estimate | None = None

    @property
    def waits_for_quality(self) -> bool:
        """Whether its quality is still to be measured."""
        return self.plan is not None and self.drop is None and self.reason is None

    @property
    def waits_for_time(self) -> bool:
        """Whether it is still to be timed."""
        return self.drop is not None and self.seconds is None and self.reason is None

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Point":
        """Inverse of `dataclasses.asdict` after a trip through JSON."""
        names = ("metric", "drop", "recovered", "ratio")
        found = {name: Estimate(**fields[name]) if fields.get(name) else None for name in names}
        return cls(**{**fields, **found})


@dataclass(frozen=True)
class Standing:
    """That a point is dominated: another is no worse in either number and better in one.

    Attributes:
        by: position of the other among the points; -1 for the dense model.
        told_apart: whether the intervals show it: on each axis all of the other's lies on the better side.
    """

    by: int
    told_apart: bool


@dataclass(frozen=True)
class FrontierReport(Shown):
    """Everything that was found so far.

    Attributes:
        workload: name or path.
        engine, version: on which it was timed.
        machine: where.
        threads, batch: of every time.
        kind: of cost that the budgets are shares of.
        scale: of the metric.
        skip, n, unseen: the examples that quality was measured on, and whether nothing was chosen by looking at them.
        margin: how far off 1 a ratio may be for no reason but where in memory two models lie.
        metric: of the dense model on the same examples; `None` before it was measured.
        seconds, bytes, compressed: of the dense model in the engine; seconds by budget, for each has turns of its own.
        points: budget by budget, the largest first, in each the solver's first.
        recover: epochs of fine-tuning of each plan; 0 for none.
    """

    workload: str
    engine: str
    version: str
    machine: Machine
    threads: int
    batch: int
    kind: str
    scale: Scale
    skip: int
    n: int
    unseen: bool
    margin: float = PLACEMENT
    metric: Estimate | None = None
    seconds: Mapping[str, float] = field(default_factory=dict, hash=False)
    bytes: int | None = None
    compressed: int | None = None
    points: tuple[Point, ...] = ()
    recover: float = 0.0

    @property
    def dense_seconds(self) -> float | None:
        """Of the dense model: the median over all budgets' turns."""
        return median(self.seconds.values()) if self.seconds else None

    def place(self, point: Point, axis: Axis) -> Estimate | None:
        """Where a point stands on an axis, in its unit; `None` where it was not measured.

        Milliseconds are the dense model's through how many times as fast the plan's is: each budget has turns of its
        own, and what slowed the machine in one of them is in both of its numbers.
        """
        if axis != "milliseconds":
            size = point.bytes if axis == "bytes" else point.compressed
            return None if size is None else Estimate(size, size, size, 1)
        if point.ratio is None or self.dense_seconds is None:
            return None
        dense, ratio = 1000 * self.dense_seconds, point.ratio
        return Estimate(dense / ratio.value, dense / ratio.high, dense / ratio.low, ratio.n)

    def quality(self, point: Point) -> Estimate | None:
        """The drop that a point stands at: after fine-tuning where that was asked for, and `None` until it is done."""
        return point.recovered if self.recover else point.drop

    def waits_for_training(self, point: Point) -> bool:
        """Whether it is still to be fine-tuned."""
        return bool(self.recover) and point.drop is not None and point.recovered is None and point.reason is None

    def dense_place(self, axis: Axis) -> Estimate | None:
        """Where the dense model stands on an axis."""
        found = {"bytes": self.bytes, "compressed": self.compressed}.get(axis, self.dense_seconds)
        if found is None:
            return None
        value = 1000 * found if axis == "milliseconds" else found
        return Estimate(value, value, value, 1)

    def standings(self, axis: Axis) -> dict[int, Standing]:
        """Of every point that is dominated by whom; the dense model is -1 and may be either."""
        zero = Estimate(0.0, 0.0, 0.0, self.n)
        places: list[tuple[int, Estimate | None, Estimate | None]] = [(-1, self.dense_place(axis), zero)]
        places += [(i, self.place(point, axis), self.quality(point)) for i, point in enumerate(self.points)]
        known = [(i, cost, drop) for i, cost, drop in places if cost is not None and drop is not None]
        margin = self.margin if axis == "milliseconds" else 0.0
        found: dict[int, Standing] = {}
        for i, cost, drop in known:
            better = [
                (not _apart(one, cost, margin, worse, drop), worse.value, j)
                for j, one, worse in known
                if one.value <= cost.value and worse.value <= drop.value
                if (one.value, worse.value) != (cost.value, drop.value)
            ]
            if better:
                unsure, _, j = min(better)
                found[i] = Standing(j, not unsure)
        return found

    def name(self, position: int) -> str:
        """`lamp at 57 %`, `dense`: how a point is called where it is short."""
        if position < 0:
            return DENSE
        point = self.points[position]
        return called(point.maker, point.budget)

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries and lists of plain values; with each point where it stands."""
        document = asdict(self)
        standings: dict[Axis, dict[int, Standing]] = {axis: self.standings(axis) for axis in AXES}
        for i, fields in enumerate(document["points"]):
            fields["dominated"] = {
                axis: {"by": self.name(found[i].by), "told_apart": found[i].told_apart}
                for axis, found in standings.items()
                if i in found
            }
        return document

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "FrontierReport":
        """Inverse of `to_json`; what a run keeps besides is left out."""
        rows: Sequence[dict[str, Any]] = fields["points"]
        points = [{key: value for key, value in row.items() if key != "dominated"} for row in rows]
        made = {
            "machine": Machine(**fields["machine"]),
            "scale": Scale.from_json(fields["scale"]),
            "metric": Estimate(**fields["metric"]) if fields["metric"] else None,
            "points": tuple(map(Point.from_json, points)),
        }
        return cls(**{**{name: fields[name] for name in cls.__dataclass_fields__ if name in fields}, **made})


def called(maker: str, budget: float) -> str:
    """`lamp at 57 %`: a plan by who made it for which budget."""
    return f"{maker} at {share_text(budget)}"


def _apart(cost: Estimate, than: Estimate, margin: float, drop: Estimate, than_drop: Estimate) -> bool:
    """Whether intervals show that one is better than another on both axes; a number without one is as good as equal."""
    exact = cost.low == cost.high and than.low == than.high and margin == 0
    cheaper = cost.value <= than.value if exact else cost.high * (1 + margin) < than.low * (1 - margin)
    return cheaper and drop.high < than_drop.low
