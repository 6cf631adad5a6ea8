"""What the worker does for a frontier: a plan for every budget and peer, its quality, and its time on one engine."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import nn

from core import numbers
from core.engines.adapters.installed import installed
from core.engines.adapters.registry import ADAPTERS
from core.engines.engine import EngineUnavailable
from core.errors import SecateurError
from core.jobs.known.chosen_by import part_after_choosing
from core.jobs.known.findings import ends_of, saved_time_of, stairs_of
from core.jobs.known.kept_plan import MadeBy
from core.jobs.known.plan_book import PlanBook
from core.jobs.known.plan_words import COST_WORDS
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import measured_and_noted, measurement_for, stop_check
from core.jobs.works.recover import checkpoints_of
from core.jobs.works.tuning import known_of
from core.plans.baselines import Units
from core.plans.costs.left import plan_cost
from core.plans.costs.steps import on_steps
from core.plans.plan import Cut, SparsityPlan
from core.plans.prediction import Predictor
from core.plans.schedules import Schedule
from core.profiling.frontier.measure import Cutter, Timed, Turns, form_of, timed
from core.profiling.frontier.report import DENSE, FrontierReport, Point, called
from core.profiling.frontier.request import SOLVER, FrontierRequest
from core.profiling.machine import this_machine
from core.profiling.shipped.turns import InTurns
from core.pruning.allocations import BUDGETS, allocated_channels, allocated_plan
from core.recovery.request import RecoverRequest
from core.recovery.rounds import Recovery
from core.recovery.settings import FineTuning
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.report import Estimate
from core.tuning.goal import NO_PLAN, Goal, solve, solved_granularities
from core.tuning.plan_rows import PlanRow, plan_rows
from core.workload.description import Description
from core.workload.identity.fingerprint import model_fingerprint
from core.workload.workload import Workload

MAKERS: dict[str, MadeBy] = {SOLVER: "solver", "uniform": "uniform"}  # of the others: a baseline


def do_frontier(run: Run, workload: Workload, runs: RunStore) -> None:
    """Plans first, which a run that goes on does not make again; then quality, plan by plan; then times, budget by
    budget. Each is kept as soon as it is measured."""
    request = FrontierRequest.from_json(dict(run.request["frontier"]))
    version = _version(request)
    frontier = _Frontier(run, workload, runs, request)
    frontier.begin(version)
    frontier.measure()
    frontier.time()
    frontier.recover()


def _version(request: FrontierRequest) -> str:
    """Of the engine: asked first, for measuring takes long.

    Raises:
        SecateurError: it is not installed; says how it is.
    """
    try:
        return installed(ADAPTERS[request.engine], request.python)
    except EngineUnavailable as error:
        raise SecateurError(f"{ADAPTERS[request.engine].title}: {error}") from None


class _Frontier:
    """The frontier on its way.

    Attributes:
        report: what is known so far.
    """

    report: FrontierReport

    def __init__(self, run: Run, workload: Workload, runs: RunStore, request: FrontierRequest) -> None:
        self._run, self._workload, self._runs, self._request = run, workload, runs, request
        self._model = model_fingerprint(workload.model)
        self._cutter: Cutter | None = None

    @property
    def cutter(self) -> Cutter:
        """Made once it is needed: of a run that goes on perhaps never."""
        if self._cutter is None:
            self._cutter = Cutter(self._workload)
        return self._cutter

    def begin(self, version: str) -> None:
        """Take up what an earlier start of this run has kept of the same model, or make the plans."""
        kept = dict(self._run.result or {})
        if kept.get("model") == self._model:
            self.report = FrontierReport.from_json(kept)
            here = this_machine(torch.device("cpu"))
            if (self.report.version, self.report.machine) != (version, here):  # of another engine, or made elsewhere
                points = tuple(_untimed(point) for point in self.report.points)
                self.report = replace(
                    self.report, version=version, machine=here, seconds={}, bytes=None, compressed=None, points=points
                )
            reused = sum(not (point.waits_for_quality or point.waits_for_time) for point in self.report.points)
            self.tell("going on", reused=reused)
            return
        runs, request, workload = self._runs, self._request, self._workload
        found, predictor = known_of(self._run, runs, request.repair)
        self._check_solvable(found, predictor, version)
        # a budget's plan goes by what sweeps measured, so that earlier frontiers, though measured, have not chosen it
        part = part_after_choosing(
            runs, found, NO_PLAN, workload.n_open,
            request.samples if isinstance(request.samples, int) else workload.n_open if request.samples else None,
            but=("frontier",),
        )  # fmt: skip
        self.report = FrontierReport(
            self._run.workload, request.engine, version, this_machine(torch.device("cpu")), request.threads,
            request.batch, request.kind, workload.metric.scale, part.skip, part.n, part.unseen,
            InTurns(request.engine, runs.workspace.folder).margin, recover=request.recover,
        )  # fmt: skip
        self.tell("making plans")
        points = _Plans(self._run, runs, request, found, predictor, workload.model, lambda: self.cutter).made()
        self.report = replace(self.report, points=points)
        if all(point.plan is None for point in points):
            raise SecateurError(
                f"no budget can be met: {next(point.reason for point in points)}; give larger --budgets, or sweep more"
            )
        self.tell("plans are made")

    def _check_solvable(self, found: Description, predictor: Predictor, version: str) -> None:
        """The solver's own refusal, before anything is measured; and of staircases of another setting than this."""
        request = self._request
        saved = saved_time_of(self._runs, found, request.engine) if request.kind == "milliseconds" else None
        ends = ends_of(self._runs, found, request.steps, request.engine)[0]
        if saved is not None or request.steps == "auto":
            steps = stairs_of(self._runs, found)[request.engine]
            there = (steps.report.batch, steps.report.threads, steps.stairs.version, steps.report.machine.cpu)
            if there != (request.batch, request.threads, version, this_machine(torch.device("cpu")).cpu):
                raise SecateurError(
                    f"the staircases are of {steps.where()}, and the frontier is for {request.engine} {version}, batch "
                    f"{request.batch:,}, {numbers.threads_text(request.threads)}, here; `secateur profile "
                    f"{found.ref} --widths --engines {request.engine} --batch {request.batch} --threads "
                    f"{request.threads}` measures those"
                )
        solve(
            Goal(request.kind, request.budgets[0]), predictor, found, saved,
            granularities=request.granularities, criterion=request.criterion, ends=ends,
        )  # fmt: skip

    def measure(self) -> None:
        """The quality of every plan that has none yet, on examples that nothing was chosen by."""
        waiting = [i for i, point in enumerate(self.report.points) if point.waits_for_quality]
        if not waiting and self.report.metric is not None:
            return
        run, runs, part = self._run, self._runs, self.report
        with measurement_for(run, self._workload, runs, part.n, 0, "cpu", skip=part.skip) as measurement:
            for i in waiting:
                point = self.report.points[i]
                self.tell(f"measuring {self.report.name(i)}")
                try:
                    measured = measured_and_noted(run, runs, measurement, _plan(point), part.n, "cpu", part.skip)
                except SecateurError as error:
                    self.put(i, replace(point, reason=str(error)))
                    continue
                outcome = measured.outcome
                reason = None if outcome.drop is not None else outcome.reason or outcome.state
                self.put(i, replace(point, metric=outcome.metric, drop=outcome.drop, reason=reason))
            self.report = replace(self.report, metric=measurement.dense())
        self.tell("quality is measured")

    def time(self) -> None:
        """Budget by budget, the plans of each in turn with the dense model."""
        request, report = self._request, self.report
        inputs = self._workload.evaluation.tensors[:-1]  # the last are the labels
        batch = torch.arange(request.batch) % len(inputs[0])
        turns = Turns(request, tuple(x[batch].cpu() for x in inputs), stop_check(self._run, self._runs), self.tell)
        for budget in request.budgets:
            waiting = {
                self.report.name(i): i
                for i, point in enumerate(report.points)
                if point.budget == budget and self.report.points[i].waits_for_time
            }
            if not waiting:
                continue
            models = {label: self._maker(i) for label, i in waiting.items()}
            found = timed(self._workload.model, models, turns)
            dense = found[DENSE]
            assert dense.seconds is not None
            self.report = replace(
                self.report, bytes=dense.bytes, compressed=dense.compressed,
                seconds={**self.report.seconds, f"{budget:g}": dense.seconds},
            )  # fmt: skip
            for label, i in waiting.items():
                self.put(i, _with_time(self.report.points[i], found[label]), tell=False)
            self.tell(f"the budget of {numbers.share_text(budget)} is done")

    def recover(self) -> None:
        """Every plan fine-tuned with its masks held, where that was asked for; a round that is on disk is taken."""
        run, runs, report = self._run, self._runs, self.report
        waiting = [i for i, point in enumerate(report.points) if report.waits_for_training(point)]
        if waiting:
            with measurement_for(run, self._workload, runs, report.n, 0, "cpu", skip=report.skip) as measurement:
                for i in waiting:
                    self.tell(f"fine-tuning {report.name(i)}")
                    point = self.report.points[i]
                    try:
                        self.put(i, replace(point, recovered=self._recovered(measurement, point)))
                    except SecateurError as error:
                        self.put(i, replace(point, reason=str(error)))
        self.tell("done")

    def _recovered(self, measurement: Measurement, point: Point) -> Estimate:
        request = RecoverRequest(
            self._run.workload, Schedule(num_iterations=1), FineTuning(epochs=self._request.recover), point.document
        )
        check = stop_check(self._run, self._runs)
        recovery = Recovery(measurement, request, on_step=lambda step: check())
        recovery.folder = checkpoints_of(self._runs.workspace, recovery.key)
        drop = recovery.run()[-1].drop
        if drop is None:
            raise SecateurError("fine-tuning ended with outputs that have no metric")
        return drop

    def _maker(self, i: int) -> Callable[[], nn.Module]:
        return lambda: self.cutter.made(_plan(self.report.points[i]))

    def put(self, i: int, point: Point, tell: bool = True) -> None:
        """Keep what is known of a point now."""
        points = self.report.points
        self.report = replace(self.report, points=(*points[:i], point, *points[i + 1 :]))
        if tell:
            self.tell(f"{self.report.name(i)} is measured")

    def tell(self, phase: str, **columns: Any) -> None:
        """Where the run is; what it found so far is kept with it, once there are plans."""
        points = self.report.points
        if points:
            done = sum(not point.waits_for_quality for point in points)
            done += sum(not (point.waits_for_quality or point.waits_for_time) for point in points)
            total = 2 * len(points)
            if self.report.recover:
                done += sum(point.recovered is not None or point.reason is not None for point in points)
                total += len(points)
            columns |= {"done": done, "total": total}
            columns["result"] = {**self.report.to_json(), "model": self._model}
        self._runs.update(self._run.id, phase=phase, **columns)


class _Plans:
    """Makes the plans of all budgets: the solver's, and each peer's at the same budget."""

    def __init__(
        self,
        run: Run,
        runs: RunStore,
        request: FrontierRequest,
        found: Description,
        predictor: Predictor,
        model: nn.Module,
        cutter: Callable[[], Cutter],
    ) -> None:
        self._ref, self._request, self._found, self._predictor = run.workload, request, found, predictor
        self._model, self._cutter, self._book = model, cutter, PlanBook(runs.workspace)
        self._saved = saved_time_of(runs, found, request.engine) if request.kind == "milliseconds" else None
        self._ends = ends_of(runs, found, request.steps, request.engine)[0]
        self._dense = self._cost(NO_PLAN)
        self._kinds = request.granularities or solved_granularities(request.kind, predictor)
        self._check = stop_check(run, runs)

    def made(self) -> tuple[Point, ...]:
        """A point for each budget and maker, with its plan or why there is none."""
        known: dict[str, str] = {}
        found: list[Point] = []
        for budget in self._request.budgets:
            for maker in self._request.makers:
                self._check()
                blank = Point(maker, budget)
                try:
                    plan = self._plan(maker, budget)
                    if not plan.cuts:
                        raise SecateurError("the plan cuts nothing")
                    if plan.fingerprint() in known:
                        raise SecateurError(f"the same plan as {known[plan.fingerprint()]}")
                    known[plan.fingerprint()] = called(maker, budget)
                    found.append(self._kept(blank, plan))
                except SecateurError as error:
                    found.append(replace(blank, reason=str(error)))
        return tuple(found)

    def _kept(self, point: Point, plan: SparsityPlan) -> Point:
        goal = f"at most {numbers.share_text(point.budget)} of the {COST_WORDS[self._request.kind]}, {point.maker}"
        predictor = self._predictor
        prediction = predictor.predict(plan) if predictor.fits(plan) else None
        kept = self._book.keep(
            self._ref, plan, MAKERS.get(point.maker, "baseline"), prediction=prediction,
            n_plans=predictor.n_plans if prediction else 0, goal=goal,
        )  # fmt: skip
        return replace(
            point, plan=kept.id, document=plan.to_document(), form=form_of(plan), left=self._cost(plan) / self._dense
        )

    def _plan(self, maker: str, budget: float) -> SparsityPlan:
        request = self._request
        if maker == SOLVER:
            solved = solve(
                Goal(request.kind, budget), self._predictor, self._found, self._saved,
                granularities=request.granularities, criterion=request.criterion, ends=self._ends,
            )  # fmt: skip
            if not solved.feasible:
                raise SecateurError(
                    f"cannot be met: what was measured leaves {numbers.share_text(solved.left)} at least"
                )
            return solved.plan
        kinds = set(self._kinds)
        if kinds == {"weight"} and request.kind in BUDGETS:
            if request.repair:
                raise SecateurError(f"{maker} makes plans without a repair")
            return allocated_plan(maker, self._model, self._found, budget, request.kind)
        if kinds == {"channel"}:
            plan = allocated_channels(
                maker, self._cutter().maker, self._groups(), self._ref, self._cost, budget * self._dense,
                lambda made: on_steps(made, self._found.targets, self._ends)[0] if self._ends else made,
            )  # fmt: skip
            return replace(plan, repair=request.repair)
        what = " and ".join(sorted(kinds))
        raise SecateurError(
            f"{maker} shares out either weights or channels, and the solver cuts {what}; compare with "
            "--granularities channel"
        )

    def _groups(self) -> list[tuple[Units, Cut]]:
        """The groups that the solver may cut, each by the same criterion and alignment as there."""
        rows = plan_rows(self._predictor, self._found, NO_PLAN, ("channel",), self._request.criterion)
        return [(self._units(row), _any_cut(row)) for row in rows if len(row.sparsities) > 1]

    def _units(self, row: PlanRow) -> Units:
        target = next(one for one in self._found.channel_targets if one.name == row.curve.target)
        shapes = {one.name: one.shape for one in self._found.weight_targets}
        made_by = [member.layer for member in target.members if member.role == "outputs"]
        found = tuple(shapes[layer] for layer in made_by if layer in shapes)
        if not found:
            raise SecateurError(f"nothing is known of the layers that make the channels of {target.name}")
        return Units(target, found)

    def _cost(self, plan: SparsityPlan) -> float:
        return plan_cost(plan, self._found, self._request.kind, self._saved).value


def _any_cut(row: PlanRow) -> Cut:
    cut = row.cut(1)
    assert cut is not None, "a level above the first cuts something"
    return cut


def _plan(point: Point) -> SparsityPlan:
    assert point.document is not None
    return SparsityPlan.from_document(point.document)


def _untimed(point: Point) -> Point:
    if point.drop is None:
        return point
    return replace(point, bytes=None, compressed=None, seconds=None, ratio=None, note="", reason=None)


def _with_time(point: Point, found: Timed) -> Point:
    return replace(point, **asdict(found) | {"ratio": found.ratio})
