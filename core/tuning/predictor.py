"""Making a predictor of the cells that a sweep measured, and of plans that were measured since."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from core.plans.plan import Cut, SparsityPlan
from core.plans.prediction import (
    CAUTION,
    Family,
    HarmCurve,
    Key,
    Known,
    Link,
    Predictor,
    Space,
    family_of,
    key_of,
    shares_of,
)
from core.sensitivity.report import SETTLED, CellResult, Estimate
from core.tuning.harm import Seen, harms
from core.tuning.link_fit import Joint, LinkFit, fit_link
from core.tuning.smooth import Point, smoothed, usual_power
from core.tuning.spaces import metric_at, position, slope, space_of
from core.workload.scale import Scale

KNOTS = 64  # of the link
LEAST_HARM = 1e-3  # as a part of the worst: the first knot above 0
FAR = 6.0  # times the worst: beyond, a prediction is a guess, if no plan that does so much harm was measured
NORMAL_95 = 3.92  # width of a 95 % interval in standard errors
MOST_STEPS, LEAST_IN_STEP = 10, 8  # of the noise by harm: steps, and cells in each
ENOUGH_PLANS = 3  # of a family, from which on its curve hangs on them and not on the cells
Errors = Callable[[float], float]


@dataclass(frozen=True)
class MeasuredJoint:
    """A plan with what measuring it gave.

    Attributes:
        plan: as it was measured, masked or shrunk.
        dense, metric, drop: on the same examples.
    """

    plan: SparsityPlan
    dense: Estimate
    metric: Estimate
    drop: Estimate


def make_predictor(
    cells: Iterable[CellResult],
    scale: Scale,
    dense: Estimate,
    measured: Sequence[MeasuredJoint] = (),
    repair: str | None = None,
) -> Predictor | None:
    """What cells and plans together say about plans that nobody measured.

    Args:
        cells: of one model on the same examples, any targets; only those that say something count.
        scale: of the metric.
        dense: the dense model's metric on these examples.
        measured: plans of the same model; those that cut something of which no curve is known count nothing.
        repair: that all of them were measured with.

    Returns:
        `None` where no cell has been measured.
    """
    space = space_of(scale)
    cells = [cell for cell in cells if cell.state in ("measured", "no effect") and cell.metric is not None]
    curves = _curves(cells, scale, space, dense)
    if not curves or all(cell.state == "no effect" for cell in cells):  # which says nothing of robustness
        return None
    worst = max(curve.harm[-1] for curve in curves.values())
    seen = [found for plan in measured if (found := _seen_joint(plan, curves, scale, space)) is not None]
    worst = max([worst, *(joint.joint for joint, _ in seen), 1e-6])
    errors = _errors(cells, [joint for joint, _ in seen], scale, space, dense)
    every = sum(curve.harm[-1] for curve in curves.values())
    most = max([1.5 * worst, min(every, FAR * worst), *(1.5 * joint.total for joint, _ in seen)])
    totals = (0.0, *np.geomspace(worst * LEAST_HARM, most, KNOTS - 1).tolist())
    # log-odds and logarithms mean the same for every model; what is believed beforehand of others needs a unit
    unit = worst if space == "metric" else 1.0
    floor = _cell_error(cells, scale, space, dense)

    def link(joints: Sequence[Joint]) -> Link:
        # once plans tell the curve, it is as noisy as they are, and they may have been measured on more examples
        n_plan = statistics.median([joint.n for joint in joints]) if len(joints) >= ENOUGH_PLANS else dense.n
        surer = math.sqrt(min(dense.n / n_plan, 1.0))
        fit = _fitted(joints, totals, worst, unit, lambda harm: surer * errors(harm))
        return _link(fit, scale, space, dense.value)

    families = sorted({family_of(curve.granularity) for curve in curves.values()})
    told = {
        family: [replace(joint, share=shares[family]) for joint, shares in seen if shares.get(family, 0) > 0]
        for family in families
    }
    links = {family: link(joints) for family, joints in told.items()}
    return Predictor(
        scale,
        dense.value,
        dense.n,
        space,
        curves,
        links[families[0]] if len(families) == 1 else link([joint for joint, _ in seen]),
        len(seen),
        links,
        _alone(totals, floor, errors, scale, space, dense.value),
        _known(cells, measured),
        tuple(family for family in families if told[family]),
        repair,
    )


def _known(cells: Sequence[CellResult], measured: Sequence[MeasuredJoint]) -> dict[tuple[Cut, ...], Known]:
    """Plans that were measured; of a cell that a search left early nobody knows more than that it is far off, and of
    one that was forecast the curve is told, no measurement."""
    plans: list[tuple[tuple[Cut, ...], Estimate | None, Estimate | None]] = [
        ((cell.cut,), cell.metric, cell.drop)
        for cell in cells
        if cell.stage in SETTLED and cell.stage != "forecast" and cell.cut.sparsity != 0
    ]
    plans += [(one.plan.cuts, one.metric, one.drop) for one in measured]
    return {
        cuts: Known(cuts, metric.value, metric.low, metric.high, drop.value, drop.low, drop.high, drop.n)
        for cuts, metric, drop in plans
        if metric is not None and drop is not None
    }


def _alone(totals: Sequence[float], floor: float, errors: Errors, scale: Scale, space: Space, dense: float) -> Link:
    """What one cut does alone: its harm, as well as that is known."""
    reach = [math.hypot(floor, errors(total)) for total in totals]
    fit = LinkFit(
        tuple(totals),
        tuple(totals),
        tuple(total - NORMAL_95 / 2 * error for total, error in zip(totals, reach, strict=True)),
        tuple(total + NORMAL_95 / 2 * error for total, error in zip(totals, reach, strict=True)),
        tuple(total + float(ndtri(CAUTION)) * error for total, error in zip(totals, reach, strict=True)),
    )
    return _link(fit, scale, space, dense)


def _errors(
    cells: Sequence[CellResult], joints: Sequence[Joint], scale: Scale, space: Space, dense: Estimate
) -> Errors:
    """Standard error with which a harm is measured, by how large it is: of cuts that do about as much.

    Of an accuracy it grows with the harm, for more examples change sides.
    """
    of_cells = [_seen(cell, scale, space, dense.value) for cell in cells if cell.state == "measured"]
    points = sorted(
        [(max(one.harm, 0.0), one.error) for one in of_cells if math.isfinite(one.harm) and math.isfinite(one.error)]
        + [(max(one.joint, 0.0), one.error) for one in joints if math.isfinite(one.error)]
    )
    if not points:
        return lambda harm: 0.0
    parts = np.array_split(np.array(points), max(1, min(MOST_STEPS, len(points) // LEAST_IN_STEP)))
    xs = [float(np.median(part[:, 0])) for part in parts]
    ys = [float(np.sqrt(np.mean(part[:, 1] ** 2))) for part in parts]
    return lambda harm: float(np.interp(harm, xs, ys))


def _curves(cells: Sequence[CellResult], scale: Scale, space: Space, dense: Estimate) -> dict[Key, HarmCurve]:
    points: dict[Key, dict[float, tuple[bool, Point]]] = {}
    for cell, (harm, error) in zip(
        cells, harms([_seen(cell, scale, space, dense.value) for cell in cells]), strict=True
    ):
        at = 1.0 if cell.cut.sparsity is None else cell.cut.sparsity
        points.setdefault(key_of(cell.cut), {})[at] = cell.stage in SETTLED, Point(at, harm, error)
    chosen: dict[Key, list[Point]] = {}
    for key, found in points.items():
        settled = max((at for at, (is_settled, _) in found.items() if is_settled), default=0.0)
        chosen[key] = [point for at, (is_settled, point) in sorted(found.items()) if is_settled or at > settled]
    powers = {
        kind: usual_power([c for key, c in chosen.items() if key[0] == kind]) for kind in {key[0] for key in chosen}
    }
    curves = {}
    for key, curve in chosen.items():
        granularity, target, criterion, align = key
        # a head goes whole or not at all, and many a head helps by going: nothing to draw a power through
        harm_of = smoothed(curve, powers[granularity]) if len(curve) > 1 else [point.harm for point in curve]
        xs = (0.0, *(point.sparsity for point in curve))
        rising = _rising(np.array([0.0, *harm_of]))
        curves[key] = HarmCurve(target, granularity, criterion, align, xs, tuple(rising.tolist()))
    return curves


def _seen(cell: CellResult, scale: Scale, space: Space, dense: float) -> Seen:
    """What a cell says of its harm."""
    if cell.state == "no effect" or cell.drop is None:
        return Seen(0.0, 0.0)
    # from the paired drop, for a search measures cells on other examples than the dense model as a whole
    moved = _within(scale, dense - cell.drop.value if scale.higher_is_better else dense + cell.drop.value)
    harm = position(scale, space, moved) - position(scale, space, dense)
    error = (cell.drop.high - cell.drop.low) / NORMAL_95 * slope(scale, space, moved)
    if cell.loss is None:
        return Seen(harm, error)
    return Seen(harm, error, cell.loss.value, (cell.loss.high - cell.loss.low) / NORMAL_95)


def _rising(harm: np.ndarray) -> np.ndarray:
    """The nearest curve from 0 that never falls, by pooling neighbours that do (isotonic regression).

    More cut is not less harm; where it was measured so it is noise, or luck that another plan will not have.
    """
    blocks: list[tuple[float, int]] = []
    for value in harm.tolist():
        mean, n = value, 1
        while blocks and blocks[-1][0] > mean:
            before, m = blocks.pop()
            mean, n = (before * m + mean * n) / (m + n), m + n
        blocks.append((mean, n))
    pooled = np.concatenate([np.full(n, mean) for mean, n in blocks])
    pooled = np.maximum(pooled, 0.0)
    pooled[0] = 0.0
    return pooled


def _seen_joint(
    measured: MeasuredJoint, curves: Mapping[Key, HarmCurve], scale: Scale, space: Space
) -> tuple[Joint, dict[Family | None, float]] | None:
    """A measured plan of several cuts, and what share of it each family has; `None` for what corrects nothing."""
    harms = []
    for cut in measured.plan.cuts:
        curve = curves.get(key_of(cut))
        if curve is None:
            return None
        harms.append((family_of(cut.granularity), curve.at(1.0 if cut.sparsity is None else cut.sparsity)))
    shares = shares_of(harms)
    at = position(scale, space, measured.metric.value) - position(scale, space, measured.dense.value)
    error = (measured.drop.high - measured.drop.low) / NORMAL_95 * slope(scale, space, measured.metric.value)
    total, alone = sum(harm for _, harm in harms), shares[None]
    if not math.isfinite(at) or alone >= 1:
        return None
    of_family = {family: share / (1 - alone) for family, share in shares.items() if family is not None}
    return Joint(total, at, error, 1.0, alone, measured.drop.n), of_family  # type: ignore[return-value]


def _cell_error(cells: Sequence[CellResult], scale: Scale, space: Space, dense: Estimate) -> float:
    """Standard error of the harm of a cut that does little: of a quarter of the cells it is smaller."""
    widths = [cell.drop.high - cell.drop.low for cell in cells if cell.drop is not None and cell.state == "measured"]
    if not widths:
        return 0.0
    return sorted(widths)[len(widths) // 4] / NORMAL_95 * slope(scale, space, dense.value)


def _fitted(joints: Sequence[Joint], totals: Sequence[float], worst: float, unit: float, errors: Errors) -> LinkFit:
    """`fit_link` in another unit of harm."""
    plans = [replace(one, total=one.total / unit, joint=one.joint / unit, error=one.error / unit) for one in joints]
    fit = fit_link(
        plans,
        [total / unit for total in totals],
        worst / unit,
        noise=lambda harm: errors(harm * unit) / unit,
    )
    back = [tuple(value * unit for value in column) for column in (fit.joint, fit.low, fit.high, fit.bound)]
    return LinkFit(tuple(totals), *back)


def _link(fit: LinkFit, scale: Scale, space: Space, dense: float) -> Link:
    home = position(scale, space, dense)

    def metrics(harm: Sequence[float]) -> tuple[float, ...]:
        return tuple(metric_at(scale, space, home + value) for value in harm)

    ends = metrics(fit.low), metrics(fit.high)
    low, high = ends if not scale.higher_is_better else (ends[1], ends[0])
    return Link(fit.total, metrics(fit.joint), low, high, metrics(fit.bound))


def _within(scale: Scale, metric: float) -> float:
    metric = metric if scale.low is None else max(metric, scale.low)
    return metric if scale.high is None else min(metric, scale.high)
