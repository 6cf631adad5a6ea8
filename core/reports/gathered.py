"""What one report holds: runs with their maps, plans beside what was measured of them, recoveries. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import SecateurError
from core.jobs.known.kept_plan import KeptPlan, MeasuredPlan
from core.jobs.known.plan_book import PlanBook
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.state_words import state_text
from core.plans.plan import SparsityPlan
from core.recovery.history import Round
from core.reports.differences import Comparison, compare
from core.sensitivity.report import SensitivityReport
from core.workload.description import Description
from core.workload.scale import Scale

SHOWN = ("sweep", "measure", "export", "recover")  # kinds of runs that a report holds
MOST_PLANS = 20  # of a model, where nobody named one


@dataclass(frozen=True)
class SentMap:
    """A sweep's map, and what its model is made of, as the workspace last read it."""

    run: Run
    report: SensitivityReport
    model: Description | None


@dataclass(frozen=True)
class SentRecovery:
    """Rounds of a recovery; `scale` says how to read them."""

    run: Run
    scale: Scale
    history: tuple[Round, ...]


@dataclass(frozen=True)
class Gathered:
    """All that one report holds.

    Attributes:
        runs: that were asked for, in that order.
        maps, recoveries: of those runs.
        plan: whose lines are shown; `None` if nobody named one.
        measured: plans that were measured, each form a row; of a named plan or named runs alone, else the newest.
        n_left_out: measured plans of these models that are not shown.
        comparison: of the two maps, where there are two that one metric judged.
        not_compared: why two maps have no difference; `None` otherwise.
    """

    runs: tuple[Run, ...]
    maps: tuple[SentMap, ...]
    recoveries: tuple[SentRecovery, ...]
    plan: KeptPlan | None
    measured: tuple[MeasuredPlan, ...]
    n_left_out: int = 0
    comparison: Comparison | None = None
    not_compared: str | None = None


def gather(store: RunStore, which: Sequence[str], plan: str | None = None) -> Gathered:
    """Read what a report holds.

    Args:
        store: of the workspace.
        which: runs by name, id or the beginning of it; at least one.
        plan: a kept plan of the first run's model, by id or name, or a plan file.

    Raises:
        SecateurError: no such run or plan, a run that a report cannot show, or one that has measured nothing yet.
    """
    runs = tuple(dict.fromkeys(store.get(one).id for one in which))
    found = tuple(store.get(run_id) for run_id in runs)
    for run in found:
        _check(run)
    maps = tuple(_map(store, run) for run in found if run.kind == "sweep")
    recoveries = tuple(_recovery(run) for run in found if run.kind == "recover")
    compared, why = _compared(store, maps)
    book = PlanBook(store.workspace)
    kept = _plan(book, found[0].workload, plan) if plan is not None else None
    known = [row for ref in dict.fromkeys(run.workload for run in found) for row in book.measured(ref)]
    asked = {run.id for run in found if run.kind in ("measure", "export")}
    if kept is not None or asked:
        rows = [
            row
            for row in known
            if row.result.run in asked or (kept is not None and row.kept.fingerprint == kept.fingerprint)
        ]
        return Gathered(found, maps, recoveries, kept, tuple(rows), 0, compared, why)
    left_out = max(0, len(known) - MOST_PLANS)
    return Gathered(found, maps, recoveries, None, tuple(known[:MOST_PLANS]), left_out, compared, why)


def _compared(store: RunStore, maps: Sequence[SentMap]) -> tuple[Comparison | None, str | None]:
    """Of exactly two maps the difference, or why there is none."""
    if len(maps) != 2:
        return None, None
    try:
        return compare(store, maps[0].run, maps[1].run), None
    except SecateurError as error:  # of two metrics
        return None, str(error)


def _check(run: Run) -> None:
    if run.kind not in SHOWN:
        raise SecateurError(
            f"a report holds sweeps, measured plans, exports and recoveries, and run {run.id} is of kind {run.kind}; "
            f"`secateur show {run.id}` prints it"
        )
    result = run.result or {}
    if not (result.get("dense") or run.kind in ("measure", "export")) or run.result is None:
        goes_on = f"`secateur resume {run.id}` lets it go on" if run.state != "finished" else "measure again"
        mend = "wait for it" if run.active else goes_on
        raise SecateurError(
            f"run {run.id} has measured nothing yet that a report could show ({state_text(run)}); {mend}"
        )


def _map(store: RunStore, run: Run) -> SentMap:
    report, known = store.report(run), store.description(run.workload)
    assert report is not None, "a run with a result has a report"
    return SentMap(run, report, known[0] if known else None)


def _recovery(run: Run) -> SentRecovery:
    assert run.result is not None
    history = tuple(Round.from_json(dict(row)) for row in run.result["history"])
    return SentRecovery(run, Scale.from_json(dict(run.result["metric"])), history)


def _plan(book: PlanBook, ref: str, which: str) -> KeptPlan:
    path = Path(which)
    try:
        return book.get(ref, which)
    except SecateurError:
        if not (path.is_file() or path.suffix == ".json"):
            raise
    plan = SparsityPlan.read(path)
    same = next((one for one in book.all(ref) if one.fingerprint == plan.fingerprint()), None)
    return same or replace(KeptPlan(ref, plan, "file", None, path.stat().st_mtime), name=path.stem)
