"""What the worker does to refine a plan: solve, measure around it, solve with what was measured."""

from dataclasses import asdict
from typing import Any

from core import numbers
from core.errors import SecateurError
from core.jobs.known.findings import ends_of, saved_time_of, sweep_reports
from core.jobs.known.judging import Part, part_after_sweeps
from core.jobs.known.plan_book import PlanBook
from core.jobs.known.search_words import budget_text
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import check_guards, groups_of, measured_and_noted, measurement_for
from core.jobs.works.tuning import known_of
from core.plans.costs.memory import aimed, at
from core.plans.plan import SparsityPlan
from core.plans.solver.rules import Rules
from core.sensitivity.statistics.groups import excess, told_groups
from core.tuning.goal import NO_PLAN, Goal, solve
from core.tuning.refined_plan import Budget, Refining
from core.tuning.request import RefineRequest
from core.tuning.spaces import position
from core.workload.workload import Workload

BROKEN = 1e9  # harm, above that of any plan that breaks no guard


def do_refine(run: Run, workload: Workload, runs: RunStore) -> None:
    """Every plan on the way is evidence, so a run that goes on measures none of them again."""
    request = RefineRequest(**run.request)
    found, predictor = known_of(run, runs, request.repair)
    found = at(found, request.batch, request.length) if request.kind == "memory" else found
    check_guards(workload, request.guards)
    rules = Rules.from_json(list(request.rules))
    ends = ends_of(runs, found, request.align, request.engine, request.costs)[0]
    saved = saved_time_of(runs, found, request.engine, request.costs)
    if request.kind == "memory":
        goal = Goal("memory", request.left)
        solved = solve(
            goal, predictor, found, None, NO_PLAN, rules, request.granularities, request.criterion, ends=ends
        )
        found = aimed(found, solved.plan)
    budget = Budget(request.kind, request.left, request.granularities, request.criterion, rules, saved, ends)
    refining = Refining(predictor, found, budget)
    scale, space = found.scale, predictor.space
    total = request.rounds * (refining.n_neighbours + 1) + 3
    runs.update(run.id, total=total, phase="measuring the solver's plan")
    drops: list[float] = []
    result: dict[str, Any] = {"model": found.fingerprint, "drops": drops, "best": None, "n_measured": 0, "n": 0}
    done = 0
    with measurement_for(run, workload, runs, request.samples, 0, request.device) as measurement:
        dense = measurement.dense()
        result["n"] = dense.n

        told: dict[SparsityPlan, tuple[float, float]] = {}  # drop, and how far groups are beyond their guards

        def measure(plan: SparsityPlan) -> float | None:
            nonlocal done
            outcome = measurement.measure(plan)
            done += 1
            runs.update(run.id, done=done)
            if outcome.metric is None or outcome.drop is None:
                return None
            over = excess(groups_of(measurement, plan, request.guards)) if request.guards else 0.0
            told[plan] = outcome.drop.value, over
            # less beyond the guards is always better, and within them the harm alone counts: so the way leads inside
            return position(scale, space, outcome.metric.value) + (BROKEN * (1 + over) if over else 0.0)

        def on_round(number: int, harm: float, plan: SparsityPlan) -> None:
            result["so_far"] = plan.to_document()
            drops.append(told[plan][0])
            words = numbers.drop_text(scale, drops[-1])
            runs.update(run.id, result=result, phase=f"round {number} of {request.rounds}: drop {words}")

        first = measurement.measure(refining.start)
        if first.drop is None:
            raise SecateurError(f"the solver's plan could not be measured: {first.reason}")
        drops.append(first.drop.value)
        better = refining.refined(measure, request.rounds, on_round)
        assert better is not None, "it was measured a moment ago"
        broken = told_groups(groups_of(measurement, better[0], request.guards))
    best, how = better
    result["n_measured"] = how.n_measured
    if told[best][1]:
        result["broken"] = broken
        runs.update(run.id, result=result, total=done, done=done)
        return
    runs.update(run.id, result=result, phase="measuring the refined plan on other examples")
    words = f"at most {budget_text(run.request)}, refined"
    kept = PlanBook(runs.workspace).keep(
        run.workload, best, "refine", prediction=predictor.predict(best), n_plans=predictor.n_plans, goal=words
    )
    part = part_after_sweeps(
        sweep_reports(runs, found, repair=request.repair), workload.n_open, workload.n_open, result["n"]
    )
    if not part.skip:
        part = Part(0, workload.n_open, unseen=False)
    with measurement_for(run, workload, runs, part.samples, 0, request.device, skip=part.skip) as others:
        measured = measured_and_noted(run, runs, others, best, part.samples, request.device, part.skip)
        groups = told_groups(groups_of(others, best, request.guards))
    drop = measured.outcome.drop
    result["best"] = {
        "plan": kept.id,
        "left": refining.left(best),
        "drop": asdict(drop) if drop else None,
        "document": best.to_document(),
        "unseen": part.unseen,
        "groups": groups,
    }
    runs.update(run.id, result=result, total=done + 1, done=done + 1)
