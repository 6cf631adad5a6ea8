"""What the worker does for a sweep: cells with their estimates, then measurements, batch after batch."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from core.jobs import first_parts
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import describe_in_passing, measurement_for
from core.plans.criteria import FACTS
from core.plans.plan import Cut
from core.sensitivity import sweep_words
from core.sensitivity.cells import plan_cells, prepared
from core.sensitivity.measuring.cost import Cost
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.preview import preview
from core.sensitivity.report import CellResult
from core.sensitivity.request import SweepRequest
from core.sensitivity.search.enough import default_n
from core.sensitivity.search.shard import mine
from core.sensitivity.sweep import Sweep
from core.sensitivity.sweep_news import News
from core.workload.inputs.names import pairing
from core.workload.inputs.pairs import pairing_text
from core.workload.workload import Workload

FIRST_CELL = "first cell"  # the part of the way to the first number in which it is measured
KEPT = ("cost", "cost_at", "full_passes", "first_parts")  # of the result of a run that goes on


def do_sweep(run: Run, workload: Workload, runs: RunStore) -> None:
    """Lay out the cells with their estimates, then measure them all, batch after batch."""
    request = SweepRequest.from_json(dict(run.request))
    samples = request.samples
    if samples is None:
        samples = default_n(request, workload.metric.scale, workload.sweep_examples, workload.n_open)
    first_parts.part("hash")
    with measurement_for(
        run, workload, runs, samples, request.seed, request.device, request.threads, request.memory
    ) as measurement:
        first_parts.part("trace")
        if request.channels:
            runs.update(run.id, phase="finding coupled channels")
            measurement.structure()
        if request.repair or any(FACTS[name].needs != "weights" for name in request.criteria):
            runs.update(run.id, phase="looking at calibration data")
        cells = plan_cells(measurement.targets, request)
        belongs = mine([cell.cut.target for cell in cells], request.shard)
        cells = prepared(
            [cell for cell, is_mine in zip(cells, belongs, strict=True) if is_mine], measurement, request.repair
        )
        result: dict[str, Any] = {
            "scale": asdict(workload.metric.scale),
            "dense": None,
            "n": measurement.batches.n,
            "model": measurement.model_hash,
            "mode": request.mode,
            "batches": measurement.batches.keys,
            "dense_cell": measurement.dense_key,
            "preview": None,
            "notes": [],
            "inputs": pairing_text(pairing(workload.model, workload.evaluation)),
            **{key: (run.result or {})[key] for key in KEPT if key in (run.result or {})},
        }

        shown = dict(enumerate(_as_last_shown(run, runs, measurement.model_hash, cells)))
        runs.set_cells(run.id, tuple(shown.values()))
        runs.update(run.id, result=result, phase="measuring a first cell")

        def on_cost(cost: Cost) -> None:
            result["cost"], result["cost_at"] = asdict(cost), time.time()
            result["full_passes"] = list(measurement.full_passes())
            result["notes"] = list(measurement.notes())
            runs.update(run.id, result=result)

        def on_news(news: News) -> None:
            result["dense"] = asdict(news.dense) if news.dense else None
            if (watch := first_parts.end()) is not None:
                watch.move(FIRST_CELL, "trial passes", measurement.trying_seconds)
                result["first_parts"] = watch.to_json()
            if news.has_map:
                result.setdefault("first_map", time.time())
            result["tolerance"] = sweep.tolerance
            shown.update(news.cells)
            runs.set_news(run.id, news.cells, news.done, news.reused, news.total, phase(news), result)

        def phase(news: News) -> str:
            if request.mode != "exact":
                return f"{news.closed:,} of {len(cells):,} cells decided"
            n = news.dense.n if news.dense else 0
            return f"{len(cells):,} cells, {sweep_words.seen_text(n, measurement.batches.n)}"

        first_parts.part(FIRST_CELL)
        sweep = Sweep(measurement, cells, request, on_news, on_cost)
        result["batches"], result["n_random"] = measurement.batches.keys, sweep.n_random  # of a census, in its order
        sweep.first()
        first_parts.end()  # of a run that goes on there is no first number
        describe_in_passing(run, runs, workload, measurement)
        estimates, result["preview"] = _estimated(run, runs, request, measurement, cells)
        sweep.estimate(estimates)
        told = {p: replace(cell, estimate=estimates.get(cell.cut)) for p, cell in shown.items()}
        runs.set_news(run.id, told, 0, 0, len(cells), "trying every target", result)
        sweep.run()
        result["notes"] = [*measurement.notes(), *sweep.notes()]
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
    if report is None:
        return tuple(cells)
    known, estimates = report.by_cut(), {cell.cut: cell.estimate for cell in report.cells}
    return tuple(known.get(cell.cut) or replace(cell, estimate=estimates.get(cell.cut)) for cell in cells)


def _estimated(
    run: Run, runs: RunStore, request: SweepRequest, measurement: Measurement, cells: Sequence[CellResult]
) -> tuple[dict[Cut, float], dict[str, Any] | None]:
    """Estimates by cut, and on how many examples or why not; a resumed run keeps those it had."""
    if not request.preview:
        return {}, None
    before = run.result or {}
    note = before.get("preview")
    known = runs.report(run) if note and note["n"] and before["model"] == measurement.model_hash else None
    if known is not None:
        return {cell.cut: cell.estimate for cell in known.cells if cell.estimate is not None}, note
    runs.update(run.id, phase="estimating from gradients")
    cuts = [cell.cut for cell in cells if cell.state != "failed"]  # some patterns are impossible
    found = preview(measurement.workload, measurement.maker, cuts, request.device, measurement.check)
    return found.estimates, {"n": found.n, "reason": found.reason}
