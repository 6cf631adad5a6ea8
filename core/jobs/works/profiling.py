"""Profiles inside a run: of its own, or on the way of a longer one; and where a plan pays, engine by engine."""

import copy
import time
from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from core.engines.adapters.installed import installed
from core.engines.adapters.registry import ADAPTERS
from core.engines.engine import EngineUnavailable
from core.errors import SecateurError
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.submissions import profile_submission
from core.jobs.works.measuring import stop_check
from core.plans.plan import SparsityPlan
from core.profiling.machine import this_machine
from core.profiling.pays.report import PaysReport, Row
from core.profiling.pays.request import PaysRequest
from core.profiling.report import Machine, SpeedRatio, Unavailable
from core.profiling.request import ProfileRequest
from core.profiling.stairs.report import EngineStairs, StairsReport
from core.profiling.stairs.request import StairsRequest
from core.sensitivity.measuring.stopping import Cancelled
from core.workload.identity.fingerprint import model_fingerprint
from core.workload.workload import Workload

if TYPE_CHECKING:
    from core.profiling.stairs.measure import Measuring

PASSES = 200  # to count memory: of what has more groups and attentions it is counted only when somebody asks
TELL_SECONDS = 0.5
NOT_SHRUNK = "the plan takes single weights alone, and whole channels or heads none: there is nothing to shrink"


def profiled(
    run: Run,
    workload: Workload,
    runs: RunStore,
    plan: SparsityPlan | None,
    request: ProfileRequest,
    tell: Callable[[int, int, str], None],
) -> dict[str, Any]:
    """Measure sizes and times of the dense model and of what a plan makes of it; a profile run's result.

    Args:
        run: that does it, and may be stopped.
        workload: its model.
        runs: of the workspace.
        plan: `None` for the dense model alone.
        request: what is timed.
        tell: told of progress, twice a second at most.
    """
    from core.profiling.profile import profile
    from core.profiling.variants import single_cuts, variants

    told = 0.0

    def tell_seldom(done: int, total: int, phase: str) -> None:
        nonlocal told
        if time.monotonic() - told > TELL_SECONDS:  # between two rounds: writing must not cost more than they do
            told = time.monotonic()
            tell(done, total, phase)

    report = profile(
        variants(workload, plan),
        workload.evaluation.tensors[:-1],  # the last are the labels
        request,
        stop_check(run, runs),
        tell_seldom,
        run.workload,
        single_cuts(workload, request.savings),
    )
    return {**report.to_json(), "model": model_fingerprint(workload.model)}


def profiled_and_noted(
    run: Run, workload: Workload, runs: RunStore, plan: SparsityPlan | None, request: ProfileRequest
) -> dict[str, Any]:
    """Profile on the way of a longer run, and note it as if it had been a run of its own."""
    begun = time.time()
    result = profiled(run, workload, runs, plan, request, lambda done, total, phase: runs.update(run.id, phase=phase))
    runs.note_finished("profile", *profile_submission(run.workload, plan, request), result, begun)
    return result


def do_profile(run: Run, workload: Workload, runs: RunStore) -> None:
    """Measure sizes and times of the dense model, and of what the plan makes of it; then count memory, once.

    A run that died while memory was counted has its result, of which nothing is measured again on the same machine.
    """
    request = ProfileRequest.from_json(run.request["profile"])
    plan = SparsityPlan.from_document(run.request["plan"]) if run.request["plan"] else None

    def tell(done: int, total: int, phase: str) -> None:
        runs.update(run.id, done=done, total=total, phase=phase)

    kept = dict(run.result or {})
    machine = asdict(this_machine(torch.device(request.device)))
    if (kept.get("model"), kept.get("machine")) != (model_fingerprint(workload.model), machine):
        runs.update(run.id, result=profiled(run, workload, runs, plan, request, tell), total=1, done=1)
    with suppress(Cancelled):  # the profile is complete, and whoever asks to stop now asks for no less
        _count_memory(run, workload, runs)


def _count_memory(run: Run, workload: Workload, runs: RunStore) -> None:
    """Keep with the model what a forward pass of it holds, so that it can be told of plans; once."""
    from core.profiling.held.counting import with_memory

    known = runs.description(run.workload)
    if known is None or known[0].memory is not None or known[0].fingerprint != model_fingerprint(workload.model):
        return
    attentions = {target.layer for target in known[0].head_targets}
    if len(known[0].channel_targets) + len(attentions) <= PASSES:
        runs.update(run.id, phase="counting what a forward pass holds")
        runs.remember(with_memory(known[0], workload, stop_check(run, runs)))


def do_stairs(run: Run, workload: Workload, runs: RunStore) -> None:
    """Milliseconds against width in every engine; each handful of widths is kept as soon as it was timed."""
    from core.profiling.stairs.measure import measured

    request = StairsRequest.from_json(dict(run.request["stairs"]))
    model, machine = model_fingerprint(workload.model), this_machine(torch.device("cpu"))
    earlier = runs.stairs_report(run) if (run.result or {}).get("model") == model else None
    is_here = earlier is not None and earlier.machine == machine  # times of another machine are none of this one
    found = {one.engine: one for one in earlier.engines if _is_same(one, request)} if earlier and is_here else {}
    phase = ""

    def tell(said: str = "") -> None:
        nonlocal phase
        phase = said or phase
        in_order = tuple(found[engine] for engine in request.engines if engine in found)
        report = StairsReport(run.workload, machine, request.threads, request.batch, in_order)
        n = sum(len(one.widths) + len(one.wholes) for one in in_order)
        total = len(request.engines) * per_engine
        runs.update(run.id, phase=phase, total=total, done=n, result={**report.to_json(), "model": model})

    asked = measuring(run, workload, runs, request)
    per_engine = asked.narrowed.n_models()
    if not per_engine:
        raise SecateurError(
            f"{workload.name} has no coupled group and no attention whose width could change; "
            "`secateur targets` says what stands in the way"
        )
    runs.update(run.id, reused=sum(len(one.widths) + len(one.wholes) for one in found.values()))
    for engine in request.engines:
        if engine in found and found[engine].finished:
            continue
        for now in measured(asked, found.get(engine) or EngineStairs(engine, None)):
            found[engine] = now
            tell()
    tell("done")


def timed_in_engine(
    run: Run, workload: Workload, runs: RunStore, plan: SparsityPlan, request: StairsRequest, engine: str
) -> SpeedRatio | Unavailable:
    """How many times as fast the smaller model of a plan is in an engine, in turn with the dense one; or why it was not
    timed: the plan takes no channel or head out, or the engine cannot run one of the two.

    Args:
        run: that does it, and may be stopped.
        workload, plan: the model, and what is cut of it.
        runs: of the workspace.
        request: threads, batch and interpreters, as the staircases were measured.
        engine: of `ENGINE_NAMES`.
    """
    from core.profiling.stairs.measure import timed

    def missing(reason: str) -> Unavailable:
        return Unavailable("shrunk", engine, request.batch, request.threads, reason)

    if "shrunk" not in plan.forms:
        return missing(NOT_SHRUNK)
    dense, found = timed(measuring(run, workload, runs, request), engine, [plan], ["the smaller model"])
    if isinstance(dense, str):
        return missing(f"the dense model: {dense}")
    (taken,) = found
    if isinstance(taken, str):
        return missing(taken)
    return SpeedRatio(
        "shrunk", engine, request.batch, request.threads, 1 / taken.value, 1 / taken.high, 1 / taken.low, taken.n
    )


def measuring(run: Run, workload: Workload, runs: RunStore, request: StairsRequest) -> "Measuring":
    """What engines are given to time models whose channels and heads are fewer, as a request asks."""
    from core.profiling.stairs.measure import Measuring, Narrowed

    inputs = workload.evaluation.tensors[:-1]  # the last are the labels
    batch = torch.arange(request.batch) % len(inputs[0])
    return Measuring(
        Narrowed(workload), tuple(x[batch].cpu() for x in inputs), copy.deepcopy(workload.model).eval(), request,
        stop_check(run, runs), lambda said: runs.update(run.id, phase=said),
    )  # fmt: skip


def _is_same(one: EngineStairs, request: StairsRequest) -> bool:
    """Whether an engine of an earlier start has the same version still."""
    return one.version is not None and one.version == _version(one.engine, request)


def do_pays(run: Run, workload: Workload, runs: RunStore) -> None:
    """What a plan makes of a model in every engine; an engine's rows are kept as soon as they are made."""
    from core.profiling.pays.measure import Comparison, pays
    from core.profiling.variants import DENSE, variants

    request = PaysRequest.from_json(dict(run.request["pays"]))
    plan = SparsityPlan.from_document(run.request["plan"])
    model, machine = model_fingerprint(workload.model), this_machine(torch.device("cpu"))
    rows = _kept(run, request, model, machine)
    reused = len(rows)
    missing = tuple(engine for engine in request.engines if engine not in rows)

    def tell(phase: str) -> None:
        runs.update(run.id, phase=phase, total=len(request.engines), done=len(rows), reused=reused, result=_result())

    def _result() -> dict[str, Any]:
        in_order = tuple(row for engine in request.engines for row in rows.get(engine, ()))
        return {
            **PaysReport(run.workload, machine, request.threads, request.batch, in_order).to_json(),
            "model": model,
            "plan": plan.fingerprint(),
        }

    tell("cutting the model")
    models = {**variants(workload, plan), DENSE: copy.deepcopy(workload.model).eval()}
    inputs = workload.evaluation.tensors[:-1]  # the last are the labels
    batch = torch.arange(request.batch) % len(inputs[0])
    asked = Comparison(
        models, _absent(plan, models), tuple(x[batch].cpu() for x in inputs), workload.calibration,
        PaysRequest(**{**vars(request), "engines": missing}) if missing else request,
        stop_check(run, runs), tell,
    )  # fmt: skip
    for found in pays(asked) if missing else ():
        rows[found[0].engine] = found
        tell(f"{found[0].engine} is done")
    tell("done")


def _kept(run: Run, request: PaysRequest, model: str, machine: Machine) -> dict[str, tuple[Row, ...]]:
    """Rows of an earlier start, of the same model, on this machine, of engines whose version is the same still."""
    result = run.result or {}
    if result.get("model") != model or result.get("machine") != asdict(machine):
        return {}
    found: dict[str, tuple[Row, ...]] = {}
    for row in map(Row.from_json, result["rows"]):
        if row.version is not None and row.version == _version(row.engine, request):
            found[row.engine] = (*found.get(row.engine, ()), row)
    return found


def _version(engine: str, request: PaysRequest | StairsRequest) -> str | None:
    try:
        return installed(ADAPTERS[engine], dict(request.pythons).get(engine))
    except EngineUnavailable:
        return None


def _absent(plan: SparsityPlan, models: Container[str]) -> dict[str, str]:
    """Why the plan has no masked or no shrunk model."""
    why = {
        "masked": "the plan skips blocks, which no mask can do",
        "shrunk": NOT_SHRUNK,
    }
    if not plan.cuts:
        why = dict.fromkeys(why, "the plan cuts nothing")
    return {form: reason for form, reason in why.items() if form not in models}
