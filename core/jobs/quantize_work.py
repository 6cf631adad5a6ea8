"""What the worker does to quantize a model."""

from pathlib import Path

from core.delivery.quantized import write_quantized
from core.jobs.measuring import measurement_for
from core.jobs.runs import Run, RunStore
from core.plans.plan import SparsityPlan
from core.workload.workload import Workload


def do_quantize(run: Run, workload: Workload, runs: RunStore) -> None:
    """Cut, quantize, write, read back and measure."""
    asked = run.request
    plan = SparsityPlan.from_document(asked["plan"])
    with measurement_for(run, workload, runs, asked["samples"], 0, asked["device"]) as measurement:
        found = write_quantized(
            measurement, plan, Path(asked["out"]), asked["form"], asked["bits"],
            on_phase=lambda phase: runs.update(run.id, phase=phase), scheme=asked["scheme"],
        )  # fmt: skip
        result = {**found.to_json(), "model": measurement.model_hash}
    runs.update(run.id, result=result, total=1, done=1)
