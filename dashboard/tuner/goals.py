"""A goal solved exactly: which of its levels each row that may move takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

from core import wording
from core.errors import SecateurError
from core.plans.costs import Kind
from core.plans.plan import SparsityPlan
from core.plans.prediction import Predictor, harm_within
from core.plans.solver import Row, Solution, least_cost
from core.tuning.budget import least_harm_within
from dashboard.tuner.costs import CostKind
from dashboard.tuner.data import summed
from dashboard.tuner.edits import Goal, apply_changes
from dashboard.tuner.rows import TunerRow


@dataclass(frozen=True)
class Answer:
    """What a goal makes of the rows.

    Attributes:
        changes: sparsity by key of each row that may move.
        note: what a person should know of it.
    """

    changes: Mapping[str, float]
    note: str


def solved(
    goal: Goal,
    rows: Sequence[TunerRow],
    plan: SparsityPlan,
    kinds: Sequence[CostKind],
    predictor: Predictor,
    count: Callable[[SparsityPlan, Kind], float],
) -> Answer:
    """The plan of least predicted harm within a cost, or of least cost within a tolerance.

    Rows that are locked or were not measured stay as they are, and count. Costs of the rows are taken to add up, up to
    what they are off for `plan`, as the tuner does while the goal moves. Where channels, heads and layers meet, they do
    not: then the limit is moved until what `count` says of the whole plan is within, see `core.tuning.budget`.

    Args:
        goal: wanted.
        rows: made of `plan`, with locks and bounds.
        plan: as it is.
        kinds: of cost.
        predictor: with which the rows were made.
        count: what a plan leaves of a kind of cost, each thing once.

    Raises:
        SecateurError: no such kind of cost.
    """
    kind = goal.cost if goal.kind == "tolerance" else goal.kind
    cost = next((cost for cost in kinds if cost.kind == kind), None)
    if cost is None:
        raise SecateurError(f"there is no cost {kind!r} here; choose one of {', '.join(cost.kind for cost in kinds)}")
    free = [row for row in rows if row.choices()]
    if not free:
        return Answer(
            {}, "Nothing can move: every row is locked, bounded away from what was measured, or not measured."
        )
    choices = [row.choices() for row in free]
    given = [
        Row(row.target.name, tuple((row.harm or ())[i] for i in at), tuple(row.costs[kind][i] for i in at))
        for row, at in zip(free, choices, strict=True)
    ]

    def changed(levels: Sequence[int]) -> dict[str, float]:
        return {row.key: row.levels[at[level]] for row, at, level in zip(free, choices, levels, strict=True)}

    if goal.kind == "tolerance":
        found = least_cost(given, harm_within(predictor, goal.value) - _harm_of_others(plan, free, predictor))
    else:
        wanted = goal.value * cost.dense
        found = least_harm_within(
            given, wanted, wanted - _cost_of_others(rows, free, cost, count(plan, cost.kind)), cost.dense,
            lambda levels: count(apply_changes(plan, rows, changed(levels)), cost.kind),
        )  # fmt: skip
    return Answer(changed(found.levels), _note(goal, cost, found))


def _note(goal: Goal, cost: CostKind, found: Solution) -> str:
    if not found.feasible:
        what = "tolerance" if goal.kind == "tolerance" else f"{wording.share_text(goal.value)} of the {cost.label}"
        return f"No plan of these rows reaches {what}: this is the nearest. Unlock rows, or widen their bounds."
    return "solved exactly" if found.proven else "solved; the time was up before it was proven to be the best"


def _cost_of_others(rows: Sequence[TunerRow], free: Sequence[TunerRow], cost: CostKind, left: float) -> float:
    """What the whole model costs beyond what the free rows have in their tables, if `left` is what it costs now."""
    moving = {row.key for row in free}
    saved = fsum(row.saved(cost.kind) for row in rows if row.key not in moving)
    shift = left - summed(cost, rows)
    return cost.dense - fsum(row.costs[cost.kind][0] for row in free) - saved + shift


def _harm_of_others(plan: SparsityPlan, free: Sequence[TunerRow], predictor: Predictor) -> float:
    moving = {(row.target.granularity, row.target.name) for row in free}
    return fsum(predictor.harm_of(cut) or 0.0 for cut in plan.cuts if (cut.granularity, cut.target) not in moving)
