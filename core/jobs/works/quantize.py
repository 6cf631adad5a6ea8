"""What the worker does to quantize a model."""

from pathlib import Path

from core.delivery.quantized.model import write_quantized
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import file_stem, measurement_for
from core.plans.plan import SparsityPlan
from core.quantization.bits import SUFFIXES
from core.workload.workload import Workload


def do_quantize(run: Run, workload: Workload, runs: RunStore) -> None:
    """Cut, quantize, write into the workspace or where the request says, read back and measure."""
    asked = run.request
    plan = SparsityPlan.from_document(asked["plan"])
    path = Path(asked["out"]) if asked["out"] else _place(run, workload, plan, runs)
    with measurement_for(run, workload, runs, asked["samples"], 0, asked["device"], part="whole") as measurement:
        found = write_quantized(
            measurement, plan, path, asked["form"], asked["bits"],
            on_phase=lambda phase: runs.update(run.id, phase=phase), scheme=asked["scheme"],
        )  # fmt: skip
        result = {**found.to_json(), "model": measurement.model_hash}
    if not asked["out"]:
        result["path"] = str(path.relative_to(runs.workspace.folder))  # it may be moved as a whole
    runs.update(run.id, result=result, total=1, done=1)


def _place(run: Run, workload: Workload, plan: SparsityPlan, runs: RunStore) -> Path:
    """A file of this run's own; what a worker that was killed has left there is removed."""
    name = file_stem(workload.name, plan, run) + SUFFIXES[run.request["scheme"]]
    path = runs.workspace.subfolder("quantized") / name
    path.unlink(missing_ok=True)
    return path
