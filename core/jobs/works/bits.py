"""What the worker does with few bits: the map of pruning × quantization, and quantized models written."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.delivery.quantized.model import write_quantized
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import describe_in_passing, file_stem, measurement_for
from core.plans.criteria import checked_criterion
from core.plans.plan import SparsityPlan
from core.quantization.bits import SUFFIXES
from core.quantization.measuring import QuantizedMeasurement
from core.quantization.request import QuantizationRequest
from core.quantization.sweep import QuantizationSweep, quantized_cells
from core.sensitivity import sweep_words
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
            phase = f"{what}, {sweep_words.seen_text(news.n, measurement.batches.n)}"
            runs.set_news(run.id, {}, news.done, news.reused, news.total, phase, result)

        sweep = QuantizationSweep(measurement, cells, request, on_news)
        sweep.take(request.shard)
        runs.set_cells(run.id, cells)
        runs.update(run.id, result=result, phase=what, total=sweep.total)
        describe_in_passing(run, runs, workload, measurement)
        sweep.run()
        if request.shard is not None:
            return  # evidence, of which the whole map is made once it is merged
        found, dense = sweep.found(), measurement.dense()
        result["full_passes"] = list(measurement.full_passes())
        result["dense"] = asdict(dense)
        result["tolerance"] = default_tolerance(scale, dense.value) if request.tolerance is None else request.tolerance
        result["means"] = [(s, bits, asdict(mean) if mean else None) for s, bits, mean in found.means]
        runs.set_news(run.id, dict(enumerate(found.cells)), sweep.total, sweep.reused, sweep.total, what, result)


def do_quantize(run: Run, workload: Workload, runs: RunStore) -> None:
    """Cut, quantize, write into the workspace or where the request says, read back and measure."""
    asked = run.request
    plan = SparsityPlan.from_document(asked["plan"])
    path = Path(asked["out"]) if asked["out"] else _place(run, workload, plan, runs)
    with measurement_for(run, workload, runs, asked["samples"], 0, asked["device"], part="whole") as measurement:
        found = write_quantized(
            measurement, plan, path, asked["form"], asked["bits"],
            on_phase=lambda phase: runs.update(run.id, phase=phase), scheme=asked["scheme"],
            replaces=not asked["out"],  # a worker put it there, and was killed before it said so
        )  # fmt: skip
        result = {**found.to_json(), "model": measurement.model_hash}
    if not asked["out"]:
        result["path"] = str(path.relative_to(runs.workspace.folder))  # it may be moved as a whole
    runs.update(run.id, result=result, total=1, done=1)


def _place(run: Run, workload: Workload, plan: SparsityPlan, runs: RunStore) -> Path:
    """A file of this run's own."""
    name = file_stem(workload.name, plan, run) + SUFFIXES[run.request["scheme"]]
    return runs.workspace.subfolder("quantized") / name
