"""The smaller model of a bundle as a workload of its own: recovered, swept, profiled and exported like any other."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from core.delivery.bundles.checks import check_dense, contents, installed, put_weights
from core.delivery.manifest import read_manifest, threads_of
from core.delivery.rebuilt import rebuilt
from core.errors import SecateurError
from core.workload.identity.origin import Stage
from core.workload.loading import canonical_ref
from core.workload.workload import Workload


def shrunk(workload: Workload, folder: Path | str) -> Workload:
    """The same data and metric with the smaller model of a bundle, whose teacher is the dense model.

    The model is shrunk anew by the bundle's plan and compared with the bundle's weights bit for bit, so no class is
    loaded from a file. It trains as fast as it runs, and learns from the dense model. Drops of a recovery are from the
    dense model; those of a sweep are from the smaller one, for that is what a sweep cuts.

    Args:
        workload: that the bundle was cut from; its model stays as it is.
        folder: of the bundle, as `secateur shrink` writes it, or `export` of what `prune(…, form="shrunk")` gave.

    Raises:
        SecateurError: no bundle, a changed or damaged one, a masked one, or one of another model.
    """
    place = Path(folder).expanduser()
    manifest = _manifest(place)
    plan, state = contents(place, manifest)
    check_dense(workload, manifest)
    model = rebuilt(workload, plan, "shrunk")
    put_weights(model, workload.name, state, place)
    stage = Stage(
        "shrunk", manifest["workload"], manifest["dense_model"], manifest["dense_state"], None, plan.to_document(),
        threads_of(manifest),
    )  # fmt: skip
    return smaller(workload, model, stage)


def smaller(workload: Workload, model: nn.Module, stage: Stage) -> Workload:
    """The same data and metric with a smaller model, whose teacher is the dense one, and how it was made."""
    name, origin = f"{workload.name}, shrunk", (*workload.origin, stage)
    return replace(workload, name=name, model=model, teacher=workload.dense_model, origin=origin)


def workload_file(folder: Path, ref: str | None) -> str:
    """Text of a workload file that gives the smaller model of a bundle.

    Args:
        folder: of the bundle.
        ref: what it was cut from; `None` takes the sample that the bundle names.

    Raises:
        SecateurError: it is no shrunk bundle, or was cut from a file that nobody named.
    """
    manifest = _manifest(folder)
    dense = canonical_ref(ref) if ref is not None else installed(manifest["workload"], "secateur init … --model")
    return (
        '"""A smaller model; made by `secateur init --bundle`."""\n\n'
        "from core import load_workload, shrunk\n\n\n"
        "def workload():\n"
        f"    return shrunk(load_workload({dense!r}), {str(folder.resolve())!r})\n"
    )


def _manifest(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    if manifest.get("form") != "shrunk":
        raise SecateurError(
            f"the bundle {folder} holds a masked model, of dense shapes; make a smaller one with `secateur shrink`, "
            "or recover the dense model with its plan"
        )
    return manifest
