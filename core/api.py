"""The Python interface: what `core` offers a script or a notebook."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.delivery.bundle import write_bundle
from core.errors import SecateurError
from core.jobs.launch import sweep_submission
from core.jobs.runs import RunStore
from core.jobs.worker import execute
from core.plans.plan import SparsityPlan
from core.pruning.config import PruningConfig
from core.pruning.prune import PrunedModel, prune_workload
from core.sensitivity.measurement import Measurement
from core.sensitivity.report import SensitivityReport
from core.sensitivity.request import Samples, SweepRequest
from core.workload.loading import canonical_ref, load_workload
from core.workload.workload import Workload
from core.workspace import DEFAULT_WORKSPACE, Workspace


def sweep(workload: str | Workload, *, workspace: Path | str = DEFAULT_WORKSPACE, **request: Any) -> SensitivityReport:
    """Measure what every cut costs, in this process; what was measured before is read from the workspace.

    Args:
        workload: a sample's name, the path of a workload file, or a `Workload` made in this script.
        workspace: where evidence is kept; the dashboard on the same workspace shows the run.
        **request: fields of `SweepRequest`: `sparsities`, `layers`, `heads`, `samples`, ...

    Returns:
        Every cell with its metric, its paired drop, n and 95 % intervals.

    Raises:
        SecateurError: bad input, or the work failed.
    """
    runs = RunStore(Workspace(workspace))
    if isinstance(workload, Workload):
        workload.check()
        loaded, asked = workload, SweepRequest(workload.name, **request)
        run, is_new = runs.submit("sweep", workload.name, asdict(asked))
    else:
        loaded, asked = None, SweepRequest(workload, **request)
        run, is_new = runs.submit("sweep", *sweep_submission(asked))
    if not is_new:
        raise SecateurError(f"the same sweep is under way as run {run.id}; wait for it, or `secateur cancel {run.id}`")
    run = execute(runs, run.id, loaded)
    report = runs.report(run)
    if run.state != "finished" or report is None:
        raise SecateurError(run.error or f"run {run.id} was {run.state}")
    return report


def prune(
    workload: str | Workload, how: PruningConfig | SparsityPlan, *, samples: Samples = "all", device: str = "cpu"
) -> PrunedModel:
    """A pruned copy of a workload's model, measured beside the dense one.

    Args:
        workload: a sample's name, the path of a workload file, or a `Workload` made in this script.
        how: one sparsity for all layers, or a plan.
        samples: evaluation examples; see `SweepRequest`.
        device: where to measure.
    """
    if isinstance(workload, Workload):
        workload.check()
        return prune_workload(workload, how, samples, device)
    return prune_workload(load_workload(workload), how, samples, device, canonical_ref(workload))


def export(result: PrunedModel, folder: Path | str) -> dict[str, Any]:
    """Write a bundle of a pruned model; it was reloaded in a fresh process and compared when this returns.

    Args:
        result: from `prune`.
        folder: must not exist; a zip of the same name is written beside it.

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
        return write_bundle(result.ref, measurement, result.plan, Path(folder).resolve())
