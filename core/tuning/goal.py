"""A plan for a goal: the least predicted drop within a budget, or the least cost within a tolerance. No torch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from core.errors import SecateurError
from core.plans.cost_table import cost_table
from core.plans.costs import KINDS, Cost, Kind, plan_cost
from core.plans.plan import SparsityPlan
from core.plans.prediction import Prediction, Predictor, harm_within
from core.plans.problem import posed
from core.plans.rules import Rules
from core.plans.savings import SavedTime
from core.plans.solver import Row, least_cost
from core.tuning.budget import least_harm_within
from core.tuning.plan_rows import plan_rows
from core.tuning.request import checked_tolerance
from core.workload.description import Description
from core.workload.target import Granularity

# of what each kind of cost is made: zeros are no fewer parameters, and take as long as any number
KINDS_FOR: Mapping[Kind, tuple[Granularity, ...]] = MappingProxyType(
    {
        "nonzeros": ("weight",),
        "bytes": ("weight",),
        "flops": ("channel", "head"),
        "parameters": ("channel", "head"),
        "milliseconds": ("channel", "head"),
    }
)
NO_PLAN, NO_RULES = SparsityPlan(), Rules()


@dataclass(frozen=True)
class Goal:
    """What a plan is for.

    Attributes:
        kind: of cost.
        left: the most of it that may be left, as a fraction of the dense model's, in (0, 1]; or
        tolerance: the largest predicted drop, in the metric's unit. One of the two.
    """

    kind: Kind
    left: float | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SecateurError(f"no cost {self.kind!r}; choose one of {', '.join(KINDS)}")
        if (self.left is None) == (self.tolerance is None):
            raise SecateurError(
                "a goal is what may be left of a cost, or the drop that is accepted: give one of the two"
            )
        if self.tolerance is not None:
            checked_tolerance(self.tolerance)
        elif not 0 < (self.left or 0) <= 1:
            raise SecateurError(
                f"what may be left of the {self.kind} is a fraction in (0, 1], got {self.left}. "
                "Given a percentage? Divide by 100."
            )


@dataclass(frozen=True)
class Solved:
    """A plan that the solver made.

    Attributes:
        plan: with the lines of other granularities as they were.
        prediction: of it.
        cost, dense_cost: what is left, and of the dense model.
        feasible: whether the goal is met; if not, this is the plan that comes nearest.
        proven: no plan on these levels is better, as far as harm and cost add up.
        bound: no plan on these levels has a smaller objective (harm within a budget, cost within a tolerance).
        notes: rules that could not be kept.
    """

    plan: SparsityPlan
    prediction: Prediction
    cost: Cost
    dense_cost: float
    feasible: bool
    proven: bool
    bound: float
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "plan": self.plan.to_document(),
            "prediction": self.prediction.to_json(),
            "cost": asdict(self.cost),
            "dense_cost": self.dense_cost,
            "left": self.left,
            "feasible": self.feasible,
            "proven": self.proven,
            "notes": list(self.notes),
        }

    @property
    def left(self) -> float:
        """Fraction of the dense cost that is left."""
        return self.cost.value / self.dense_cost if self.dense_cost else 0.0


def solve(
    goal: Goal,
    predictor: Predictor,
    found: Description,
    saved: SavedTime | None = None,
    plan: SparsityPlan = NO_PLAN,
    rules: Rules = NO_RULES,
    granularities: Collection[Granularity] | None = None,
    criterion: str | None = None,
    max_harm: float | None = None,
) -> Solved:
    """The best plan for a goal.

    Least summed harm is least predicted drop, for the link never falls. Where costs do not add up (channels that a
    producer and a consumer share), the limit is moved until the plan's own cost meets the goal.

    Args:
        goal: budget or tolerance.
        predictor: of this model.
        found: the model.
        saved: measured times, for milliseconds.
        plan: whose lines of other granularities stay, and count.
        rules: for the rows.
        granularities: of what may be cut; `None` for what the kind of cost is made of, as far as it was measured.
        criterion: as for `plan_rows`.
        max_harm: of all cuts together, in place of what the tolerance allows as predicted.

    Raises:
        SecateurError: nothing of these granularities was measured, the cost is not known of this model, or rules
            leave no choice.
    """
    wanted = tuple(granularities or solved_granularities(goal.kind, predictor))
    rows = plan_rows(predictor, found, plan, wanted, criterion)
    if not rows:
        raise SecateurError(
            f"no cut of {' or '.join(wanted)} of {found.name} was measured, of which {goal.kind} are made; "
            "sweep those, or name others"
        )
    rest = SparsityPlan(tuple(cut for cut in plan.cuts if cut.granularity not in wanted), plan.workload)
    table = cost_table([row.cuts for row in rows], found, goal.kind, saved)
    tables = [Row(row.name, row.harm, costs) for row, costs in zip(rows, table.rows, strict=True)]
    problem = posed(tables, [row.sparsities for row in rows], [row.current(plan) for row in rows], rules)

    def made(levels: Sequence[int]) -> SparsityPlan:
        cuts = [row.cut(level) for row, level in zip(rows, problem.spread(levels), strict=True)]
        return SparsityPlan((*rest.cuts, *(cut for cut in cuts if cut is not None)), plan.workload)

    def cost_of(levels: Sequence[int]) -> float:
        return plan_cost(made(levels), found, goal.kind, saved).value

    dense = plan_cost(SparsityPlan(), found, goal.kind, saved).value
    if goal.tolerance is not None:
        allowed = harm_within(predictor, goal.tolerance) if max_harm is None else max_harm
        most = allowed - predictor.predict(rest).harm
        solution = least_cost(problem.rows, most, problem.allowed)
    else:
        budget = (goal.left or 0.0) * dense
        solution = least_harm_within(problem.rows, budget, budget - table.fixed, dense, cost_of, problem.allowed)
    chosen = made(solution.levels)
    return Solved(
        chosen,
        predictor.predict(chosen),
        plan_cost(chosen, found, goal.kind, saved),
        dense,
        solution.feasible,
        solution.proven,
        solution.bound,
        problem.notes,
    )


def solved_granularities(kind: Kind, predictor: Predictor) -> tuple[Granularity, ...]:
    """Of what a cost is made, as far as it was measured; operations also of weights, if nothing else was swept.

    Key/value groups take the place of heads where both were measured, for heads that share one cannot go alone.
    """
    measured = {curve.granularity for curve in predictor.curves.values()}
    wanted = [one for one in KINDS_FOR[kind] if one in measured]
    if "head" in wanted and "kv_group" in measured:
        wanted[wanted.index("head")] = "kv_group"
    if not wanted and kind == "flops" and "weight" in measured:
        return ("weight",)
    return tuple(wanted) or KINDS_FOR[kind]
