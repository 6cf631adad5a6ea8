"""The Python interface: what `core` offers a script or a notebook."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import nn

from core.delivery.bundles.bundle import write_bundle
from core.delivery.quantized.model import Quantized, write_quantized
from core.delivery.shrunk import Shrunk, shrunk_workload
from core.errors import SecateurError
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.submissions import IN_MEMORY, sweep_submission
from core.jobs.worker import execute
from core.plans.criteria import checked_criterion
from core.plans.plan import Form, SparsityPlan
from core.pruning.config import PruningConfig
from core.pruning.layer_stats import LayerStats
from core.pruning.wearing import pruned_copy
from core.quantization.bits import DEFAULT_BITS
from core.sensitivity.inside.report import UndoReport
from core.sensitivity.inside.request import UndoRequest
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.plan_measurement import PlanMeasurement, plan_measurement
from core.sensitivity.pairs import PairsReport, PairsRequest
from core.sensitivity.report import SensitivityReport
from core.sensitivity.request import Samples, SweepRequest
from core.workload.inputs.given import workload_of
from core.workload.loading import canonical_ref, load_workload
from core.workload.metric import Metric
from core.workload.workload import Workload
from core.workspace import DEFAULT_WORKSPACE, Workspace


@dataclass(frozen=True)
class PrunedModel:
    """A pruned copy and how it compares with the dense model, which is as it was.

    Attributes:
        model: a copy with zeros in place, of the same shapes and classes; or a smaller model.
        measurement: dense and pruned metric, drop, and per-layer statistics; of the masked model.
        workload: what it was pruned from.
        ref: where that came from, a sample's name or a file; `None` if it was made in memory.
        shrunk: how the smaller model compares with the masked one; `None` if it was asked for zeros in place.
    """

    model: nn.Module = field(repr=False)
    measurement: PlanMeasurement
    workload: Workload = field(repr=False)
    ref: str | None
    shrunk: Shrunk | None = None

    @property
    def plan(self) -> SparsityPlan:
        """The plan that was applied."""
        return self.measurement.plan

    @property
    def stats(self) -> tuple[LayerStats, ...]:
        """What was cut, layer by layer."""
        return self.measurement.layers


def sweep(
    workload: str | Workload | nn.Module,
    data: Any = None,
    metric: str | Metric | None = None,
    *,
    workspace: Path | str = DEFAULT_WORKSPACE,
    **request: Any,
) -> SensitivityReport:
    """Measure what every cut costs, in this process; what was measured before is read from the workspace.

    `sweep(model, loader, metric="accuracy")` needs no workload: see `core.workload_of`.

    Args:
        workload: a sample's name, the path of a workload file, a `Workload` made in this script, or a model.
        data: of a model: a DataLoader, a Dataset, or any iterable of (inputs, labels); see `core.examples_from`.
        metric: of a model: that judges it, or its name.
        workspace: where evidence is kept. The dashboard on the same workspace shows the run of a sample or a file; one
            made in a script it cannot load, so only `secateur show` does.
        **request: fields of `SweepRequest`: `sparsities`, `layers`, `heads`, `samples`, ...

    Returns:
        Every cell with its metric, its paired drop, n and 95 % intervals.

    Raises:
        SecateurError: bad input, or the work failed.
    """
    made = _given(workload, data, metric)
    runs = RunStore(Workspace(workspace))
    report = runs.report(_done_here(runs, "sweep", made, SweepRequest, request))
    assert report is not None, "a finished run has a report"
    return report


def _given(workload: Any, data: Any, metric: Any) -> str | Workload:
    """A workload of a model and its data; a workload as it is."""
    if isinstance(workload, str | Workload):
        if data is not None or metric is not None:
            raise SecateurError("data and a metric belong to a model; a workload has its own, so give it alone")
        return workload
    if data is None or metric is None:
        what = "data" if data is None else "a metric"
        raise SecateurError(f'a model needs {what}: core.sweep(model, loader, metric="accuracy")')
    return workload_of(workload, data, metric)


def pairs(workload: str | Workload, *, workspace: Path | str = DEFAULT_WORKSPACE, **request: Any) -> PairsReport:
    """Measure cuts two at a time, in this process: do their drops add up? As `sweep`, which measures them alone.

    Args:
        workload, workspace: as for `sweep`.
        **request: fields of `PairsRequest`: `sparsity`, `layers`, `heads`, `samples`, `max_pairs`, ...

    Returns:
        Every pair with its joint drop, the sum of the two alone, and their interaction with its 95 % interval.

    Raises:
        SecateurError: bad input, too many pairs, or the work failed.
    """
    runs = RunStore(Workspace(workspace))
    run = _done_here(runs, "pairs", workload, PairsRequest, request)
    report = runs.pairs_report(run)
    assert report is not None, "a finished run has a report"
    return report


def undo(
    workload: str | Workload, plan: SparsityPlan, *, workspace: Path | str = DEFAULT_WORKSPACE, **request: Any
) -> UndoReport:
    """Measure what every row of a plan is worth inside it, in this process: given back alone, and a step further.

    Args:
        workload, workspace: as for `sweep`.
        plan: with at least one row.
        **request: other fields of `UndoRequest`: `samples`, `further`, `damage`, ...

    Returns:
        Every row with what giving it back gains and costs, and where the damage of the plan starts.

    Raises:
        SecateurError: bad input, a plan of another model, or the work failed.
    """
    runs = RunStore(Workspace(workspace))
    fields = {"plan": plan.to_document(), **request}
    report = runs.undo_report(_done_here(runs, "undo", workload, UndoRequest, fields))
    assert report is not None, "a finished run has a report"
    return report


def _done_here(
    runs: RunStore,
    kind: Literal["sweep", "pairs", "undo"],
    workload: str | Workload,
    make: type[SweepRequest] | type[PairsRequest] | type[UndoRequest],
    fields: Mapping[str, Any],
) -> Run:
    """A run of the request that these fields make, finished in this process."""
    if isinstance(workload, Workload):
        workload.check()
        loaded, asked = workload, make(IN_MEMORY + workload.name, **fields)
        run, is_new = runs.submit(kind, asked.workload, asdict(asked))
    else:
        loaded, asked = None, make(workload, **fields)
        run, is_new = runs.submit(kind, *sweep_submission(asked))
    if not is_new:
        what = {"sweep": "sweep", "pairs": "sweep over pairs", "undo": "map inside a plan"}[kind]
        raise SecateurError(f"the same {what} is under way as run {run.id}; wait for it, or `secateur cancel {run.id}`")
    run = execute(runs, run.id, loaded)
    if run.state != "finished":
        raise SecateurError(run.error or f"run {run.id} was {run.state}")
    return run


def prune(
    workload: str | Workload,
    how: PruningConfig | SparsityPlan,
    *,
    samples: Samples = "all",
    device: str = "cpu",
    form: Form = "masked",
) -> PrunedModel:
    """A pruned copy of a workload's model, measured beside the dense one.

    Args:
        workload: a sample's name, the path of a workload file, or a `Workload` made in this script.
        how: one sparsity for all layers, or a plan.
        samples: evaluation examples; see `SweepRequest`.
        device: where to measure.
        form: `"masked"`: zeros in place. `"shrunk"`: channels, heads and blocks of the plan are gone.
    """
    if isinstance(workload, Workload):
        workload.check()
        loaded, ref = workload, None
    else:
        loaded, ref = load_workload(workload), canonical_ref(workload)
    with Measurement(loaded, None, samples, device=device) as measurement:
        if isinstance(how, PruningConfig):
            checked_criterion(how.method)
            plan = SparsityPlan.uniform(measurement.targets, how.target_sparsity, how.method, loaded.name)
        else:
            plan = how
        measured = plan_measurement(measurement, plan)
        if form == "shrunk":
            made = shrunk_workload(measurement, plan)
            return PrunedModel(made.model, measured, loaded, ref, made)
        tensors = measurement.maker.cut_tensors(plan)
    return PrunedModel(pruned_copy(loaded.model, tensors), measured, loaded, ref)


def quantize(result: PrunedModel, path: Path | str, *, scheme: str = "weight", bits: int = DEFAULT_BITS) -> Quantized:
    """Quantize a pruned model, write it in one file, and measure what is read back from it.

    Args:
        result: from `prune`; of an empty plan the dense model.
        path: of the file; must not exist.
        scheme: `"weight"`: packed weights, of 2 to 8 bits. `"dynamic"`, `"static"`: int8 ONNX for ONNX Runtime, the
            latter with ranges from the workload's calibration data.
        bits: of the weights.

    Returns:
        Bytes, metric and paired drops, with intervals.

    Raises:
        SecateurError: as `core.delivery.quantized.model.write_quantized`; then no file is left behind.
    """
    with Measurement(result.workload, None, result.measurement.dense.n) as measurement:
        form: Form = "shrunk" if result.shrunk else "masked"
        return write_quantized(measurement, result.plan, Path(path), form, bits, scheme=scheme)


def export(
    result: PrunedModel,
    folder: Path | str,
    *,
    formats: Iterable[str] | None = None,
    opset: int | None = None,
    skip_refused: bool = False,
) -> dict[str, Any]:
    """Write a bundle of a pruned model; it was reloaded in a fresh process and compared when this returns.

    Args:
        result: from `prune`.
        folder: must not exist; a zip of the same name is written beside it.
        formats: besides safetensors `"pt2"`, `"onnx"`, `"compressed"`, `"huggingface"`, `"int8"`, `"onnx-int8"`; by
            default ONNX of a shrunk model, where it can hold it.
        opset: of ONNX.
        skip_refused: leave out formats that cannot hold the model; the manifest says why.

    Returns:
        The manifest.

    Raises:
        SecateurError: as `write_bundle`; or the workload was made in memory, so that no fresh process could load it.
    """
    if result.ref is None:
        raise SecateurError(
            "a bundle is checked in a fresh process, which cannot see a Workload made in this one; "
            "put it in a file with a function workload(), and prune that file"
        )
    with Measurement(result.workload, None, result.measurement.dense.n) as measurement:
        form: Form = "shrunk" if result.shrunk else "masked"
        return write_bundle(
            result.ref,
            measurement,
            result.plan,
            Path(folder).resolve(),
            form=form,
            formats=formats,
            opset=opset,
            skip_refused=skip_refused,
        )
