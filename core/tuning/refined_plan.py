"""A plan for a budget, solved from single cuts and then refined by measuring around it. No torch."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from core import numbers
from core.errors import SecateurError
from core.plans.costs.left import Kind, plan_cost
from core.plans.costs.savings import SavedTime
from core.plans.costs.steps import Ends
from core.plans.costs.table import cost_table
from core.plans.plan import SparsityPlan
from core.plans.prediction import Predictor
from core.plans.solver.knapsack import Row
from core.plans.solver.problem import posed
from core.plans.solver.rules import Rules
from core.tuning.budget import least_harm_within
from core.tuning.even import kinds_of
from core.tuning.goal import NO_PLAN, NO_RULES, solved_granularities
from core.tuning.plan_rows import PlanRow, plan_rows
from core.tuning.refine import ROUNDS, Levels, Refined, refine
from core.workload.description import Description
from core.workload.target import Granularity


@dataclass(frozen=True)
class Budget:
    """What a plan may leave, and of what it is made.

    Attributes:
        kind: of cost.
        left: the most of it that may be left, a fraction in (0, 1].
        granularities, criterion: as for `core.tuning.goal.solve`.
        rules: for the rows.
        saved: measured times, for milliseconds.
        ends: as for `plan_rows`.
    """

    kind: Kind
    left: float
    granularities: Collection[Granularity] | None = None
    criterion: str | None = None
    rules: Rules = NO_RULES
    saved: SavedTime | None = None
    ends: Ends = field(default_factory=dict, hash=False)


class Refining:
    """The rows of a model under a budget, and the solver's plan to begin with.

    Args:
        predictor: of the model.
        found: the model.
        budget: for its plans.

    Attributes:
        start: the solver's plan.
        n_neighbours: plans that a round measures around the best one, at most.

    Raises:
        SecateurError: nothing of these granularities was measured, or no plan of these rows is within the budget.
    """

    def __init__(self, predictor: Predictor, found: Description, budget: Budget) -> None:
        wanted = tuple(budget.granularities or solved_granularities(budget.kind, predictor))
        self._rows: tuple[PlanRow, ...] = plan_rows(predictor, found, NO_PLAN, wanted, budget.criterion, budget.ends)
        if not self._rows:
            raise SecateurError(
                f"no cut of {' or '.join(wanted)} of {found.name} was measured, of which {budget.kind} are made; "
                "sweep those"
            )
        self._found, self._budget, self._repair = found, budget, predictor.repair
        table = cost_table([row.cuts for row in self._rows], found, budget.kind, budget.saved)
        tables = [Row(row.name, row.harm, costs) for row, costs in zip(self._rows, table.rows, strict=True)]
        sparsities = [row.sparsities for row in self._rows]
        kinds, _ = kinds_of(self._rows, found, budget.rules)
        self._problem = posed(tables, sparsities, [0.0] * len(self._rows), budget.rules, kinds)
        self._fixed = table.fixed
        self._dense = plan_cost(NO_PLAN, found, budget.kind, budget.saved).value
        self._start = self._chosen(self._problem.rows, self._problem.allowed)
        self.start = self._plan(self._start)
        self.n_neighbours = 2 * sum(len(levels) > 1 for levels in self._problem.allowed)
        if self.left(self.start) > budget.left * (1 + 1e-9):
            raise SecateurError(
                f"no plan of these rows leaves {numbers.share_text(budget.left)} of the {budget.kind}; the nearest "
                f"leaves {numbers.share_text(self.left(self.start))}: give a larger budget, or sweep higher sparsities"
            )

    def left(self, plan: SparsityPlan) -> float:
        """Fraction of the dense cost that a plan leaves."""
        return plan_cost(plan, self._found, self._budget.kind, self._budget.saved).value / self._dense

    def refined(
        self,
        measure: Callable[[SparsityPlan], float | None],
        rounds: int = ROUNDS,
        on_round: Callable[[int, float, SparsityPlan], None] = lambda done, harm, best: None,
    ) -> tuple[SparsityPlan, Refined] | None:
        """The best plan that was found within the budget; `None` if the start cannot run.

        Args:
            measure: harm of a plan, always on the same examples, higher is worse; `None` if the model cannot run so.
            rounds, on_round: as for `refine`.
        """
        found = refine(
            [row.cost for row in self._problem.rows],
            self._start,
            self._problem.allowed,
            self._chosen,
            lambda levels: measure(self._plan(levels)),
            rounds,
            lambda done, harm, levels: on_round(done, harm, self._plan(levels)),
        )
        return None if found is None else (self._plan(found.levels), found)

    def _plan(self, levels: Sequence[int]) -> SparsityPlan:
        cuts = [row.cut(level) for row, level in zip(self._rows, self._problem.spread(levels), strict=True)]
        return SparsityPlan(tuple(cut for cut in cuts if cut is not None), self._found.ref, self._repair)

    def _chosen(self, rows: Sequence[Row], allowed: Sequence[Sequence[int]]) -> Levels:
        budget = self._budget.left * self._dense

        def count(levels: Sequence[int]) -> float:
            return self.left(self._plan(levels)) * self._dense

        return least_harm_within(rows, budget, budget - self._fixed, self._dense, count, allowed).levels
