"""What the map inside a plan found, as plain values: what the dashboard draws and the command line prints. No torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from core.plans.costs.left import Kind
from core.plans.plan import Cut, SparsityPlan
from core.sensitivity.inside.request import TOP
from core.sensitivity.report import Estimate, Stage, State
from core.shown import Shown
from core.workload.scale import Scale


@dataclass(frozen=True)
class Moved:
    """A neighbour of a plan, beside the plan.

    Attributes:
        state: `"failed"`: see `reason`. `"no effect"`: every example scores as in the plan, and its loss is the same
            too.
        change: between plan and neighbour, paired on the same examples, in the metric's unit: what giving back gains,
            or what a step further loses. Above 0 the plan with less cut is better.
        drop: of the neighbour against the dense model.
        reason: of a failure or of no effect.
        stage: `"full"`: of all examples. `"open"`: of those so far, which `change.n` counts, with an interval that
            holds at every moment. `"decided"`: as open, and a race left it there.
        gains: of what a race decided, whether all examples would show the change to be above 0; `None` where it
            stopped because the interval was narrow enough, and where nothing stopped.
    """

    state: State = "waiting"
    change: Estimate | None = None
    drop: Estimate | None = None
    reason: str | None = None
    stage: Stage = "full"
    gains: bool | None = None

    @property
    def sign(self) -> int:
        """1: the change is surely above 0; -1: surely below; 0: these examples cannot tell."""
        if self.state != "measured" or self.change is None:
            return 0
        if self.gains or (self.gains is None and self.change.low > 0):
            return 1
        return -1 if self.change.high < 0 else 0

    @property
    def is_sure(self) -> bool:
        """Whether the change is surely not 0: its interval leaves that out, or a race decided so."""
        return self.sign != 0

    @property
    def is_partial(self) -> bool:
        """Whether it is of some of the examples only."""
        return self.state == "measured" and self.stage != "full"

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Moved":
        """Inverse of `dataclasses.asdict`; maps of older builds are of all examples."""
        change, drop = _estimate(fields["change"]), _estimate(fields["drop"])
        stage = fields.get("stage", "full")
        return cls(fields["state"], change, drop, fields["reason"], stage, fields.get("gains"))


@dataclass(frozen=True)
class RowWorth:
    """A row of a plan, and what it is worth inside it.

    Attributes:
        cut: the row.
        back: the plan without it; its `change` is what giving the row back gains.
        costs: what comes back with it of each cost, as fractions of the dense model's.
        step: the row a step further; `None` where there is none.
        further: the plan with that; its `change` is what the step loses.
        saves: what the step saves of each cost.
    """

    cut: Cut
    back: Moved = field(default_factory=Moved)
    costs: Mapping[Kind, float] = field(default_factory=dict)
    step: Cut | None = None
    further: Moved | None = None
    saves: Mapping[Kind, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "RowWorth":
        """Inverse of `to_json`."""
        return cls(
            Cut(**fields["cut"]),
            Moved.from_json(fields["back"]),
            fields["costs"],
            Cut(**fields["step"]) if fields["step"] else None,
            Moved.from_json(fields["further"]) if fields["further"] else None,
            fields["saves"],
        )


@dataclass(frozen=True)
class Together:
    """The first rows of the map, given back at once.

    Attributes:
        rows: in the order of the map.
        back: the plan without them.
        costs: what comes back with them.
        flattered: by how much that gain is likely too high, because the rows were chosen on the examples that it was
            measured on, in the metric's unit; `None` where nobody knows.
    """

    rows: tuple[Cut, ...]
    back: Moved
    costs: Mapping[Kind, float]
    flattered: float | None = None

    @property
    def gain(self) -> Estimate | None:
        """What giving the rows back gains, with what is flattered taken off."""
        change, off = self.back.change, self.flattered or 0.0
        return None if change is None else Estimate(change.value - off, change.low - off, change.high - off, change.n)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Together":
        """Inverse of `dataclasses.asdict`."""
        rows = tuple(Cut(**cut) for cut in fields["rows"])
        return cls(rows, Moved.from_json(fields["back"]), fields["costs"], fields.get("flattered"))


@dataclass(frozen=True)
class Distance:
    """How far an output is from the dense model's, over all its numbers.

    Attributes:
        cosine: similarity, in [-1, 1]; `None` where one of the two is all zeros.
        error: length of the difference over the length of the dense output; `None` where that is all zeros.
    """

    cosine: float | None
    error: float | None


@dataclass(frozen=True)
class PlaceDamage:
    """What a plan does to the output of one layer or block.

    Attributes:
        name: path of the module.
        kind: `"layer"` or `"block"`.
        alone: only the rows inside it cut; `None` where the plan cuts nothing there.
        whole: all of the plan cut.
    """

    name: str
    kind: str
    alone: Distance | None
    whole: Distance

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "PlaceDamage":
        """Inverse of `dataclasses.asdict`."""
        alone = Distance(**fields["alone"]) if fields["alone"] else None
        return cls(fields["name"], fields["kind"], alone, Distance(**fields["whole"]))


@dataclass(frozen=True)
class UndoReport(Shown):
    """The map inside a plan, finished or not.

    Attributes:
        run, workload: as in `SensitivityReport`.
        scale: of the metric.
        plan: whose rows these are.
        cost: that the order of the rows goes by.
        dense: the dense model's metric; `None` before it is measured.
        drop: of the plan against the dense model, on the same examples as all else; `None` before it is measured.
        unseen: whether these examples were looked at by nothing that may have chosen the plan: sweeps, measured pairs,
            anchors, searches, refining, recovery's judge, maps inside a plan of which this one is a part.
        rows: in the order of the plan's lines.
        together: the first rows of the map given back at once, two of them and then more; empty before the end.
        damage: of layers and blocks, in network order; empty if nobody asked.
        damage_n: examples behind that.
        n: examples in all; 0 in maps of older builds.
    """

    run: str
    workload: str
    scale: Scale
    plan: SparsityPlan
    cost: Kind
    dense: Estimate | None
    drop: Estimate | None
    unseen: bool
    rows: tuple[RowWorth, ...]
    together: tuple[Together, ...] = ()
    damage: tuple[PlaceDamage, ...] = ()
    damage_n: int = 0
    n: int = 0

    def ordered(self) -> tuple[RowWorth, ...]:
        """Rows by what they give back per cost: those first whose interval leaves out 0, those without effect last."""
        return ordered(self.rows, self.cost)

    def without(self, rows: Sequence[Cut]) -> SparsityPlan:
        """The plan without some of its rows."""
        return replace(self.plan, cuts=tuple(cut for cut in self.plan.cuts if cut not in rows))

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries and lists of plain values; the rows in the order of the map."""
        return {
            "run": self.run,
            "workload": self.workload,
            "metric": asdict(self.scale),
            "plan": self.plan.to_document(),
            "cost": self.cost,
            "dense": asdict(self.dense) if self.dense else None,
            "drop": asdict(self.drop) if self.drop else None,
            "unseen": self.unseen,
            "rows": [row.to_json() for row in self.ordered()],
            "together": [asdict(one) for one in self.together],
            "damage": [asdict(one) for one in self.damage],
            "damage_n": self.damage_n,
            "n": self.n,
        }


def ordered(rows: Sequence[RowWorth], cost: Kind) -> tuple[RowWorth, ...]:
    """Rows by what they give back per cost, of which one that comes back for nothing is the first.

    Those come first whose gain is above 0 with all of its interval: of a row that brings next to nothing back, luck
    makes the largest ratio.
    """

    def key(row: RowWorth) -> tuple[int, float]:
        change = row.back.change
        if change is None or row.back.state != "measured":
            return (3 if row.back.state == "no effect" else 4), 0.0
        share = row.costs.get(cost, 0.0)
        ratio = change.value / share if share > 0 else math.copysign(math.inf, change.value) if change.value else 0.0
        return 1 - row.back.sign, -ratio

    return tuple(sorted(rows, key=key))


def first_rows(rows: Sequence[RowWorth], cost: Kind) -> tuple[tuple[Cut, ...], ...]:
    """The first two rows of the map, the first three, …: those whose gain is above 0 with all of its interval."""
    sure = [row.cut for row in ordered(rows, cost) if row.back.sign > 0]
    return tuple(tuple(sure[:n]) for n in range(2, min(TOP, len(sure)) + 1))


def _estimate(fields: Mapping[str, Any] | None) -> Estimate | None:
    return Estimate(**fields) if fields else None
