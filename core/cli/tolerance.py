"""Drops on the command line: in points of a fraction, else in the metric's unit, as they are shown."""

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

import click

from core.cli.command import Renamed, say
from core.cli.options import F

if TYPE_CHECKING:
    from core.jobs.runs import RunStore

UNIT = "points of a fraction (1 is one point), else the metric's unit"


class PointsType(click.ParamType[Any]):
    """A finite number of at least 0."""

    name = "points"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Click's hook."""
        try:
            points = float(value)
        except ValueError:
            points = inf
        if not 0 <= points < inf:
            self.fail(f"expected a drop of at least 0 in {UNIT}; got {value!r}", param, ctx)
        return points


def within_option(text: str, **settings: Any) -> Callable[[F], F]:
    """`--within POINTS`, the drop that is accepted; `--tolerance`, which was in the same unit, is its old spelling."""
    return click.option(
        "--within",
        cls=Renamed,
        old=("--tolerance",),
        type=PointsType(),
        metavar="POINTS",
        help=f"{text}: {UNIT}.",
        **settings,
    )


def points_option(name: str, text: str) -> Callable[[F], F]:
    """A drop, or a difference of drops, in points of a fraction, else in the metric's unit; `{unit}` says so."""
    return click.option(name, type=PointsType(), metavar="POINTS", help=text.format(unit=UNIT))


def drop_option(name: str, text: str, old: str) -> Callable[[F], F]:
    """A drop in points as `name`, and under the `old` name, hidden, the same in the metric's own unit.

    Another name for another unit: 0.01 under the old one is a point of a fraction, as it was, and never a hundredth.
    """
    points = points_option(name, text)
    own_unit = click.option(
        old, type=float, hidden=True, help=f"As {name}, in the metric's own unit: 0.01 of a fraction is one point."
    )
    return lambda function: points(own_unit(function))


def in_metric_unit(store: "RunStore", model: str, points: float) -> float:
    """A drop in points of a fraction, else in the metric's unit; reads a model that was never looked at."""
    from core.workload.loading import canonical_ref, load_workload

    ref = canonical_ref(model)
    described = store.description(ref)
    scale = described[0].scale if described is not None else load_workload(ref).metric.scale
    return points / float(scale.factor)


def asked_drop(
    store: "RunStore", model: str, name: str, points: float | None, old: str, own_unit: float | None
) -> float | None:
    """The drop that a `drop_option` names, in the metric's unit; `None` if it names none."""
    if own_unit is not None:
        if points is not None:
            raise click.UsageError(f"{name} and {old} say the same; give {name} alone")
        say(
            f"{old} {own_unit:g} is in the metric's own unit; now {name} says it in points: {name} {100 * own_unit:g} "
            f"of a fraction, {name} {own_unit:g} of any other metric"
        )
        return own_unit
    return None if points is None else in_metric_unit(store, model, points)
