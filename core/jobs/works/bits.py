"""What the worker does for a map of pruning × quantization."""

from dataclasses import asdict
from typing import Any

from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import measurement_for
from core.plans.criteria import checked_criterion
from core.quantization.measuring import QuantizedMeasurement
from core.quantization.request import QuantizationRequest
from core.quantization.sweep import QuantizationSweep, quantized_cells
from core.sensitivity.joint_sweep import PairNews
from core.sensitivity.report import default_tolerance
from core.sensitivity.statistics.interaction import additive_scale
from core.workload.workload import Workload


def do_bits(run: Run, workload: Workload, runs: RunStore) -> None:
    """Lay out the cells, measure them all, and compare what both do with each alone."""
    request = QuantizationRequest.from_json(dict(run.request))
    checked_criterion(request.criterion)
    with measurement_for(
        run, workload, runs, request.samples, request.seed, request.device, request.threads, request.memory,
        QuantizedMeasurement,
    ) as measurement:  # fmt: skip
        assert isinstance(measurement, QuantizedMeasurement)
        cells, scale = quantized_cells(measurement.targets, request), workload.metric.scale
        result: dict[str, Any] = {
            "metric": asdict(scale),
            "scale": asdict(additive_scale(scale)),
            "dense": None,
            "tolerance": request.tolerance,
            "means": [],
            "n": measurement.batches.n,
            "model": measurement.model_hash,
        }
        what = f"{len(cells):,} cells of {len({cell.target for cell in cells}):,} targets"

        def on_news(news: PairNews) -> None:
            phase = f"{what}, {news.n:,} of {measurement.batches.n:,} examples"
            runs.set_news(run.id, {}, news.done, news.reused, news.total, phase, result)

        sweep = QuantizationSweep(measurement, cells, request, on_news)
        runs.set_cells(run.id, cells)
        runs.update(run.id, result=result, phase=what, total=sweep.total)
        sweep.run()
        found, dense = sweep.found(), measurement.dense()
        result["full_passes"] = list(measurement.full_passes())
        result["dense"] = asdict(dense)
        result["tolerance"] = default_tolerance(scale, dense.value) if request.tolerance is None else request.tolerance
        result["means"] = [(s, bits, asdict(mean) if mean else None) for s, bits, mean in found.means]
        runs.set_news(run.id, dict(enumerate(found.cells)), sweep.total, sweep.reused, sweep.total, what, result)
