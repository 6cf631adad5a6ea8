"""Starting runs: the one door for the dashboard, the command line and the Python interface. No torch."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from core.delivery.formats.facts import WANTED, check_there, checked_formats
from core.errors import SecateurError
from core.jobs.known.kept_plan import MadeBy
from core.jobs.known.plan_book import Goal, PlanBook
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.strangers import check_named
from core.jobs.submissions import (
    certify_submission,
    frontier_submission,
    pays_submission,
    plan_submission,
    profile_submission,
    stairs_submission,
    sweep_submission,
)
from core.plans.plan import Form, SparsityPlan
from core.plans.prediction import Prediction
from core.profiling.frontier.request import FrontierRequest
from core.profiling.pays.request import PaysRequest
from core.profiling.request import ProfileRequest
from core.profiling.stairs.request import StairsRequest
from core.quantization.bits import DEFAULT_BITS, checked_bits, checked_scheme
from core.quantization.request import QuantizationRequest
from core.recovery.request import RecoverRequest
from core.recovery.tickets.request import TicketRequest
from core.sensitivity.inside.request import UndoRequest
from core.sensitivity.pairs import PairsRequest
from core.sensitivity.request import Samples, SweepRequest
from core.tuning.request import AnchorsRequest, MinimiseRequest, RefineRequest
from core.workload.loading import canonical_ref

WORKER = "core.jobs.worker"  # as it is called in the list of processes
_started: list[subprocess.Popen[bytes]] = []


def start_sweep(runs: RunStore, request: SweepRequest) -> tuple[Run, bool]:
    """Queue a sweep and start its worker.

    Returns:
        The run, and whether it is new: the same sweep under way already is returned as it is.
    """
    return _submit_and_start(runs, "sweep", *sweep_submission(request))


def start_pairs(runs: RunStore, request: PairsRequest) -> tuple[Run, bool]:
    """Queue the measuring of cuts two at a time and start its worker; returns as `start_sweep`."""
    return _submit_and_start(runs, "pairs", *sweep_submission(request))


def start_bits(runs: RunStore, request: QuantizationRequest) -> tuple[Run, bool]:
    """Queue the map of pruning × quantization and start its worker; returns as `start_sweep`."""
    return _submit_and_start(runs, "bits", *sweep_submission(request))


def start_graph(runs: RunStore, workload: str) -> tuple[Run, bool]:
    """Queue the drawing of a model's network and start its worker; returns as `start_sweep`."""
    return _submit_and_start(runs, "graph", canonical_ref(workload), {})


def start_measure(
    runs: RunStore,
    workload: str,
    plan: SparsityPlan,
    samples: Samples = "all",
    device: str = "cpu",
    form: Form = "masked",
    made_by: MadeBy = "hand",
    parent: str | None = None,
    prediction: Prediction | None = None,
    n_plans: int = 0,
    goal: Goal | None = None,
) -> tuple[Run, bool]:
    """Queue the measuring of a plan and start its worker; returns as `start_sweep`.

    The plan is kept first, with what was predicted of it: `made_by` and what follows are `PlanBook.keep`'s. With the
    form `"shrunk"` the smaller model is made as well, compared with the masked one and measured itself.
    """
    submission = plan_submission(workload, plan, samples, device, form=form if form == "shrunk" else None)
    PlanBook(runs.workspace).keep(submission[0], plan, made_by, parent, prediction, goal, n_plans=n_plans)
    return _submit_and_start(runs, "measure", *submission)


def start_anchors(runs: RunStore, request: AnchorsRequest) -> tuple[Run, bool]:
    """Queue the measuring of a few plans that tell how cuts interact, and start its worker; as `start_sweep`."""
    return _submit_and_start(runs, "anchors", *sweep_submission(request))


def start_minimise(runs: RunStore, request: MinimiseRequest) -> tuple[Run, bool]:
    """Queue the search for the cheapest plan within a tolerance and start its worker; returns as `start_sweep`."""
    return _submit_and_start(runs, "minimise", *sweep_submission(request))


def start_refine(runs: RunStore, request: RefineRequest) -> tuple[Run, bool]:
    """Queue the refining of a solved plan by measuring around it and start its worker; returns as `start_sweep`."""
    return _submit_and_start(runs, "refine", *sweep_submission(request))


def start_frontier(runs: RunStore, workload: str, request: FrontierRequest) -> tuple[Run, bool]:
    """Queue plans for several budgets, measured and timed on an engine, and start the worker; as `start_sweep`."""
    return _submit_and_start(runs, "frontier", *frontier_submission(workload, request))


def start_undo(runs: RunStore, request: UndoRequest, made_by: MadeBy = "hand") -> tuple[Run, bool]:
    """Queue the map inside a plan, which is kept first, and start its worker; returns as `start_sweep`."""
    submission = sweep_submission(request)
    PlanBook(runs.workspace).keep(submission[0], request.chosen(), made_by)
    return _submit_and_start(runs, "undo", *submission)


def start_recover(runs: RunStore, request: RecoverRequest) -> tuple[Run, bool]:
    """Queue pruning in rounds with recovery between them and start its worker; returns as `start_sweep`."""
    document = {**request.to_json(), "workload": canonical_ref(request.workload)}
    return _submit_and_start(runs, "recover", document["workload"], document)


def start_tickets(runs: RunStore, request: TicketRequest) -> tuple[Run, bool]:
    """Queue a search for lottery tickets and start its worker; returns as `start_sweep`."""
    document = {**request.to_json(), "workload": canonical_ref(request.workload)}
    return _submit_and_start(runs, "tickets", document["workload"], document)


def start_profile(
    runs: RunStore, workload: str, plan: SparsityPlan | None = None, request: ProfileRequest | None = None
) -> tuple[Run, bool]:
    """Queue a profile and start its worker; returns as `start_sweep`."""
    return _submit_and_start(runs, "profile", *profile_submission(workload, plan, request))


def start_stairs(runs: RunStore, workload: str, request: StairsRequest | None = None) -> tuple[Run, bool]:
    """Queue the measuring of milliseconds against width and start its worker; returns as `start_sweep`."""
    return _submit_and_start(runs, "stairs", *stairs_submission(workload, request))


def start_pays(
    runs: RunStore, workload: str, plan: SparsityPlan, request: PaysRequest | None = None, made_by: MadeBy = "hand"
) -> tuple[Run, bool]:
    """Queue the comparison of a plan in several engines and start its worker; returns as `start_sweep`."""
    submission = pays_submission(workload, plan, request)
    if plan.cuts:
        PlanBook(runs.workspace).keep(submission[0], plan, made_by)
    return _submit_and_start(runs, "pays", *submission)


def start_export(
    runs: RunStore,
    workload: str,
    plan: SparsityPlan,
    out: Path | None = None,
    samples: Samples = "all",
    device: str = "cpu",
    form: Form = "masked",
    made_by: MadeBy = "hand",
    formats: Sequence[str] | None = None,
    opset: int | None = None,
    skip_refused: bool = False,
    batch_only: bool = False,
    pythons: Sequence[tuple[str, str]] = (),
) -> tuple[Run, bool]:
    """Queue an export and start its worker; without `out` the bundle goes into the workspace. As `start_sweep`.

    It measures what it writes, so the plan is kept like any that is measured, unless it is empty: then the model is
    delivered as it is. `formats`, `opset`, `skip_refused`, `batch_only` and `pythons` as of `write_bundle`; what it
    would refuse at once is refused here.
    """
    names = checked_formats(WANTED[form] if formats is None else formats, opset)
    check_there(names, dict(pythons), skip_refused)
    submission = plan_submission(
        workload, plan, samples, device, out, form, formats, opset, skip_refused, batch_only, pythons=pythons
    )
    if plan.cuts:
        PlanBook(runs.workspace).keep(submission[0], plan, made_by)
    return _submit_and_start(runs, "export", *submission)


def start_quantize(
    runs: RunStore,
    workload: str,
    plan: SparsityPlan,
    out: Path | None = None,
    scheme: str = "weight",
    bits: int = DEFAULT_BITS,
    samples: Samples = "all",
    form: Form = "masked",
) -> tuple[Run, bool]:
    """Queue the quantizing of what a plan makes of a model, written to the file `out`; returns as `start_sweep`.

    Without `out` the file goes into the workspace.

    Raises:
        SecateurError: no such scheme, or bits that it does not take.
    """
    ref, request = plan_submission(workload, plan, samples, "cpu", out, form)
    how = {"scheme": checked_scheme(scheme, bits), "bits": checked_bits(bits)}
    return _submit_and_start(runs, "quantize", ref, {**request, **how})


def start_certify(
    runs: RunStore,
    workload: str,
    plan: SparsityPlan,
    within: float,
    confidence: float = 0.95,
    device: str = "cpu",
    made_by: MadeBy = "hand",
) -> tuple[Run, bool]:
    """Queue the certifying of a plan on examples that nothing was chosen by; returns as `start_sweep`.

    Args:
        plan: to be certified; an empty one for a model that was trained, as it is.
        within: drop from the dense model, in the metric's unit, above 0.
        confidence: of all certificates on the same examples together, from 0.5 to below 1.
    """
    submission = certify_submission(workload, plan, within, confidence, device)
    if plan.cuts:
        PlanBook(runs.workspace).keep(submission[0], plan, made_by)
    return _submit_and_start(runs, "certify", *submission)


def start_verify(runs: RunStore, export: str) -> tuple[Run, bool]:
    """Queue another check of the bundle that a finished export wrote; returns as `start_sweep`.

    The model is the one that was exported, as its workload file is now.

    Args:
        runs: of the workspace.
        export: id of the run that wrote the bundle.

    Raises:
        SecateurError: that run wrote no bundle.
    """
    run = runs.get(export)
    if runs.bundle_folder(run) is None or run.state != "finished":
        raise SecateurError(f"run {run.id} wrote no bundle; `secateur runs` lists those of kind export")
    return _submit_and_start(runs, "verify", run.workload, {"bundle": run.id})


def start_describe(runs: RunStore, workloads: Sequence[str]) -> None:
    """Have workloads loaded and their targets listed, by one worker: the import of torch is paid once.

    Raises:
        SecateurError: one came with a merged workspace, and nobody has named it here.
    """
    for workload in workloads:
        check_named(runs.workspace, workload)
    submitted = [runs.submit("describe", canonical_ref(workload), {}) for workload in workloads]
    fresh = [run for run, is_new in submitted if is_new]
    if fresh:
        _start_worker(runs, *fresh)


def resume(runs: RunStore, run_id: str) -> Run:
    """Let an interrupted, cancelled or failed run go on from what is on disk.

    Raises:
        SecateurError: it is at work or finished, or of a workload that nobody has named here.
    """
    check_named(runs.workspace, runs.get(run_id).workload)
    runs.workspace.subfolder("logs")
    run = runs.requeue(run_id)
    _start_worker(runs, run)
    return run


def stop(runs: RunStore, run_id: str) -> bool:
    """Ask a run to stop; one that was asked before, and has not heard it, is ended with its process.

    A model or data that hang never come to the next batch. What was measured is kept, as after any kill.

    Returns:
        Whether its process was ended.

    Raises:
        SecateurError: there is no such run; or it is measured by a process that is no worker of ours.
    """
    run = runs.get(run_id)
    if not (run.state == "running" and run.stopping):
        runs.ask_to_stop(run.id)
        return False
    with runs.workspace.connect() as db:
        pid, started = db.execute("SELECT pid, pid_started FROM runs WHERE id = ?", (run.id,)).fetchone()
    try:
        worker = psutil.Process(pid)
        if abs(worker.create_time() - started) <= 2:  # else it has ended, and another has its number
            if WORKER not in worker.cmdline():
                raise SecateurError(
                    f"run {run.id} is measured by process {pid}, a script or a notebook of yours: it stops before its "
                    "next forward pass; if it hangs, end it there"
                )
            worker.kill()
            worker.wait(10)
    except psutil.NoSuchProcess:
        pass
    except (psutil.AccessDenied, psutil.TimeoutExpired):
        raise SecateurError(f"process {pid} of run {run.id} cannot be ended from here; end it by hand") from None
    with runs.workspace.write() as db:
        db.execute(
            "UPDATE runs SET state = 'cancelled', ended = ?, phase = NULL WHERE id = ? AND state = 'running'",
            (time.time(), run.id),
        )
    return True


def _submit_and_start(runs: RunStore, kind: Any, workload: str, request: Mapping[str, Any]) -> tuple[Run, bool]:
    check_named(runs.workspace, workload)
    runs.workspace.subfolder("logs")  # else a run would wait for a worker that cannot be started
    run, is_new = runs.submit(kind, workload, request)
    if is_new:
        _start_worker(runs, run)
    return run, is_new


def _start_worker(runs: RunStore, *queued: Run) -> None:
    _started[:] = [process for process in _started if process.poll() is None]  # reap those that ended
    log = runs.workspace.subfolder("logs") / f"{queued[0].id}.log"
    # -P: a folder that happens to be the working directory must not shadow the packages we import
    command = [sys.executable, "-P", "-m", WORKER, str(runs.workspace.folder), *(run.id for run in queued)]
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
    except OSError as error:  # no log may be written, or no more processes be started: then it does not wait for one
        said = f"no worker could be started: {error.strerror}: {error.filename or command[0]}; mend it, and resume"
        for run in queued:
            runs.update(run.id, state="failed", ended=time.time(), error=said)
        raise SecateurError(f"run {queued[0].id}: {said}") from None
    _started.append(process)
    with suppress(SecateurError):  # it says so itself as well, a second later
        runs.note_started([run.id for run in queued], process.pid)
