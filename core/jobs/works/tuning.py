"""What the worker does for the runs that tune: anchors, and the cheapest plan within a tolerance."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from core import numbers
from core.errors import SecateurError
from core.jobs.known.findings import (
    dense_of,
    known_cells,
    measured_joints,
    measured_runs,
    predictor_of,
    saved_time_of,
    sweep_reports,
)
from core.jobs.known.judging import Part, part_after_sweeps, search_part
from core.jobs.known.plan_book import PlanBook
from core.jobs.known.plan_words import COST_WORDS
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import check_guards, groups_of, measured_and_noted, measurement_for
from core.jobs.works.profiling import profiled_and_noted
from core.plans import cut_words
from core.plans.costs.left import plan_cost
from core.plans.plan import SparsityPlan
from core.plans.prediction import Predictor
from core.profiling.report import ProfileReport
from core.profiling.request import ProfileRequest
from core.profiling.saved_time import saved_time
from core.sensitivity.statistics.groups import are_kept, are_shown, told_groups
from core.tuning.anchors import calibrating_plans
from core.tuning.goal import NO_PLAN, NO_RULES, Goal, Solved, solve
from core.tuning.minimum import find_minimum
from core.tuning.predictor import MeasuredJoint, make_predictor
from core.tuning.request import AnchorsRequest, MinimiseRequest
from core.workload.description import Description
from core.workload.workload import Workload

SAVINGS = (0.25, 0.5, 0.75)  # at which every group is cut alone to see what time that saves
SAVINGS_BATCH = (1,)


def do_anchors(run: Run, workload: Workload, runs: RunStore) -> None:
    """Measure plans that tell how cuts interact; those that were measured before cost nothing."""
    request = AnchorsRequest(**run.request)
    found, predictor = known_of(run, runs)
    plans = calibrating_plans(predictor, found, request.granularities, request.n)
    if not plans:
        words = ", ".join(cut_words.granularity_text(one).lower() for one in request.granularities or ()) or "anything"
        raise SecateurError(
            f"no cut of {words} of {found.name} was measured to do any harm: nothing to make plans of; sweep first"
        )
    book = PlanBook(runs.workspace)
    runs.update(run.id, total=len(plans), phase=f"measuring {len(plans)} plans")
    kept = []
    wanted = request.samples if isinstance(request.samples, int) else workload.n_open if request.samples else None
    part = part_after_sweeps(sweep_reports(runs, found), workload.n_open, wanted)
    with measurement_for(run, workload, runs, part.samples, 0, request.device, skip=part.skip) as measurement:
        for done, plan in enumerate(plans, start=1):
            of_plan = book.keep(
                run.workload, plan, "anchor", prediction=predictor.predict(plan), n_plans=predictor.n_plans
            )
            measured_and_noted(run, runs, measurement, plan, part.samples, request.device, part.skip)
            kept.append(of_plan.id)
            runs.update(run.id, done=done)
        result = {"model": measurement.model_hash, "plans": kept, "n": part.n, "skip": part.skip, "unseen": part.unseen}
        runs.update(run.id, result=result)


def do_minimise(run: Run, workload: Workload, runs: RunStore) -> None:
    """Solve, measure, correct, until the cheapest plan within the tolerance is found; then time it."""
    request = MinimiseRequest(**run.request)
    found, _ = known_of(run, runs)
    check_guards(workload, request.guards)
    saved = saved_time_of(runs, found)
    if request.kind == "milliseconds" and saved is None:
        runs.update(run.id, phase="timing what each cut alone saves")
        alone = ProfileRequest(SAVINGS_BATCH, engines=("eager",), savings=SAVINGS)
        timed = profiled_and_noted(run, workload, runs, None, alone)
        saved = saved_time(ProfileReport.from_json(timed), found)
    # a run that goes on knows what it knew when it began, so that it asks the same questions and comes to the same end
    began_with = (run.result or {}).get("began_with")
    if began_with is None or run.result["model"] != found.fingerprint:  # type: ignore[index]
        began_with = [one.id for one in measured_runs(runs, found)]
    joints = measured_joints(runs, found, began_with)
    predictor = predictor_of(runs, found, among=began_with)
    assert predictor is not None, "there was one a moment ago"
    reports = sweep_reports(runs, found)
    book = PlanBook(runs.workspace)
    tries: list[dict[str, Any]] = []
    result: dict[str, Any] = {
        "model": found.fingerprint, "began_with": began_with, "tries": tries, "best": None, "settled": False,
        "judged": [],
    }  # fmt: skip
    runs.update(run.id, total=request.max_plans, phase="solving")
    if not run.result:
        runs.update(run.id, result=result)
    now = predictor

    def solved(harm: float) -> Solved:
        goal = Goal(request.kind, tolerance=request.tolerance)
        rules = NO_RULES.evened() if request.even else NO_RULES
        return solve(goal, now, found, saved, NO_PLAN, rules, request.granularities, request.criterion, harm)

    def correct(measured: Sequence[MeasuredJoint]) -> Predictor:
        nonlocal now
        known = {one.plan: one for one in (*joints, *measured)}
        made = make_predictor(known_cells(reports).values(), found.scale, dense_of(reports), tuple(known.values()))
        assert made is not None
        now = made
        return made

    n_search, part = search_part(request.samples, workload.n_open)
    documents: dict[str, dict[str, Any]] = {}
    is_kept: dict[SparsityPlan, bool] = {}  # by plans that were measured, whether every guard is
    with measurement_for(run, workload, runs, n_search, 0, request.device) as measurement:

        def measure(plan: SparsityPlan) -> MeasuredJoint | None:
            prediction = now.predict(plan)
            goal = f"least {COST_WORDS[request.kind]} within {numbers.limit_text(found.scale, request.tolerance)}"
            kept = book.keep(
                run.workload,
                plan,
                "minimise",
                prediction=prediction,
                n_plans=now.n_plans,
                goal=goal,
            )
            left = plan_cost(plan, found, request.kind, saved).value / dense_cost
            runs.update(run.id, phase=f"measuring plan {len(tries) + 1}, {numbers.share_text(left)} left")
            measured = measured_and_noted(run, runs, measurement, plan, n_search, request.device)
            outcome = measured.outcome
            drop = asdict(outcome.drop) if outcome.drop else None
            # of a plan that was measured before, only what was said before that is a prediction
            said = kept.prediction.value.to_json() if kept.prediction else None
            groups = groups_of(measurement, plan, request.guards)
            is_kept[plan] = are_shown(groups)
            tries.append(
                {
                    "plan": kept.id, "left": left, "drop": drop, "predicted": said,
                    "groups": told_groups(groups), "guarded": is_kept[plan],
                }
            )  # fmt: skip
            documents[kept.id] = plan.to_document()
            within = drop is not None and drop["high"] <= request.tolerance and is_kept[plan]
            if within and (result["best"] is None or left <= result["best"]["left"]):
                result["best"] = {**tries[-1], "document": plan.to_document()}
            runs.update(run.id, result=result, done=len(tries))
            if outcome.metric is None or outcome.drop is None:
                return None
            return MeasuredJoint(plan, measured.dense, outcome.metric, outcome.drop)

        dense_cost = plan_cost(NO_PLAN, found, request.kind, saved).value
        minimum = find_minimum(
            predictor,
            request.tolerance,
            lambda harm: solved(harm).plan,
            measure,
            correct,
            request.max_plans,
            lambda plan: is_kept[plan],
        )
    result["settled"] = minimum.settled
    if part is not None and result["best"] is not None:
        runs.update(run.id, phase="judging the plan on examples that the search did not see")
        result["best"] = _judged(run, workload, runs, request, part, result, documents)
    if result["best"] is not None and request.kind == "milliseconds":
        runs.update(run.id, phase="timing the smaller model")
        best = SparsityPlan.from_document(result["best"]["document"])
        timed = profiled_and_noted(run, workload, runs, best, ProfileRequest(engines=("eager", "onnx")))
        result["speed"] = timed["ratios"]
    runs.update(run.id, result=result, total=len(tries), done=len(tries))


def _judged(
    run: Run,
    workload: Workload,
    runs: RunStore,
    request: MinimiseRequest,
    part: Part,
    result: dict[str, Any],
    documents: Mapping[str, dict[str, Any]],
) -> dict[str, Any] | None:
    """The cheapest plan of those found within that holds on examples that nothing was chosen by; `None` if none does.

    The search took the plan that looked best on its own examples; there its drop is flattered, and more so the more
    plans it tried.
    """
    within = [
        one
        for one in result["tries"]
        if one["drop"] is not None and one["drop"]["high"] <= request.tolerance and one["guarded"]
    ]
    with measurement_for(run, workload, runs, part.samples, 0, request.device, skip=part.skip) as measurement:
        for one in sorted(within, key=lambda tried: tried["left"]):
            plan = SparsityPlan.from_document(documents[one["plan"]])
            measured = measured_and_noted(run, runs, measurement, plan, part.samples, request.device, part.skip)
            drop = measured.outcome.drop
            groups = groups_of(measurement, plan, request.guards)
            holds = drop is not None and drop.value <= request.tolerance and are_kept(groups)
            result["judged"].append(
                {
                    "plan": one["plan"], "drop": asdict(drop) if drop else None, "holds": holds,
                    "groups": told_groups(groups),
                }
            )  # fmt: skip
            if holds:
                told = {"judged": result["judged"][-1]["drop"], "groups": result["judged"][-1]["groups"]}
                return {**one, "document": documents[one["plan"]], **told}
    return None


def known_of(run: Run, runs: RunStore) -> tuple[Description, Predictor]:
    """The model and what predicts its plans.

    Raises:
        SecateurError: nothing was measured yet.
    """
    described = runs.description(run.workload)
    predictor = predictor_of(runs, described[0]) if described is not None else None
    if described is None or predictor is None:
        raise SecateurError(
            f"no cut of {run.workload} was measured on the model as it is now; `secateur sweep {run.workload}` first"
        )
    return described[0], predictor
