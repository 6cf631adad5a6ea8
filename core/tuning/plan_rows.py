"""The rows that a solver may cut: of each target a curve, and the levels it may take. No torch."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from core.plans.costs.steps import Ends, levels_on
from core.plans.plan import HEADS, Cut, SparsityPlan
from core.plans.prediction import HarmCurve, Predictor, key_of
from core.plans.units import CannotCutError, n_units_removed
from core.workload.description import Description
from core.workload.target import Granularity, Target

GRID = tuple(round(0.05 * step, 2) for step in range(1, 20))  # sparsities a row may take, as far as it was measured
ROUNDING = 1e-9
NO_ENDS: Ends = MappingProxyType({})
Place = tuple[Granularity, str]


@dataclass(frozen=True)
class PlanRow:
    """A target as the solver may cut it.

    Attributes:
        name: unique among rows, for rules.
        curve: of its cuts.
        sparsities: ascending, the first 0: not cut. 1 for what goes whole.
    """

    name: str
    curve: HarmCurve
    sparsities: tuple[float, ...]

    @property
    def goes_whole(self) -> bool:
        """Whether it is a head or a block, which goes or stays."""
        return self.curve.criterion is None

    def cut(self, level: int) -> Cut | None:
        """The line of a plan for a level; `None` for none."""
        sparsity = self.sparsities[level]
        if not sparsity:
            return None
        curve = self.curve
        return Cut(curve.target, curve.granularity, None if self.goes_whole else sparsity, curve.criterion, curve.align)

    @property
    def cuts(self) -> list[Cut | None]:
        """Of every level."""
        return [self.cut(level) for level in range(len(self.sparsities))]

    @property
    def harm(self) -> tuple[float, ...]:
        """Of every level."""
        return tuple(map(self.curve.at, self.sparsities))

    def current(self, plan: SparsityPlan) -> float:
        """The sparsity that a plan gives the target, however it is cut there."""
        place = self.curve.granularity, self.curve.target
        cut = next((cut for cut in plan.cuts if (cut.granularity, cut.target) == place), None)
        if cut is None:
            return 0.0
        return 1.0 if cut.sparsity is None else cut.sparsity


def row_name(target: Target) -> str:
    """`stem`, `channels of stem`, `attn:2`, `block layers.3`: a target among those of all granularities."""
    if target.granularity == "channel":
        return f"channels of {target.name}"
    return f"block {target.name}" if target.granularity == "block" else target.name


def plan_rows(
    predictor: Predictor,
    found: Description,
    plan: SparsityPlan,
    granularities: Collection[Granularity],
    criterion: str | None = None,
    ends: Ends = NO_ENDS,
) -> tuple[PlanRow, ...]:
    """The rows of a model that can be solved for, in network order.

    Of each target the curve on which the plan's own cut lies; else one of the criterion; else the first that was
    measured. One head of every attention has no level but "not cut", the one whose loss does most harm: an attention
    without heads cannot be made.

    Args:
        predictor: with curves.
        found: the model.
        plan: as it is; the sparsity that it has in a row is a level of its own.
        granularities: of the rows.
        criterion: preferred; `None` for none.
        ends: by coupled group the widths that may be left, as far as what was measured goes; others have the grid.
    """
    curves: dict[Place, list[HarmCurve]] = {}
    for curve in predictor.curves.values():
        curves.setdefault((curve.granularity, curve.target), []).append(curve)
    own = {(cut.granularity, cut.target): cut for cut in plan.cuts}
    spared = _spared(found, curves)
    rows = []
    for target in found.targets:
        place = (target.granularity, target.name)
        if target.granularity in granularities and place in curves:
            chosen = _chosen(curves[place], own.get(place), criterion)
            sparsities = (0.0,) if place in spared else _sparsities(target, chosen, own.get(place), ends)
            rows.append(PlanRow(row_name(target), chosen, sparsities))
    return tuple(rows)


def _spared(found: Description, curves: Mapping[Place, list[HarmCurve]]) -> set[Place]:
    """Of every attention the head, and the key/value group, whose loss does most harm; one nobody measured, if any."""
    worst: dict[tuple[str | None, Granularity], tuple[float, Place]] = {}
    for target in found.targets:
        if target.granularity in HEADS:
            place = (target.granularity, target.name)
            harm = curves[place][0].harm[-1] if place in curves else float("inf")
            of = (target.layer, target.granularity)
            if of not in worst or harm > worst[of][0]:
                worst[of] = harm, place
    return {place for _, place in worst.values()}


def _chosen(curves: list[HarmCurve], cut: Cut | None, criterion: str | None) -> HarmCurve:
    own = [curve for curve in curves if cut is not None and curve.key == key_of(cut)]
    return next(iter(own + [curve for curve in curves if curve.criterion == criterion] + curves))


def _sparsities(target: Target, curve: HarmCurve, cut: Cut | None, ends: Ends) -> tuple[float, ...]:
    """Levels within what was measured; of channels those that remove different numbers."""
    if curve.criterion is None:
        return (0.0, 1.0)
    now = () if cut is None or cut.sparsity is None or key_of(cut) != curve.key else (cut.sparsity,)
    last = curve.sparsities[-1]
    if target.granularity == "channel" and target.name in ends:
        steps = levels_on(target, ends[target.name], curve.align)
        return tuple(sorted({*now, *(one for one in steps if one <= last + ROUNDING)}))
    levels = sorted({0.0, last, *now, *(one for one in GRID if one <= last)})
    if target.granularity != "channel":
        return tuple(levels)
    kept: dict[int, float] = {}
    for level in levels:
        try:
            kept.setdefault(n_units_removed(target, level, curve.align), level)
        except CannotCutError:
            continue
    return tuple(sorted({0.0, *now, *kept.values()}))
