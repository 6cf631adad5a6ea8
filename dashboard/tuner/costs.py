"""Kinds of cost by which the tuner counts: of each row what is left at its levels, and what a whole plan leaves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.jobs.known.plan_words import cost_words
from core.plans.costs.left import Kind, plan_cost
from core.plans.costs.savings import SavedTime
from core.plans.costs.table import cost_table
from core.plans.plan import STRUCTURED, SparsityPlan
from core.workload.description import Description
from dashboard.tuner.rows import TunerRow

UNITS: dict[Kind, str] = {"nonzeros": "", "parameters": "", "flops": "FLOP", "bytes": "B", "milliseconds": "ms"}


@dataclass(frozen=True)
class CostKind:
    """One kind of cost of a model.

    Attributes:
        kind: as in `core.plans.costs.left`.
        label: as read.
        unit: how its numbers read; empty for counts.
        dense: of the whole model, above 0.
    """

    kind: Kind
    label: str
    unit: str
    dense: float


@dataclass(frozen=True)
class CostLeft:
    """What a whole plan leaves of one kind of cost, counted once where cuts meet."""

    kind: Kind
    left: float
    exact: bool


def cost_kinds(found: Description, saved: SavedTime | None = None) -> tuple[CostKind, ...]:
    """What can be counted of a model: parameters where something can be taken out, milliseconds where `saved` is known.

    Single weights only become zero, so without channels, heads or blocks the parameters never change.
    """
    structured = any(target.granularity in STRUCTURED for target in found.targets)
    known: list[Kind] = ["nonzeros"]
    known += ["parameters"] if structured else []
    known += ["flops"] if found.flops else []
    known += ["bytes"] if found.n_bytes and found.n_parameters else []
    known += ["milliseconds"] if saved is not None and structured else []
    dense = {kind: plan_cost(SparsityPlan(), found, kind, saved).value for kind in known}
    return tuple(CostKind(kind, _label(kind, saved), UNITS[kind], value) for kind, value in dense.items() if value > 0)


def _label(kind: Kind, saved: SavedTime | None) -> str:
    return cost_words(kind, saved.engine if kind == "milliseconds" and saved is not None else None)


def with_costs(
    rows: Sequence[TunerRow], kinds: Sequence[CostKind], found: Description, saved: SavedTime | None = None
) -> tuple[TunerRow, ...]:
    """The rows with what is left of each at its levels, each as if it were cut alone."""
    cuts = [[None if level == 0 else row.cut(min(level, 1 - 1e-9)) for level in row.levels] for row in rows]
    tables = {kind.kind: cost_table(cuts, found, kind.kind, saved).rows for kind in kinds}
    return tuple(replace(row, costs={kind: table[i] for kind, table in tables.items()}) for i, row in enumerate(rows))


def costs_left(
    plan: SparsityPlan, kinds: Sequence[CostKind], found: Description, saved: SavedTime | None = None
) -> tuple[CostLeft, ...]:
    """What a plan leaves of each kind."""
    costs = [(kind.kind, plan_cost(plan, found, kind.kind, saved)) for kind in kinds]
    return tuple(CostLeft(kind, cost.value, cost.exact) for kind, cost in costs)
