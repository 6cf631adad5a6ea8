"""The Python interface: what `core` offers a script or a notebook."""

import difflib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from torch import nn

from core.delivery.bundles.bundle import write_bundle
from core.delivery.quantized.model import Quantized, write_quantized
from core.delivery.shrunk import Shrunk, shrunk_workload
from core.errors import SecateurError
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.state_words import state_text
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
        **request: fields of `SweepRequest`: `sparsities`, `layers`, `heads`, `samples`, ...; of a model also what
            `core.workload_of` takes: `batch_size`, `limit`, `calibration`, ...

    Returns:
        Every cell with its metric, its paired drop, n and 95 % intervals.

    Raises:
        SecateurError: bad input, or the work failed.
    """
    made = _given("sweep", workload, data, metric, request, SweepRequest)
    runs = RunStore(Workspace(_folder("workspace", workspace)))
    report = runs.report(_done_here(runs, "sweep", made, SweepRequest, request))
    assert report is not None, "a finished run has a report"
    return report


def _given(
    call: str, workload: Any, data: Any, metric: Any, options: dict[str, Any], make: type[SweepRequest | PairsRequest]
) -> str | Workload:
    """A workload of a model and its data; a workload as it is. Takes out of `options` those that a model has.

    Raises:
        SecateurError: something is missing, too much, or an option that there is not.
    """
    asked = {one.name for one in fields(make)} - {"workload"}
    of_model = {one.name for one in inspect.signature(workload_of).parameters.values() if one.kind is one.KEYWORD_ONLY}
    of_model |= {one.name for one in fields(Workload)} - {"model", "evaluation", "metric", "origin", "n_ignored"}
    for name in sorted(options.keys() - asked - of_model):
        near = difflib.get_close_matches(name, asked | of_model, 1, 0.7)
        mend = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(asked))}"
        raise SecateurError(f"core.{call} takes no {name}=: {mend}")
    whole = _named(workload)
    if whole is None:
        if data is None or metric is None:
            what = "data" if data is None else "a metric"
            kind = "" if isinstance(workload, nn.Module) else f", and {type(workload).__name__} is no workload"
            raise SecateurError(f'a model needs {what}{kind}: core.{call}(model, loader, metric="accuracy")')
        return workload_of(workload, data, metric, **{name: options.pop(name) for name in of_model & options.keys()})
    if data is not None or metric is not None:
        raise SecateurError("data and a metric belong to a model; a workload has its own, so give it alone")
    if own := sorted(of_model & options.keys()):
        raise SecateurError(
            f"core.{call} takes {own[0]}= with a model and its data; a workload has its own: set it where the workload "
            "is made, or dataclasses.replace(workload, …)"
        )
    return whole


def _named(workload: Any) -> str | Workload | None:
    """A workload, or the name of one, a path as text; `None` for anything else."""
    if isinstance(workload, Path):
        return str(workload)
    return workload if isinstance(workload, str | Workload) else None


def _folder(what: str, given: Any) -> Path:
    if not isinstance(given, str | Path) or not str(given).strip():
        raise SecateurError(f"{what} must be a path, got {given!r}")
    return Path(given)


def _of_prune(given: Any) -> PrunedModel:
    if not isinstance(given, PrunedModel):
        raise SecateurError(f"expected what core.prune(…) gives, for its plan and workload; got {type(given).__name__}")
    return given


def pairs(
    workload: str | Workload | nn.Module,
    data: Any = None,
    metric: str | Metric | None = None,
    *,
    workspace: Path | str = DEFAULT_WORKSPACE,
    **request: Any,
) -> PairsReport:
    """Measure cuts two at a time, in this process: do their drops add up? As `sweep`, which measures them alone.

    Args:
        workload, data, metric, workspace: as for `sweep`.
        **request: fields of `PairsRequest`: `sparsity`, `layers`, `heads`, `samples`, `max_pairs`, ...

    Returns:
        Every pair with its joint drop, the sum of the two alone, and their interaction with its 95 % interval.

    Raises:
        SecateurError: bad input, too many pairs, or the work failed.
    """
    made = _given("pairs", workload, data, metric, request, PairsRequest)
    runs = RunStore(Workspace(_folder("workspace", workspace)))
    run = _done_here(runs, "pairs", made, PairsRequest, request)
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
    options: Mapping[str, Any],
) -> Run:
    """A run of the request that these options make, finished in this process."""
    if isinstance(workload, Workload):
        workload.check()
        loaded, asked = workload, make(IN_MEMORY + workload.name, **options)
        run, is_new = runs.submit(kind, asked.workload, asdict(asked))
    else:
        loaded, asked = None, make(workload, **options)
        run, is_new = runs.submit(kind, *sweep_submission(asked))
    if not is_new:
        what = {"sweep": "sweep", "pairs": "sweep over pairs", "undo": "map inside a plan"}[kind]
        raise SecateurError(f"the same {what} is under way as run {run.id}; wait for it, or `secateur stop {run.id}`")
    run = execute(runs, run.id, loaded, later=False)  # a script waits for this process
    if run.state != "finished":
        raise SecateurError(run.error or f"run {run.id} was {state_text(run)}")
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

    Raises:
        SecateurError: bad input; or the smaller model does not equal the masked one.
    """
    if not isinstance(how, PruningConfig | SparsityPlan):
        raise SecateurError(
            "how to prune must be a core.PruningConfig or a core.SparsityPlan, such as PruningConfig(target_sparsity="
            f"0.5) or SparsityPlan.from_json(text of plan.json); got {how!r:.60}"
        )
    if form not in get_args(Form):
        raise SecateurError(f"form must be one of {', '.join(get_args(Form))}; got {form!r}")
    found = _named(workload)
    if found is None:
        raise SecateurError(
            'core.prune takes a workload, or the name of one: core.workload_of(model, loader, "accuracy") makes one; '
            f"got {type(workload).__name__}"
        )
    if isinstance(found, Workload):
        found.check()
        loaded, ref = found, None
    else:
        loaded, ref = load_workload(found), canonical_ref(found)
    with Measurement(loaded, None, samples, device=device, part="whole") as measurement:
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
    path = _folder("path", path)
    with Measurement(_of_prune(result).workload, None, result.measurement.dense.n, part="whole") as measurement:
        form: Form = "shrunk" if result.shrunk else "masked"
        return write_quantized(measurement, result.plan, path, form, bits, scheme=scheme)


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
    folder = _folder("folder", folder)
    if isinstance(formats, str):
        raise SecateurError(f"formats must be several such as ('pt2', 'onnx'), got {formats!r}")
    result = _of_prune(result)
    if result.ref is None:
        raise SecateurError(
            "a bundle is checked in a fresh process, which cannot see a Workload made in this one; "
            "put it in a file with a function workload(), and prune that file"
        )
    with Measurement(result.workload, None, result.measurement.dense.n, part="whole") as measurement:
        form: Form = "shrunk" if result.shrunk else "masked"
        return write_bundle(
            result.ref,
            measurement,
            result.plan,
            folder.resolve(),
            form=form,
            formats=formats,
            opset=opset,
            skip_refused=skip_refused,
        )
