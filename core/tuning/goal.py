"""A plan for a goal: the least predicted drop within a budget, or the least cost within a tolerance. No torch."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import fsum
from types import MappingProxyType
from typing import Any

from core.errors import SecateurError
from core.plans.costs.left import KINDS, Cost, Kind, plan_cost
from core.plans.costs.memory import known as known_memory
from core.plans.costs.memory import peak_moment
from core.plans.costs.savings import SavedTime
from core.plans.costs.steps import Ends
from core.plans.costs.table import cost_table
from core.plans.criteria import checked_criterion
from core.plans.plan import HEADS, SparsityPlan
from core.plans.prediction import Prediction, Predictor, harm_within, key_of
from core.plans.solver.knapsack import Row, Solution, least_cost
from core.plans.solver.problem import Problem, posed
from core.plans.solver.rules import Rules
from core.tuning.budget import least_harm_within
from core.tuning.even import kinds_of
from core.tuning.plan_rows import NO_ENDS, PlanRow, plan_rows
from core.tuning.request import checked_granularities, checked_tolerance
from core.workload.description import Description
from core.workload.target import Granularity

# of what each kind of cost is made: zeros are no fewer parameters, and take as long as any number
KINDS_FOR: Mapping[Kind, tuple[Granularity, ...]] = MappingProxyType(
    {
        "nonzeros": ("weight",),
        "bytes": ("weight",),
        "flops": ("channel", "head"),
        "parameters": ("channel", "head"),
        "memory": ("channel", "head"),
        "milliseconds": ("channel", "head"),
    }
)
NO_PLAN, NO_RULES = SparsityPlan(), Rules()
ROUNDING = 1e-9
MOMENTS = 12  # of a forward pass, or sets of them, that memory is solved for
HALVINGS = 9  # of the harm that a plan may do, to meet a tolerance


@dataclass(frozen=True)
class Goal:
    """What a plan is for.

    Attributes:
        kind: of cost.
        left: the most of it that may be left, as a fraction of the dense model's, in (0, 1]; or
        tolerance: the drop that `CAUTION` of such plans do not exceed, in the metric's unit: a solver's plan looks
            better than it is, so that the predicted drop itself would be exceeded by most. One of the two.
        engine: whose milliseconds are meant, for words; the numbers are those of `solve`'s `saved`.
        size: the bytes that were asked for, where `left` was made of them; for words.
    """

    kind: Kind
    left: float | None = None
    tolerance: float | None = None
    engine: str | None = None
    size: int | None = None

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
    ends: Ends = NO_ENDS,
) -> Solved:
    """The best plan for a goal.

    Least summed harm is least predicted drop, for the link never falls. Where costs do not add up (channels that a
    producer and a consumer share), the limit is moved until the plan's own cost meets the goal.

    Args:
        goal: budget or tolerance.
        predictor: of this model.
        found: the model.
        saved: measured times, for milliseconds.
        plan: whose lines of other granularities stay, and count; with the repair that the predictor knows, which an
            empty plan is given.
        rules: for the rows.
        granularities: of what may be cut; `None` for what the kind of cost is made of, as far as it was measured.
        criterion: as for `plan_rows`.
        max_harm: of all cuts together, in place of what the tolerance allows as predicted.
        ends: as for `plan_rows`.

    Raises:
        SecateurError: nothing of these granularities was measured, the cost is not known of this model, or rules
            leave no choice.
    """
    if goal.kind == "memory" and not known_memory(found).moments:
        return _at_any_moment(
            lambda seen: solve(goal, predictor, seen, saved, plan, rules, granularities, criterion, max_harm, ends),
            goal,
            found,
        )
    if not plan.cuts:
        plan = replace(plan, repair=predictor.repair)
    wanted = checked_granularities(granularities or solved_granularities(goal.kind, predictor))
    if criterion is not None:
        checked_criterion(criterion)
    rows = plan_rows(predictor, found, plan, wanted, criterion, ends)
    if not rows:
        raise SecateurError(
            f"no cut of {' or '.join(wanted)} of {found.name} was measured, of which {goal.kind} are made; "
            "sweep those, or name others"
        )
    rows, kept = _free(rows, plan, rules)
    if not rows:
        raise SecateurError("the rules leave nothing to cut: every row is locked in a way that was not measured")
    places = {(row.curve.granularity, row.curve.target) for row in rows}
    rest = replace(plan, cuts=tuple(c for c in plan.cuts if (c.granularity, c.target) not in places))
    table = cost_table([row.cuts for row in rows], found, goal.kind, saved)
    tables = [Row(row.name, row.harm, costs) for row, costs in zip(rows, table.rows, strict=True)]
    kinds, told = kinds_of(rows, found, rules)
    problem = posed(tables, [row.sparsities for row in rows], [row.current(plan) for row in rows], rules, kinds)

    def made(levels: Sequence[int]) -> SparsityPlan:
        cuts = [row.cut(level) for row, level in zip(rows, problem.spread(levels), strict=True)]
        return replace(plan, cuts=(*rest.cuts, *(cut for cut in cuts if cut is not None)))

    def cost_of(levels: Sequence[int]) -> float:
        return plan_cost(made(levels), found, goal.kind, saved).value

    dense = plan_cost(SparsityPlan(), found, goal.kind, saved).value
    said: tuple[str, ...] = ()
    if goal.tolerance is not None and max_harm is None:
        solution, said = _least_within(predictor, problem, goal.tolerance, rest, made)
    elif max_harm is not None:
        solution = least_cost(problem.rows, max_harm - predictor.predict(rest).harm, problem.allowed)
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
        (*kept, *told, *said, *problem.notes),
    )


def _at_any_moment(solved: Callable[[Description], Solved], goal: Goal, found: Description) -> Solved:
    """The best of plans that were solved for one moment of the pass after the other, or for several together.

    What a solver can add up is what is held at one moment, and where the plan holds most is told only by the plan: so
    the moment of each plan is the next to be solved for. A heuristic: nothing proves that no other plan is better.
    """
    use = known_memory(found)

    def at(moments: tuple[int, ...]) -> Solved:
        return solved(replace(found, memory=replace(use, moments=moments)))

    def rank(one: Solved) -> tuple[bool, float, float]:
        if goal.left is None:
            return not one.feasible, one.cost.value, one.prediction.harm
        return not one.feasible, one.prediction.harm if one.feasible else 0.0, one.cost.value

    tried: dict[tuple[int, ...], Solved] = {}
    wanted: list[tuple[int, ...]] = [(peak_moment(NO_PLAN, found),)]
    mixed: tuple[int, ...] = ()
    while wanted and len(tried) < MOMENTS:
        moments = wanted.pop(0)
        tried[moments] = at(moments)
        there = peak_moment(tried[moments].plan, found)
        # a moment counts as often as some plan held most there: weights that lean to what is hardest to keep
        mixed = tuple(sorted((*mixed, *((there,) if mixed else (*moments, there)))))
        wanted += [some for some in ((there,), mixed) if some not in tried and some not in wanted]
    return replace(min(tried.values(), key=rank), proven=False)


def _least_within(
    predictor: Predictor,
    problem: Problem,
    tolerance: float,
    rest: SparsityPlan,
    made: Callable[[Sequence[int]], SparsityPlan],
) -> tuple[Solution, tuple[str, ...]]:
    """The least cost whose predicted bound is within a tolerance, by halving the harm that the cuts may do.

    The bound hangs on which cuts a plan is made of, and not on the sum of their harm alone, so that no harm can be told
    beforehand that goes with it.

    Returns:
        What was found, and what is to be said of it.
    """
    beforehand = predictor.predict(rest).harm

    def at(harm: float) -> tuple[Solution, bool]:
        solution = least_cost(problem.rows, harm - beforehand, problem.allowed)
        if not solution.feasible:
            return solution, False
        bound = predictor.predict(made(solution.levels)).drop_bound
        return solution, bound is not None and bound <= tolerance * (1 + ROUNDING)

    end = predictor.link.harm[-1]
    low, high, best = beforehand, min(max(harm_within(predictor, tolerance), end / 1024), end), None
    for _ in range(HALVINGS):  # up to where it is beyond, then between the two
        found, within = at(high)
        if within:
            low, best = high, found
        if not within or high >= end:
            break
        high = min(2 * high, end)
    for _ in range(0 if within else HALVINGS):
        middle = (low + high) / 2
        found, within = at(middle)
        if within:
            low, best = middle, found
        else:
            high = middle
    if best is not None:
        return best, ()
    levels = tuple(allowed[0] for allowed in problem.allowed)
    harm, cost = (
        fsum(of[level] for of, level in zip(values, levels, strict=True))
        for values in ([row.harm for row in problem.rows], [row.cost for row in problem.rows])
    )
    mildest = predictor.predict(made(levels))
    within = mildest.drop_bound is not None and mildest.drop_bound <= tolerance
    least = Solution(levels, harm, cost, proven=True, bound=cost, feasible=within)
    return least, (
        f"no cut is sure enough to stay within: single cuts were measured on {predictor.n:,} examples, "
        f"{predictor.n_plans or 'no'} plan(s) as a whole; more of either, or a larger tolerance, would let some go",
    )


def _free(rows: Sequence[PlanRow], plan: SparsityPlan, rules: Rules) -> tuple[tuple[PlanRow, ...], tuple[str, ...]]:
    """Rows that may be solved for, and why others of the plan's lines stay as they are.

    A locked line whose own way of cutting was not measured must not become another. Where heads of an attention are cut
    one by one, its key/value groups are left alone, and the other way round: together they could leave no head.
    """
    own = {(cut.granularity, cut.target): cut for cut in plan.cuts}
    wanted = {row.curve.granularity for row in rows}
    headless = {
        cut.target.rpartition(":")[0] for cut in plan.cuts if cut.granularity in HEADS and cut.granularity not in wanted
    }
    free, notes = [], []
    for row in rows:
        cut = own.get((row.curve.granularity, row.curve.target))
        if cut is not None and key_of(cut) != row.curve.key and rules.bounds_of(row.name).is_locked:
            notes.append(f"{row.name} is locked and was not measured in the way that the plan cuts it; it stays")
        elif row.curve.granularity in HEADS and row.curve.target.rpartition(":")[0] in headless:
            notes.append(f"{row.name} stays, for heads of its attention are cut in another way already")
        else:
            free.append(row)
    return tuple(free), tuple(notes)


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
