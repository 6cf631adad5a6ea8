"""What the tuner's list holds, a row per target: made from the description, the predictor, the costs and the plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from core.plans import cut_words
from core.plans.patterns import is_pattern
from core.plans.plan import DEFAULT_CRITERION, FRACTIONAL, WHOLE, Cut, SparsityPlan
from core.plans.prediction import HarmCurve, Predictor, on_line
from core.workload.description import Description
from core.workload.target import Granularity, Target

Measured = Mapping[tuple[Granularity, str, int], Sequence[HarmCurve]]  # by granularity, target, alignment
# levels of a target that nobody measured: only a line for its costs, with sparsities at which most groups can be cut
UNMEASURED = {"weight": (0.0, 0.5, 0.95), "channel": (0.0, 0.5)}


@dataclass(frozen=True)
class Hold:
    """What a person demands of one row.

    Attributes:
        locked: no goal moves it.
        least, most: sparsities between which a goal may move it, in [0, 1].
    """

    locked: bool = False
    least: float = 0.0
    most: float = 1.0


@dataclass(frozen=True)
class FixedCut:
    """A cut in a pattern of a target that has a row: it stays or is taken out, no slider moves it.

    Attributes:
        key: of the cut.
        text: what goes, as `"2:4"`.
        harm: in the predictor's space; `None` where it was not measured.
    """

    key: str
    text: str
    harm: float | None


@dataclass(frozen=True)
class TunerRow:
    """One target.

    Attributes:
        target: what is cut.
        criterion, align: of its cut.
        levels: sparsities from 0 up, at least two; of what goes whole 0 and 1.
        harm: at the levels, in the predictor's space; `None` where it was not measured.
        sparsity: in the plan; of what goes whole 1 if it goes, else 0.
        hold: lock and bounds.
        limit: the largest sparsity that alone stays within the tolerance; `None` where none is known.
        patterns: cuts in patterns of the same weight.
        costs: by kind of cost, what is left at the levels, a line between them; see `dashboard.tuner.costs`.
    """

    target: Target
    criterion: str | None
    align: int
    levels: tuple[float, ...]
    harm: tuple[float, ...] | None
    sparsity: float
    hold: Hold = Hold()
    limit: float | None = None
    patterns: tuple[FixedCut, ...] = ()
    costs: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Unique among the rows of a model, the same after a reload."""
        return key_text(self.target.granularity, self.target.name)

    @property
    def whole(self) -> bool:
        """Whether it goes as one or stays."""
        return self.target.granularity in WHOLE

    def cut(self, sparsity: float | None = None) -> Cut:
        """The line of a plan that this row stands for; of what goes whole `sparsity` is left out."""
        return Cut(
            self.target.name, self.target.granularity, None if self.whole else sparsity, self.criterion, self.align
        )

    def saved(self, kind: str) -> float:
        """What its sparsity saves of a kind of cost, cut alone."""
        return self.costs[kind][0] - on_line(self.levels, self.costs[kind], self.sparsity)

    def choices(self) -> list[int]:
        """Positions of the levels that a goal may choose, within the bounds; none if locked or never measured."""
        if self.hold.locked or self.harm is None:
            return []
        low, high = self.hold.least - 1e-9, self.hold.most + 1e-9
        return [i for i, level in enumerate(self.levels) if low <= level <= high]


def key_text(granularity: Granularity, target: str) -> str:
    """Key of a row or of a fixed cut."""
    return f"{granularity} {target}"


def tuner_rows(
    found: Description,
    plan: SparsityPlan,
    predictor: Predictor | None = None,
    holds: Mapping[str, Hold] | None = None,
    limits: Mapping[tuple[str, str], float] | None = None,
    align: int = 1,
) -> tuple[TunerRow, ...]:
    """A row for every target, in the description's order: weights, groups of channels, then what goes whole.

    Args:
        found: the model.
        plan: what is cut; its lines of other models are passed over.
        predictor: what single cuts cost; without one no row has harm.
        holds: locks and bounds by row.
        limits: the most within the tolerance, by granularity and name.
        align: of groups of channels that the plan does not name.
    """
    named = {(cut.granularity, cut.target): cut for cut in plan.cuts}
    patterns, measured = _patterns(plan, predictor), _measured(predictor)
    rows = []
    for kind in (*FRACTIONAL, *WHOLE):
        for target in (target for target in found.targets if target.granularity == kind):
            row = _row(target, named.get((kind, target.name)), measured, align)
            rows.append(
                replace(
                    row,
                    hold=(holds or {}).get(row.key, Hold()),
                    limit=(limits or {}).get((kind, target.name)),
                    patterns=patterns.get(target.name, ()) if kind == "weight" else (),
                )
            )
    return tuple(rows)


def _patterns(plan: SparsityPlan, predictor: Predictor | None) -> dict[str, tuple[FixedCut, ...]]:
    """Cuts in patterns by the weight that they are of."""
    found: dict[str, tuple[FixedCut, ...]] = {}
    for cut in plan.cuts:
        if is_pattern(cut.granularity):
            harm = predictor.harm_of(cut) if predictor else None
            fixed = FixedCut(key_text(cut.granularity, cut.target), cut_words.removed_text(cut), harm)
            found[cut.target] = (*found.get(cut.target, ()), fixed)
    return found


def _row(target: Target, cut: Cut | None, measured: Measured, align: int) -> TunerRow:
    whole = target.granularity in WHOLE
    align = cut.align if cut else align if target.granularity == "channel" else 1
    curves = measured.get((target.granularity, target.name, align), [])
    usual = curves[0].criterion if curves else DEFAULT_CRITERION
    criterion = None if whole else cut.criterion if cut else usual
    curve = next((curve for curve in curves if curve.criterion == criterion), None)
    levels = curve.sparsities if curve else UNMEASURED.get(target.granularity, (0.0, 1.0))
    sparsity = 0.0 if cut is None else 1.0 if cut.sparsity is None else cut.sparsity
    return TunerRow(target, criterion, align, levels, curve.harm if curve else None, sparsity)


def _measured(predictor: Predictor | None) -> Measured:
    """What was measured of each target and alignment, the usual criterion first."""
    found: dict[tuple[Granularity, str, int], list[HarmCurve]] = {}
    for curve in predictor.curves.values() if predictor else ():
        found.setdefault((curve.granularity, curve.target, curve.align), []).append(curve)
    return {
        key: sorted(curves, key=lambda curve: curve.criterion != DEFAULT_CRITERION) for key, curves in found.items()
    }
