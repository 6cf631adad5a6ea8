"""What is known of a model by now: cells, measured plans, and the predictor that they make. No torch."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core import numbers
from core.errors import SecateurError
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.plans.checked import Align, checked_align
from core.plans.costs.device_table import costs_of
from core.plans.costs.savings import SavedTime
from core.plans.costs.stairs import EngineTime, Stair
from core.plans.costs.steps import Ends, multiples_of
from core.plans.plan import Cut, SparsityPlan
from core.plans.prediction import Predictor
from core.profiling.saved_time import saved_time
from core.profiling.stairs.report import EngineStairs, StairsReport
from core.profiling.stairs.request import StairsRequest
from core.sensitivity.report import CellResult, Estimate, SensitivityReport, Stage
from core.tuning.predictor import MeasuredJoint, make_predictor
from core.workload.description import Description

STAGES: tuple[Stage, ...] = ("early", "open", "forecast", "decided", "full")  # of cells, the best known last
Reports = Iterable[tuple[Run, SensitivityReport]]


def is_current(run: Run, fingerprint: str) -> bool:
    """Whether a run measured the model of that fingerprint: the same weights, code and settings."""
    return run.result is not None and run.result.get("model") == fingerprint


def sweep_reports(
    runs: RunStore,
    found: Description,
    report_of: Callable[[Run], SensitivityReport | None] | None = None,
    repair: str | None = None,
) -> list[tuple[Run, SensitivityReport]]:
    """Sweeps of the model as it is now that know the dense metric, newest first.

    Args:
        runs: of the workspace.
        found: the model.
        report_of: reads a run's report; for one who remembers them.
        repair: sweeps whose cells were repaired so; `None` for those of raw cuts. The two are never mixed.
    """
    read = report_of or runs.report
    current = [run for run in runs.list("sweep", found.ref) if is_current(run, found.fingerprint)]
    current = [run for run in current if run.request.get("repair") == repair]
    reports = [(run, report) for run in current if (report := read(run)) is not None]
    return [(run, report) for run, report in reports if report.dense is not None and report.by_cut()]


def known_cells(reports: Reports) -> dict[Cut, CellResult]:
    """What sweeps of one model have measured, cut by cut.

    Of each granularity, only runs on the largest number of examples: intervals of different samples do not belong in
    one column, and a quick look on a hundred must not hide a thorough one. A finished search counts as all of its
    examples, for its verdicts are about all of them. Of several cells of one cut the one that is known best is taken,
    of equal ones the newest.
    """
    begun = [(_examples(run, report), report.by_cut()) for run, report in reports]
    most: dict[str, int] = {}
    for n, known in begun:
        for granularity in {cut.granularity for cut in known}:
            most[granularity] = max(n, most.get(granularity, 0))
    cells: dict[Cut, CellResult] = {}
    for n, known in begun:
        for cut, cell in known.items():
            if n == most[cut.granularity] and (cut not in cells or _rank(cell) > _rank(cells[cut])):
                cells[cut] = cell
    return cells


def measured_joints(
    runs: RunStore, found: Description, among: Collection[str] | None = None, repair: str | None = None
) -> tuple[MeasuredJoint, ...]:
    """Plans of the model as it is now that were measured, oldest first; of each the measurement on most examples.

    An export measures what it writes, and counts like a measurement of the plan.

    Plans without effect are left out: they say nothing of how cuts interact.

    Args:
        runs: of the workspace.
        found: the model.
        among: ids of the runs that count; `None` for all.
        repair: of those plans; `None` for plans without one.
    """
    plans: dict[SparsityPlan, MeasuredJoint] = {}
    for run in measured_runs(runs, found, repair):
        if among is None or run.id in among:
            result = measured_part(run)
            plan = SparsityPlan.from_document(run.request["plan"])
            dense, pruned, drop = (Estimate(**result[name]) for name in ("dense", "pruned", "drop"))
            if plan not in plans or drop.n >= plans[plan].drop.n:
                plans[plan] = MeasuredJoint(plan, dense, pruned, drop)
    return tuple(plans.values())


def measured_runs(runs: RunStore, found: Description, repair: str | None = None) -> tuple[Run, ...]:
    """Measurements and exports of plans with this repair that changed the model as it is now, oldest first."""
    ran = sorted((*runs.list("measure", found.ref), *runs.list("export", found.ref)), key=lambda run: run.created)
    return tuple(
        run
        for run in ran
        if (told := measured_part(run)).get("model") == found.fingerprint
        and told.get("state") == "measured"
        and run.request["plan"].get("repair") == repair
        and run.request["plan"]["cuts"]
    )


def measured_part(run: Run) -> Mapping[str, Any]:
    """What a run has measured of its plan, as a measurement keeps it; empty where that is nothing."""
    result = run.result or {}
    if run.kind != "export":
        return result
    manifest = result.get("manifest")
    return {**manifest["measured"], "model": manifest.get("dense_model")} if manifest else {}


def predictor_of(
    runs: RunStore,
    found: Description,
    report_of: Callable[[Run], SensitivityReport | None] | None = None,
    among: Collection[str] | None = None,
    repair: str | None = None,
) -> Predictor | None:
    """The predictor that sweeps and measured plans of a model make; `None` before any cell was measured.

    It is one of plans with this repair, from cells and plans with the same, or with none.

    Args:
        runs, found, report_of: as for `sweep_reports`.
        among: ids of the measured plans' runs that count; `None` for all.
        repair: of plans and cells.
    """
    reports = sweep_reports(runs, found, report_of, repair)
    if not reports:
        return None
    joints = measured_joints(runs, found, among, repair)
    return make_predictor(known_cells(reports).values(), found.scale, dense_of(reports), joints, repair)


def dense_of(reports: Sequence[tuple[Run, SensitivityReport]]) -> Estimate:
    """The dense model's metric, of the sweep on the most examples; there is at least one."""
    _, best = max(reports, key=lambda pair: _examples(*pair))
    assert best.dense is not None
    return best.dense


def saved_time_of(
    runs: RunStore, found: Description, engine: str | None = None, costs: Sequence[Mapping[str, Any]] = ()
) -> SavedTime | None:
    """What time cuts save, as the newest run tells that measured it on the model as it is now; else `None`.

    Args:
        runs: of the workspace.
        found: the model.
        engine: of which staircases were measured, see `core.profiling.stairs`; `None` for eager torch, from profiles of
            single cuts.
        costs: rows of a device's table; they alone count where there are any.

    Raises:
        SecateurError: no staircases of the engine that was asked for are known of this model.
    """
    if costs:
        return costs_of(costs, found).saved
    if engine is not None:
        time = engine_time_of(runs, found, engine)
        if time is None:
            raise SecateurError(
                f"no staircase of {found.name} as it is now was measured in {engine}; "
                f"`secateur profile {found.ref} --widths --engines {engine}` measures them"
            )
        return SavedTime(time.dense, built=time)
    for run in runs.list("profile", found.ref):
        report = runs.profile_report(run) if run.state == "finished" and is_current(run, found.fingerprint) else None
        saved = saved_time(report, found) if report is not None else None
        if saved is not None:
            return saved
    return None


def engine_time_of(runs: RunStore, found: Description, engine: str) -> EngineTime | None:
    """What is known of the model's time in an engine, of the newest staircases that are complete; else `None`."""
    measured = stairs_of(runs, found).get(engine)
    return measured.stairs.time(found) if measured is not None else None


def ends_of(
    runs: RunStore,
    found: Description,
    align: Align | None,
    engine: str | None = None,
    costs: Sequence[Mapping[str, Any]] = (),
) -> tuple[Ends, str]:
    """Which widths may be left of each coupled group, and whose steps they are.

    Args:
        runs: of the workspace.
        found: the model.
        align: a number of which they are multiples; `"auto"`: where measured steps end; `None` for `"auto"` in an
            engine that was named, else for any width.
        engine: whose steps; `None` for that in which they were measured last.
        costs: rows of a device's table, whose steps count where there are any.

    Returns:
        Nothing where every width may be left; and the engine, or an empty text.

    Raises:
        SecateurError: no steps of it are known of this model.
    """
    if align is None:
        align = "auto" if engine is not None or costs else 1
    if align != "auto":
        return (multiples_of(checked_align(align), found.targets) if align != 1 else {}), ""
    if costs:
        told = costs_of(costs, found)
        return _ends(told.time.channels), told.device
    stairs = stairs_of(runs, found)
    chosen = engine or next(iter(stairs), None)
    if chosen is None or chosen not in stairs:
        where = f" in {chosen}" if chosen else ""
        raise SecateurError(
            f"--align auto takes steps that were measured, and none of {found.name} as it is now was{where}; "
            f"`secateur profile {found.ref} --widths --engines {chosen or 'onnx'}` measures them"
        )
    return _ends(stairs[chosen].stairs.stairs()[0]), chosen


def _ends(stairs: Mapping[str, Stair]) -> Ends:
    return {name: stair.ends() for name, stair in stairs.items()}


@dataclass(frozen=True)
class KnownStairs:
    """Staircases in one engine: the run that measured them, its report, and the engine's own part of it."""

    run: Run
    report: StairsReport
    stairs: EngineStairs

    def request(self) -> StairsRequest:
        """How they were measured: threads, batch, the interpreter that has the engine."""
        return StairsRequest.from_json(dict(self.run.request["stairs"]))

    def where(self) -> str:
        """`onnx 1.27.0, batch 1, 1 thread, on Intel Xeon`: they hold there and nowhere else."""
        report, engine = self.report, f"{self.stairs.engine} {self.stairs.version}"
        return f"{engine}, batch {report.batch:,}, {numbers.threads_text(report.threads)}, on {report.machine.cpu}"


def stairs_of(runs: RunStore, found: Description) -> dict[str, KnownStairs]:
    """By engine the newest complete staircases of the model as it is now."""
    newest: dict[str, KnownStairs] = {}
    for run in runs.list("stairs", found.ref):
        report = runs.stairs_report(run) if is_current(run, found.fingerprint) else None
        for one in report.engines if report is not None else ():
            if one.finished and one.reason is None and report is not None:
                newest.setdefault(one.engine, KnownStairs(run, report, one))
    return newest


def _examples(run: Run, report: SensitivityReport) -> int:
    of = report.n_examples if run.state == "finished" else 0
    return max(of, report.dense.n if report.dense else 0)


def _rank(cell: CellResult) -> tuple[int, int]:
    """How well a cell is known."""
    return STAGES.index(cell.stage), cell.drop.n if cell.drop else 0
