"""Milliseconds against width, as plain values. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.plans.costs.stairs import EngineTime, Stair, Step, engine_time, met
from core.profiling.report import Machine
from core.sensitivity.report import Estimate
from core.shown import Shown
from core.workload.description import Description


@dataclass(frozen=True)
class Width:
    """A model of which one target was narrowed by surgery, and nothing else.

    Attributes:
        target: a coupled group's name, or an attention's path.
        granularity: `"channel"` or `"head"`.
        n: channels or heads of the dense model.
        width: that are left, in [1, n).
        ratio: its time / the dense model's of the same turns, with its 95 % interval; `None` where it was not timed.
        reason: why it was not.
    """

    target: str
    granularity: str
    n: int
    width: int
    ratio: Estimate | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Whole:
    """A plan that narrows many targets at once, timed to see how far off a prediction of it is.

    Attributes:
        channels, heads: width of each target that it narrows.
        ratio: its time / the dense model's of the same turns.
    """

    channels: Mapping[str, int]
    heads: Mapping[str, int]
    ratio: Estimate


@dataclass(frozen=True)
class EngineStairs:
    """What one engine makes of all widths.

    Attributes:
        engine: its name.
        version: of it; `None` where it is not installed.
        reason: why nothing was measured; `None` if something was.
        seconds: of a forward pass of the dense model, the median over the handfuls of their medians.
        widths: in network order, each target's ascending.
        wholes: plans that were timed as a whole.
        finished: whether every width was tried.
    """

    engine: str
    version: str | None
    reason: str | None = None
    seconds: float | None = None
    widths: tuple[Width, ...] = ()
    wholes: tuple[Whole, ...] = ()
    finished: bool = False

    def stairs(self) -> tuple[dict[str, Stair], dict[str, Stair]]:
        """Of coupled groups and of attentions, those of which a width was timed."""
        found: tuple[dict[str, Stair], dict[str, Stair]] = ({}, {})
        names = dict.fromkeys((width.granularity, width.target) for width in self.widths if width.ratio)
        for granularity, name in names:
            own = [w for w in self.widths if (w.granularity, w.target) == (granularity, name) and w.ratio]
            steps = (Step(w.width, w.ratio.value, w.ratio.low, w.ratio.high) for w in own if w.ratio)
            found[granularity == "head"][name] = Stair(own[0].n, tuple(sorted(steps, key=lambda step: step.width)))
        return found

    def time(self, found: Description) -> EngineTime | None:
        """What predicts plans of this model in the engine; `None` where no width was timed."""
        channels, heads = self.stairs()
        if self.seconds is None or not (channels or heads):
            return None
        made = engine_time(self.engine, self.seconds, channels, heads, found)
        return met(made, [(one.channels, one.heads, one.ratio.value) for one in self.wholes])

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "EngineStairs":
        """Inverse of `dataclasses.asdict` after a trip through JSON."""
        widths = (Width(**{**one, "ratio": _estimate(one["ratio"])}) for one in fields["widths"])
        wholes = (Whole(**{**one, "ratio": Estimate(**one["ratio"])}) for one in fields["wholes"])
        return cls(**{**fields, "widths": tuple(widths), "wholes": tuple(wholes)})


@dataclass(frozen=True)
class StairsReport(Shown):
    """Everything that was measured so far.

    Attributes:
        workload: name or path.
        machine: where it was measured.
        threads, batch: of every model.
        engines: in the order that was asked for, as far as they were begun.
    """

    workload: str
    machine: Machine
    threads: int
    batch: int
    engines: tuple[EngineStairs, ...]

    def of(self, engine: str) -> EngineStairs | None:
        """What was measured in an engine; `None` if nothing yet."""
        return next((one for one in self.engines if one.engine == engine), None)

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries and lists of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "StairsReport":
        """Inverse of `to_json`."""
        engines: Sequence[dict[str, Any]] = fields["engines"]
        return cls(
            fields["workload"], Machine(**fields["machine"]), fields["threads"], fields["batch"],
            tuple(EngineStairs.from_json(one) for one in engines),
        )  # fmt: skip


def _estimate(fields: Mapping[str, Any] | None) -> Estimate | None:
    return Estimate(**fields) if fields else None
