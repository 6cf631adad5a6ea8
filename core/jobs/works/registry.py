"""What the worker does for each kind of run. The only part of `jobs` that needs torch."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.errors import SecateurError
from core.jobs.known.plan_book import PlanBook
from core.jobs.launch import IN_MEMORY
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.bits import do_bits
from core.jobs.works.measuring import file_stem, measurement_for
from core.jobs.works.profiling import profiled
from core.jobs.works.quantize import do_quantize
from core.jobs.works.recover import do_recover
from core.jobs.works.refine import do_refine
from core.jobs.works.tickets import do_tickets
from core.jobs.works.tuning import do_anchors, do_minimise
from core.jobs.works.verify import do_verify
from core.plans.criteria import FACTS, checked_criterion
from core.plans.plan import SparsityPlan
from core.profiling.request import ProfileRequest
from core.profiling.target_flops import flops_by_target
from core.pruning.structure import everything
from core.sensitivity import sweep_words
from core.sensitivity.cells import plan_cells, prepared
from core.sensitivity.joint_sweep import PairNews
from core.sensitivity.measuring.cost import Cost
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.plan_measurement import plan_measurement
from core.sensitivity.pair_sweep import PairSweep, pair_cuts
from core.sensitivity.pairs import PairsRequest
from core.sensitivity.preview import preview
from core.sensitivity.report import CellResult
from core.sensitivity.request import SweepRequest
from core.sensitivity.statistics.interaction import additive_scale
from core.sensitivity.sweep import Sweep
from core.sensitivity.sweep_news import News
from core.workload.description import describe
from core.workload.workload import Workload


def do_describe(run: Run, workload: Workload, runs: RunStore) -> None:
    """Nothing but what every run does: loading the workload has described it."""
    runs.update(run.id, total=1, done=1)


def do_sweep(run: Run, workload: Workload, runs: RunStore) -> None:
    """Lay out the cells with their estimates, then measure them all, batch after batch."""
    request = SweepRequest.from_json(dict(run.request))
    with measurement_for(
        run, workload, runs, request.samples, request.seed, request.device, request.threads, request.memory
    ) as measurement:
        if request.channels:
            runs.update(run.id, phase="finding coupled channels")
            measurement.structure()
        if any(FACTS[name].needs != "weights" for name in request.criteria):
            runs.update(run.id, phase="looking at calibration data")
        planned = prepared(plan_cells(measurement.targets, request), measurement)
        cells, estimated = _estimated(run, runs, request, measurement, planned)
        result: dict[str, Any] = {
            "scale": asdict(workload.metric.scale),
            "dense": None,
            "n": measurement.batches.n,
            "model": measurement.model_hash,
            "mode": request.mode,
            "batches": measurement.batches.keys,
            "dense_cell": measurement.dense_key,
            "preview": estimated,
            **{key: (run.result or {})[key] for key in ("cost", "cost_at", "full_passes") if key in (run.result or {})},
        }

        runs.set_cells(run.id, _as_last_shown(run, runs, measurement.model_hash, cells))
        runs.update(run.id, result=result, phase="trying every target")

        def on_cost(cost: Cost) -> None:
            result["cost"], result["cost_at"] = asdict(cost), time.time()
            result["full_passes"] = list(measurement.full_passes())
            runs.update(run.id, result=result)

        def on_news(news: News) -> None:
            result["dense"] = asdict(news.dense) if news.dense else None
            if news.has_map:
                result.setdefault("first_map", time.time())
            result["tolerance"] = sweep.tolerance
            runs.set_news(run.id, news.cells, news.done, news.reused, news.total, phase(news), result)

        def phase(news: News) -> str:
            if request.mode != "exact":
                return f"{news.closed:,} of {len(cells):,} cells decided"
            n = news.dense.n if news.dense else 0
            return f"{len(cells):,} cells, {n:,} of {measurement.batches.n:,} examples"

        sweep = Sweep(measurement, cells, request, on_news, on_cost)
        sweep.run()
        # also of a run that had nothing to try, and so told no cost
        result["full_passes"] = list(measurement.full_passes()) or result.get("full_passes", [])
        if not request.dry_run:
            result["answers"] = {
                target: {**asdict(answer), "tolerance": sweep.tolerance} for target, answer in sweep.answers().items()
            }
        runs.update(run.id, result=result)


def _as_last_shown(run: Run, runs: RunStore, model_hash: str, cells: Sequence[CellResult]) -> tuple[CellResult, ...]:
    """Cells of a run that goes on, as they were when it stopped; waiting, if the model is another by now."""
    report = runs.report(run) if run.result and run.result["model"] == model_hash else None
    known = report.by_cut() if report else {}
    return tuple(known.get(cell.cut, cell) for cell in cells)


def _estimated(
    run: Run, runs: RunStore, request: SweepRequest, measurement: Measurement, cells: Sequence[CellResult]
) -> tuple[tuple[CellResult, ...], dict[str, Any] | None]:
    """Cells with their estimates, and on how many examples or why not; a resumed run keeps those it had."""
    if not request.preview:
        return tuple(cells), None
    before = run.result or {}
    note = before.get("preview")
    known = runs.report(run) if note and note["n"] and before["model"] == measurement.model_hash else None
    if known is not None:
        estimates = {cell.cut: cell.estimate for cell in known.cells if cell.estimate is not None}
    else:
        runs.update(run.id, phase="estimating from gradients")
        cuts = [cell.cut for cell in cells if cell.state != "failed"]  # some patterns are impossible
        found = preview(measurement.workload, measurement.maker, cuts, request.device, measurement.check)
        estimates, note = found.estimates, {"n": found.n, "reason": found.reason}
    return tuple(replace(cell, estimate=estimates.get(cell.cut)) for cell in cells), note


def do_pairs(run: Run, workload: Workload, runs: RunStore) -> None:
    """Lay out cuts and their pairs, measure them all, and compare each pair with its two cuts alone."""
    request = PairsRequest(**run.request)
    checked_criterion(request.criterion)
    with measurement_for(
        run, workload, runs, request.samples, request.seed, request.device, request.threads, request.memory
    ) as measurement:
        cuts, scale = pair_cuts(measurement.targets, request), workload.metric.scale
        result: dict[str, Any] = {
            "metric": asdict(scale),
            "scale": asdict(additive_scale(scale)),
            "dense": None,
            "mean": None,
            "n": measurement.batches.n,
            "model": measurement.model_hash,
        }
        what = sweep_words.n_pairs_text(len(cuts))

        def on_news(news: PairNews) -> None:
            phase = f"{what}, {news.n:,} of {measurement.batches.n:,} examples"
            runs.set_news(run.id, {}, news.done, news.reused, news.total, phase, result)

        pairs = PairSweep(measurement, cuts, request.replay, on_news)
        found = pairs.found()
        runs.set_cells(run.id, (*found.parts, *found.pairs))
        runs.update(run.id, result=result, phase=what, total=pairs.total)
        pairs.run()
        found = pairs.found()
        result["full_passes"] = list(measurement.full_passes())
        result["dense"] = asdict(measurement.dense())
        result["mean"] = asdict(found.mean) if found.mean else None
        runs.set_news(
            run.id, dict(enumerate((*found.parts, *found.pairs))), pairs.total, pairs.reused, pairs.total, what, result
        )


def do_measure(run: Run, workload: Workload, runs: RunStore) -> None:
    """Measure a whole plan, masked; if asked for, make the smaller model too and measure that one."""
    plan = SparsityPlan.from_document(run.request["plan"])
    runs.update(run.id, total=1, phase="measuring the plan")
    with measurement_for(run, workload, runs, run.request["samples"], 0, run.request["device"]) as measurement:
        measured = plan_measurement(measurement, plan)
        result = {**measured.to_json(), "model": measurement.model_hash}
        if run.request.get("form") == "shrunk" and measured.outcome.metric is not None:
            from core.delivery.shrunk import shrunk_workload

            runs.update(run.id, phase="shrinking the model and comparing it with the masked one")
            result["shrunk"] = shrunk_workload(measurement, plan).to_json()
    runs.update(run.id, result=result, done=1)


def do_profile(run: Run, workload: Workload, runs: RunStore) -> None:
    """Measure sizes and times of the dense model, and of what the plan makes of it."""
    request = ProfileRequest.from_json(run.request["profile"])
    plan = SparsityPlan.from_document(run.request["plan"]) if run.request["plan"] else None

    def tell(done: int, total: int, phase: str) -> None:
        runs.update(run.id, done=done, total=total, phase=phase)

    runs.update(run.id, result=profiled(run, workload, runs, plan, request, tell), total=1, done=1)


def do_export(run: Run, workload: Workload, runs: RunStore) -> None:
    """Write a bundle into the workspace, or where the request says, and check it in a fresh process."""
    from core.delivery.bundles.bundle import write_bundle

    plan = SparsityPlan.from_document(run.request["plan"])
    out = run.request["out"]
    folder = Path(out) if out else runs.workspace.subfolder("bundles") / file_stem(workload.name, plan, run)
    with measurement_for(run, workload, runs, run.request["samples"], 0, run.request["device"]) as measurement:
        manifest = write_bundle(
            run.workload,
            measurement,
            plan,
            folder,
            on_phase=lambda phase: runs.update(run.id, phase=phase),
            form=run.request.get("form", "masked"),
            formats=run.request.get("formats"),
            opset=run.request.get("opset"),
            skip_refused=run.request.get("skip_refused", False),
            plan_origin=_plan_origin(run.workload, plan, runs),
        )
    place = folder.relative_to(runs.workspace.folder) if not out else folder
    runs.update(run.id, result={"folder": str(place), "manifest": manifest}, total=1, done=1)


def _plan_origin(workload: str, plan: SparsityPlan, runs: RunStore) -> dict[str, Any] | None:
    """What the workspace knows of where a plan comes from."""
    try:
        kept = PlanBook(runs.workspace).get(workload, plan.fingerprint())
    except SecateurError:  # forgotten since it was queued
        return None
    return {"made_by": kept.made_by, "goal": kept.goal, "name": kept.name, "note": kept.note}


HANDLERS: Mapping[str, Callable[[Run, Workload, RunStore], None]] = MappingProxyType(
    {
        "describe": do_describe,
        "sweep": do_sweep,
        "pairs": do_pairs,
        "measure": do_measure,
        "anchors": do_anchors,
        "minimise": do_minimise,
        "refine": do_refine,
        "recover": do_recover,
        "tickets": do_tickets,
        "bits": do_bits,
        "profile": do_profile,
        "export": do_export,
        "quantize": do_quantize,
        "verify": do_verify,
    }
)


def perform(run: Run, runs: RunStore, workload: Workload) -> None:
    """Do a run with a loaded workload, whose description is remembered first."""
    if not run.workload.startswith(IN_MEMORY):  # of one made in a script there will be no second look
        known = runs.description(run.workload)
        runs.remember(describe(run.workload, workload, everything, known[0] if known else None, flops_by_target))
    HANDLERS[run.kind](run, workload, runs)
