"""What the worker does for the runs that tune: anchors, and the cheapest plan within a tolerance."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from core import numbers
from core.errors import SecateurError
from core.jobs.known.findings import (
    dense_of,
    ends_of,
    known_cells,
    measured_joints,
    measured_runs,
    predictor_of,
    saved_time_of,
    stairs_of,
    sweep_reports,
)
from core.jobs.known.judging import Part, part_after_sweeps, search_part
from core.jobs.known.plan_book import PlanBook
from core.jobs.known.plan_words import cost_words
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import check_guards, groups_of, measured_and_noted, measurement_for
from core.jobs.works.profiling import profiled_and_noted, timed_in_engine
from core.plans import cut_words
from core.plans.costs.device_table import device_of
from core.plans.costs.left import plan_cost
from core.plans.costs.memory import at
from core.plans.costs.savings import SavedTime
from core.plans.plan import SparsityPlan
from core.plans.prediction import Predictor
from core.profiling.report import ProfileReport, Unavailable
from core.profiling.request import ProfileRequest
from core.profiling.saved_time import saved_time
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.statistics.groups import are_kept, are_shown, told_groups
from core.tuning.anchors import calibrating_plans
from core.tuning.goal import NO_PLAN, NO_RULES, Goal, Solved, solve
from core.tuning.minimum import MILDER, MOST_MILDER, find_minimum, milder
from core.tuning.predictor import MeasuredJoint, make_predictor
from core.tuning.request import AnchorsRequest, MinimiseRequest
from core.workload.description import Description
from core.workload.workload import Workload

SAVINGS = (0.25, 0.5, 0.75)  # at which every group is cut alone to see what time that saves
SAVINGS_BATCH = (1,)


def do_anchors(run: Run, workload: Workload, runs: RunStore) -> None:
    """Measure plans that tell how cuts interact; those that were measured before cost nothing."""
    request = AnchorsRequest(**run.request)
    found, predictor = known_of(run, runs, request.repair)
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
    part = part_after_sweeps(sweep_reports(runs, found, repair=request.repair), workload.n_open, wanted)
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
    """Solve, measure, correct, until the cheapest plan within the tolerance is found; then judge and time it."""
    request = MinimiseRequest(**run.request)
    found, _ = known_of(run, runs, request.repair)
    found = at(found, request.batch, request.length) if request.kind == "memory" else found
    check_guards(workload, request.guards)
    saved = _saved_time(run, workload, runs, found, request)
    search = _Minimising(run, runs, request, found, saved)
    runs.update(run.id, total=request.max_plans, phase="solving")
    if not run.result:
        runs.update(run.id, result=search.result)
    n_search, part = search_part(request.samples, workload.n_open)
    with measurement_for(run, workload, runs, n_search, 0, request.device) as measurement:
        minimum = find_minimum(
            search.predictor,
            request.tolerance,
            lambda harm: search.solved(harm).plan,
            lambda plan: search.measured(measurement, n_search, plan),
            search.corrected,
            request.max_plans,
            lambda plan: search.is_kept[plan],
        )
    result = search.result
    result["settled"] = minimum.settled
    if part is not None and result["best"] is not None:
        runs.update(run.id, phase="judging the plan on examples that the search did not see")
        result["best"] = _judged(run, workload, runs, request, part, result, search.documents)
        mildest = min((one.harm for one in minimum.tries if one.within), default=0.0)
        for _ in range(MOST_MILDER):
            if result["best"] is not None or mildest <= 0:
                break
            runs.update(run.id, phase="no plan held there: measuring a milder one")
            with measurement_for(run, workload, runs, n_search, 0, request.device) as measurement:
                found_milder = search.milder(measurement, n_search, mildest)
            if found_milder is None:
                break
            mildest = found_milder
            result["best"] = _judged(run, workload, runs, request, part, result, search.documents)
    if result["best"] is not None and request.kind == "milliseconds" and not request.costs:
        runs.update(run.id, phase="timing the smaller model")
        best = SparsityPlan.from_document(result["best"]["document"])
        if request.engine is not None:
            known = stairs_of(runs, found)[request.engine]
            ratio = timed_in_engine(run, workload, runs, best, known.request(), request.engine)
            result["not_timed" if isinstance(ratio, Unavailable) else "speed"] = [asdict(ratio)]
        else:
            timed = profiled_and_noted(run, workload, runs, best, ProfileRequest(engines=("eager", "onnx")))
            result["speed"], result["not_timed"] = timed["ratios"], timed["unavailable"]
    n = len(result["tries"])
    runs.update(run.id, result=result, total=n, done=n)


def _saved_time(
    run: Run, workload: Workload, runs: RunStore, found: Description, request: MinimiseRequest
) -> SavedTime | None:
    """What time cuts save; where milliseconds are asked for and nobody knows, it is measured first."""
    saved = saved_time_of(runs, found, request.engine, request.costs)
    if request.kind != "milliseconds" or saved is not None:
        return saved
    runs.update(run.id, phase="timing what each cut alone saves")
    alone = ProfileRequest(SAVINGS_BATCH, engines=("eager",), savings=SAVINGS)
    timed = profiled_and_noted(run, workload, runs, None, alone)
    return saved_time(ProfileReport.from_json(timed), found)


class _Minimising:
    """The search for the cheapest plan on its way.

    Attributes:
        predictor: as it was when the search began.
        result: what is told of it.
        documents: of the plans that were tried, by id.
        is_kept: by plans that were measured, whether every guard is.
    """

    def __init__(
        self, run: Run, runs: RunStore, request: MinimiseRequest, found: Description, saved: SavedTime | None
    ) -> None:
        self._run, self._runs, self._request, self._found, self._saved = run, runs, request, found, saved
        # a run that goes on knows what it knew when it began: it asks the same questions and comes to the same end
        began_with = (run.result or {}).get("began_with")
        if began_with is None or (run.result or {})["model"] != found.fingerprint:
            began_with = [one.id for one in measured_runs(runs, found, request.repair)]
        self._joints = measured_joints(runs, found, began_with, request.repair)
        predictor = predictor_of(runs, found, among=began_with, repair=request.repair)
        assert predictor is not None, "there was one a moment ago"
        self.predictor = self._now = predictor
        self._reports = sweep_reports(runs, found, repair=request.repair)
        self._ends = ends_of(runs, found, request.align, request.engine, request.costs)[0]
        self._book = PlanBook(runs.workspace)
        self._dense_cost = plan_cost(NO_PLAN, found, request.kind, saved).value
        self.documents: dict[str, dict[str, Any]] = {}
        self.is_kept: dict[SparsityPlan, bool] = {}
        self.result: dict[str, Any] = {
            "model": found.fingerprint, "began_with": began_with, "tries": [], "best": None, "settled": False,
            "judged": [],
        }  # fmt: skip

    def solved(self, harm: float) -> Solved:
        """The cheapest plan of which that much harm is predicted, by what is known now."""
        request = self._request
        goal = Goal(request.kind, tolerance=request.tolerance, engine=request.engine or device_of(request.costs))
        rules = NO_RULES.evened() if request.even else NO_RULES
        return solve(
            goal,
            self._now,
            self._found,
            self._saved,
            NO_PLAN,
            rules,
            request.granularities,
            request.criterion,
            harm,
            self._ends,
        )

    def corrected(self, measured: Sequence[MeasuredJoint]) -> Predictor:
        """What predicts once these plans are known too."""
        known = {one.plan: one for one in (*self._joints, *measured)}
        cells, plans = known_cells(self._reports).values(), tuple(known.values())
        made = make_predictor(cells, self._found.scale, dense_of(self._reports), plans, self._request.repair)
        assert made is not None
        self._now = made
        return made

    def milder(self, measurement: Measurement, n: int, harm: float) -> float | None:
        """Measure a plan of half the harm or less; the harm that is predicted of it, `None` if there is none."""
        new = milder(self._now, lambda at: self.solved(at).plan, harm, self.is_kept)
        if new is not None:
            self.measured(measurement, n, new[0])
        return None if new is None else min(harm * MILDER, new[1])

    def measured(self, measurement: Measurement, n: int, plan: SparsityPlan) -> MeasuredJoint | None:
        """Measure a plan, keep it, and tell of it; `None` if it has no drop."""
        run, runs, request, scale = self._run, self._runs, self._request, self._found.scale
        what = cost_words(request.kind, request.engine or device_of(request.costs))
        goal = f"least {what} within {numbers.limit_text(scale, request.tolerance)}"
        kept = self._book.keep(
            run.workload,
            plan,
            "minimise",
            prediction=self._now.predict(plan),
            n_plans=self._now.n_plans,
            goal=goal,
        )
        tries = self.result["tries"]
        left = plan_cost(plan, self._found, request.kind, self._saved).value / self._dense_cost
        runs.update(run.id, phase=f"measuring plan {len(tries) + 1}, {numbers.share_text(left)} left")
        measured = measured_and_noted(run, runs, measurement, plan, n, request.device)
        outcome = measured.outcome
        drop = asdict(outcome.drop) if outcome.drop else None
        # of a plan that was measured before, only what was said before that is a prediction
        said = kept.prediction.value.to_json() if kept.prediction else None
        groups = groups_of(measurement, plan, request.guards)
        self.is_kept[plan] = are_shown(groups)
        told = {
            "plan": kept.id, "left": left, "drop": drop, "predicted": said,
            "groups": told_groups(groups), "guarded": self.is_kept[plan],
        }  # fmt: skip
        tries.append(told)
        self.documents[kept.id] = plan.to_document()
        within = drop is not None and drop["high"] <= request.tolerance and self.is_kept[plan]
        if within and (self.result["best"] is None or left <= self.result["best"]["left"]):
            self.result["best"] = {**told, "document": plan.to_document()}
        runs.update(run.id, result=self.result, done=len(tries))
        if outcome.metric is None or outcome.drop is None:
            return None
        return MeasuredJoint(plan, measured.dense, outcome.metric, outcome.drop)


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
    known = {one["plan"] for one in result["judged"]}
    within = [
        one
        for one in result["tries"]
        if one["drop"] is not None
        and one["drop"]["high"] <= request.tolerance
        and one["guarded"]
        and one["plan"] not in known
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


def known_of(run: Run, runs: RunStore, repair: str | None = None) -> tuple[Description, Predictor]:
    """The model and what predicts its plans with a repair, or with none.

    Raises:
        SecateurError: nothing was measured yet.
    """
    described = runs.description(run.workload)
    predictor = predictor_of(runs, described[0], repair=repair) if described is not None else None
    if described is None or predictor is None:
        which, how = (f" repaired by {repair}", f" --repair {repair}") if repair else ("", "")
        raise SecateurError(
            f"no cut of {run.workload} was measured{which} on the model as it is now; "
            f"`secateur sweep {run.workload}{how}` first"
        )
    return described[0], predictor
