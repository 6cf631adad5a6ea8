"""What the worker does to refine a plan: solve, measure around it, solve with what was measured."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from core import wording
from core.errors import SecateurError
from core.jobs.findings import saved_time_of
from core.jobs.measuring import measured_and_noted, measurement_for
from core.jobs.plan_book import PlanBook
from core.jobs.runs import Run, RunStore
from core.jobs.tuning_work import known_of
from core.plans.cost_table import cost_table
from core.plans.costs import plan_cost
from core.plans.plan import SparsityPlan
from core.plans.problem import posed
from core.plans.rules import Rules
from core.plans.solver import Row
from core.tuning.budget import least_harm_within
from core.tuning.goal import NO_PLAN, solved_granularities
from core.tuning.plan_rows import plan_rows
from core.tuning.refine import Levels, refine
from core.tuning.request import RefineRequest
from core.tuning.spaces import metric_at, position
from core.workload.workload import Workload


def do_refine(run: Run, workload: Workload, runs: RunStore) -> None:
    """Every plan on the way is evidence, so a run that goes on measures none of them again."""
    request = RefineRequest(**run.request)
    found, predictor = known_of(run, runs)
    saved = saved_time_of(runs, found)
    wanted = tuple(request.granularities or solved_granularities(request.kind, predictor))
    rows = plan_rows(predictor, found, NO_PLAN, wanted, request.criterion)
    if not rows:
        raise SecateurError(
            f"no cut of {' or '.join(wanted)} of {found.name} was measured, of which {request.kind} are made; "
            "sweep those"
        )
    table = cost_table([row.cuts for row in rows], found, request.kind, saved)
    tables = [Row(row.name, row.harm, costs) for row, costs in zip(rows, table.rows, strict=True)]
    problem = posed(tables, [row.sparsities for row in rows], [0.0] * len(rows), Rules.from_json(list(request.rules)))
    dense_cost = plan_cost(NO_PLAN, found, request.kind, saved).value
    budget = request.left * dense_cost
    scale, space = found.scale, predictor.space

    def plan_of(levels: Sequence[int]) -> SparsityPlan:
        cuts = [row.cut(level) for row, level in zip(rows, problem.spread(levels), strict=True)]
        return SparsityPlan(tuple(cut for cut in cuts if cut is not None), run.workload)

    def cost_of(levels: Sequence[int]) -> float:
        return plan_cost(plan_of(levels), found, request.kind, saved).value

    def choose(given: Sequence[Row], allowed: Sequence[Sequence[int]]) -> Levels:
        return least_harm_within(given, budget, budget - table.fixed, dense_cost, cost_of, allowed).levels

    start = least_harm_within(problem.rows, budget, budget - table.fixed, dense_cost, cost_of, problem.allowed)
    if not start.feasible:
        raise SecateurError(
            f"no plan of these rows leaves {wording.share_text(request.left)} of the {request.kind}; the nearest "
            f"leaves {wording.share_text(cost_of(start.levels) / dense_cost)}: give a larger budget, or sweep higher "
            "sparsities"
        )
    free = sum(len(levels) > 1 for levels in problem.allowed)
    runs.update(run.id, total=request.rounds * (2 * free + 1) + 2, phase="measuring the solver's plan")
    drops: list[float] = []
    result: dict[str, Any] = {"model": found.fingerprint, "drops": drops, "best": None, "n_measured": 0, "n": 0}
    with measurement_for(run, workload, runs, request.samples, 0, request.device) as measurement:
        dense = measurement.dense()
        done = 0
        result["n"] = dense.n

        def measure(levels: Levels) -> float | None:
            nonlocal done
            outcome = measurement.measure(plan_of(levels))
            done += 1
            runs.update(run.id, done=done)
            return None if outcome.metric is None else position(scale, space, outcome.metric.value)

        def on_round(number: int, harm: float) -> None:
            drops.append(scale.drop(dense.value, metric_at(scale, space, harm)))
            told = wording.drop_text(scale, drops[-1])
            runs.update(run.id, result=result, phase=f"round {number} of {request.rounds}: drop {told}")

        first = measurement.measure(plan_of(start.levels))
        if first.drop is None:
            raise SecateurError(f"the solver's plan could not be measured: {first.reason}")
        drops.append(first.drop.value)
        costs = [row.cost for row in problem.rows]
        better = refine(costs, start.levels, problem.allowed, choose, measure, request.rounds, on_round)
    if better is None:
        raise AssertionError("it was measured a moment ago")
    best = plan_of(better.levels)
    result["n_measured"] = better.n_measured
    runs.update(run.id, result=result, phase="measuring the refined plan on all examples")
    goal = f"at most {wording.share_text(request.left)} of the {request.kind}, refined"
    kept = PlanBook(runs.workspace).keep(
        run.workload, best, "refine", prediction=predictor.predict(best), n_plans=predictor.n_plans, goal=goal
    )
    with measurement_for(run, workload, runs, "all", 0, request.device) as everything:
        measured = measured_and_noted(run, runs, everything, best, "all", request.device)
    drop = measured.outcome.drop
    result["best"] = {
        "plan": kept.id,
        "left": cost_of(better.levels) / dense_cost,
        "drop": asdict(drop) if drop else None,
        "document": best.to_document(),
    }
    runs.update(run.id, result=result, total=done + 1, done=done + 1)
