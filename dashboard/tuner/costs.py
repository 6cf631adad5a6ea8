"""Kinds of cost by which the tuner counts: what of each is left when one target alone is cut."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.plans.plan import SparsityPlan
from core.plans.totals import plan_totals
from core.workload.description import Description
from core.workload.target import Granularity

Line = tuple[tuple[float, ...], tuple[float, ...]]  # sparsities, and what is left at them


@dataclass(frozen=True)
class CostTable:
    """One kind of cost.

    Attributes:
        kind: its key.
        label: as read, e.g. `"non-zeros"`.
        unit: how its numbers read: `"count"`, `"FLOP"`, `"B"` or `"ms"`.
        dense: of the whole model, above 0.
        left: by granularity and name of a target, a line of what is left of this target; what is missing costs nothing.
    """

    kind: str
    label: str
    unit: str
    dense: float
    left: Mapping[tuple[Granularity, str], Line]


@dataclass(frozen=True)
class CostLeft:
    """What a whole plan leaves of one kind of cost, counted once where cuts meet."""

    kind: str
    left: float
    exact: bool


def cost_tables(found: Description) -> tuple[CostTable, ...]:
    """What can be counted from a description alone."""
    weights = sum(target.n_weights for target in found.weight_targets)
    lines = {(target.granularity, target.name): _to_nothing(target.n_weights) for target in found.targets}
    zeros = {key: line for key, line in lines.items() if key[0] != "block"}  # a skipped block has no zeros
    gone = {key: line for key, line in lines.items() if key[0] != "weight"}  # single weights only become zero
    tables = [CostTable("nonzeros", "non-zeros", "count", float(weights), zeros)]
    if gone:
        tables.append(CostTable("parameters", "parameters", "count", float(found.n_parameters), gone))
    return tuple(table for table in tables if table.dense > 0)


def costs_left(plan: SparsityPlan, found: Description) -> tuple[CostLeft, ...]:
    """The same kinds for a whole plan."""
    totals = plan_totals(plan, found)
    return (
        CostLeft("nonzeros", float(totals.n_weights - totals.n_removed), totals.exact),
        CostLeft(
            "parameters", float(found.n_parameters - totals.n_gone), totals.gone_exact and not totals.gone_at_least
        ),
    )


def cost_left(plan: SparsityPlan, found: Description, kind: str) -> float:
    """One kind for a whole plan."""
    return next(one.left for one in costs_left(plan, found) if one.kind == kind)


def _to_nothing(n: int) -> Line:
    return (0.0, 1.0), (float(n), 0.0)
