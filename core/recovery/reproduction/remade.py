"""Making the weights of a bundle again, from the dense model, the plan and the seed; recovery included."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.delivery.bundles.checks import contents, installed
from core.delivery.bundles.sealed_zip import unpack
from core.delivery.bundles.shrunk_bundle import smaller
from core.delivery.manifest import read_manifest, threads_of
from core.delivery.rebuilt import rebuilt
from core.drafted import scratch
from core.engines.state import unique_state
from core.errors import SecateurError
from core.plans.plan import SparsityPlan
from core.recovery.reproduction.again import recovered_again, threads
from core.recovery.reproduction.otherwise import otherwise_made
from core.recovery.reproduction.parting import Parting, Reproduction
from core.recovery.reproduction.tensors_apart import parting_of
from core.workload.identity.fingerprint import model_fingerprint, state_fingerprint
from core.workload.identity.origin import Stage, stages_from_json
from core.workload.loading import load_workload
from core.workload.workload import Workload

COMMAND = "secateur reproduce … --model"
DENSE, CUT = "the dense weights", "the cut by the plan"


def reproduce(
    bundle: Path | str, model: str | Workload | None = None, on_phase: Callable[[str], None] = lambda phase: None
) -> Reproduction:
    """Make the weights of a bundle again and compare them with its `model.safetensors`, bit for bit.

    Whatever was done to the dense model is done again in this process, with as many threads as then: rounds of recovery
    in a temporary folder, the smaller model, the cut by the plan. Files of other formats hold the same weights and are
    compared by `verify_bundle`.

    Args:
        bundle: its folder, or its zip, which is unpacked elsewhere. It is only read.
        model: the dense model: a sample's name, a workload file or a `Workload`. A file must be named here: the one in
            the manifest is not run, since whoever made the bundle wrote the manifest too. `None` takes the sample that
            the manifest names.
        on_phase: told what is being done.

    Returns:
        Whether all bits are the same, and if not, where they part and what is otherwise than it was then.

    Raises:
        SecateurError: a byte of the bundle was changed since it was written, nobody kept how its model was recovered,
            the file that it was made of is not named, or the plan or the recovery cannot be done with this model.
    """
    place = Path(bundle).expanduser()
    if place.suffix == ".zip" and not place.is_dir():
        with scratch() as folder:
            found = _reproduced(unpack(place, Path(folder)), model, on_phase)
    else:
        found = _reproduced(place, model, on_phase)
    return replace(found, bundle=str(bundle))


def _reproduced(folder: Path, model: str | Workload | None, on_phase: Callable[[str], None]) -> Reproduction:
    manifest = read_manifest(folder)
    plan, state = contents(folder, manifest)
    stages = stages_from_json(manifest.get("recovery", ()))
    on_phase("reading the dense model")
    start = _start(manifest, stages, model)
    stages, taken = _to_do(start, stages)
    otherwise = list(otherwise_made(manifest.get("made_with")))
    found = Reproduction(
        str(folder), start.name, len(state), sum(tensor.numel() for tensor in state.values()), 0, None, taken=taken
    )
    workload, at, rounds = start, None, 0
    # of every stage the model that it begins with; of the manifest the one that was cut
    ids = [*((one.model, one.state) for one in stages), (manifest["dense_model"], manifest["dense_state"])]
    for stage, (its_model, its_state) in zip((*stages, None), ids, strict=True):
        if state_fingerprint(unique_state(workload.model)) != its_state:
            at = at or (DENSE if workload is start else "what was done before the cut")
            if workload is start:
                otherwise.insert(0, f"the weights of {start.name}")
        elif model_fingerprint(workload.model) != its_model:
            otherwise.append(f"the code or the settings of the model {workload.name}")
        if stage is None or at == DENSE:
            break
        if stage.kind == "recovered":
            workload, parted, more = recovered_again(workload, stage, on_phase)
            n = sum(len(one["states"]) for one in stage.rounds or ())
            at, rounds = at or parted, rounds + n
            otherwise += more
        else:
            on_phase("taking out what was cut before")
            with threads(stage.threads):
                before = SparsityPlan.from_document(stage.plan)
                workload = smaller(workload, rebuilt(workload, before, "shrunk"), stage)
    found = replace(found, rounds=rounds, otherwise=tuple(dict.fromkeys(otherwise)))
    if at == DENSE and stages:  # hours of training on other weights would tell nothing more
        return replace(found, parting=Parting(at))
    on_phase("cutting by the plan")
    try:
        with threads(threads_of(manifest)):
            again = unique_state(rebuilt(workload, plan, "shrunk" if manifest.get("form") == "shrunk" else "masked"))
    except SecateurError:
        if at is None:
            raise
        return replace(found, parting=Parting(at))  # a plan that other dense weights cannot be cut by
    return replace(found, parting=parting_of(state, again, at or CUT))


def _start(manifest: Mapping[str, Any], stages: tuple[Stage, ...], model: str | Workload | None) -> Workload:
    """What everything began with."""
    if isinstance(model, Workload):
        model.check()
        return model
    if model is not None:
        loaded: Workload = load_workload(model)
        return loaded
    if not stages:
        loaded = load_workload(installed(manifest["workload"], COMMAND))
    elif stages[0].workload is None:
        raise SecateurError(_unknown(stages))
    else:
        loaded = load_workload(installed(stages[0].workload, COMMAND))
    return loaded


def _to_do(start: Workload, stages: tuple[Stage, ...]) -> tuple[tuple[Stage, ...], str | None]:
    """What is to be done again, and what is taken as it is, since nobody kept how it was done."""
    known = bool(stages) and all(stage.is_known for stage in stages)
    if start.origin:
        if known:
            dense = stages[0].workload
            raise SecateurError(
                f"{start.name} was recovered or made smaller before, and the bundle says how, so this is done again; "
                f"name what it was made of: {COMMAND} {dense}"
            )
        return (), f"{start.name}, for the bundle does not say how it was recovered"
    if stages and not known:
        raise SecateurError(_unknown(stages))
    return stages, None


def _unknown(stages: tuple[Stage, ...]) -> str:
    return (
        "the round that this bundle was cut from does not say how it was made: its checkpoint is from an older version "
        f"of Secateur; recover again, or name the recovered model, of which the cut alone is made again: {COMMAND} FILE"
    )
