"""What the worker does for a sweep: cells with their estimates, then measurements, batch after batch."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import measurement_for
from core.plans.criteria import FACTS
from core.sensitivity.cells import plan_cells, prepared
from core.sensitivity.measuring.cost import Cost
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.preview import preview
from core.sensitivity.report import CellResult
from core.sensitivity.request import SweepRequest
from core.sensitivity.search.enough import default_n
from core.sensitivity.sweep import Sweep
from core.sensitivity.sweep_news import News
from core.workload.inputs.names import pairing
from core.workload.inputs.pairs import pairing_text
from core.workload.workload import Workload


def do_sweep(run: Run, workload: Workload, runs: RunStore) -> None:
    """Lay out the cells with their estimates, then measure them all, batch after batch."""
    request = SweepRequest.from_json(dict(run.request))
    samples = request.samples
    if samples is None:
        samples = default_n(request, workload.metric.scale, workload.sweep_examples, workload.n_open)
    with measurement_for(
        run, workload, runs, samples, request.seed, request.device, request.threads, request.memory
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
            "notes": [],
            "inputs": pairing_text(pairing(workload.model, workload.evaluation)),
            **{key: (run.result or {})[key] for key in ("cost", "cost_at", "full_passes") if key in (run.result or {})},
        }

        runs.set_cells(run.id, _as_last_shown(run, runs, measurement.model_hash, cells))
        runs.update(run.id, result=result, phase="trying every target")

        def on_cost(cost: Cost) -> None:
            result["cost"], result["cost_at"] = asdict(cost), time.time()
            result["full_passes"] = list(measurement.full_passes())
            result["notes"] = list(measurement.notes())
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
        result["batches"], result["n_random"] = measurement.batches.keys, sweep.n_random  # of a census, in its order
        sweep.run()
        result["notes"] = list(measurement.notes())
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
