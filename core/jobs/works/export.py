"""What the worker does to write a bundle, and to verify one again: the folder and the zip that people download."""

import json
from pathlib import Path
from typing import Any

from core.delivery.bundles.sealed_zip import check_seal
from core.delivery.bundles.verify import Watch, verify_bundle
from core.delivery.export_steps import export_steps
from core.delivery.formats.facts import WANTED
from core.delivery.manifest import read_manifest
from core.errors import SecateurError
from core.jobs.known.certificates import best_certificate, certificates_of
from core.jobs.known.plan_book import PlanBook
from core.jobs.known.sizes import pays_of
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import file_stem, measurement_for, stop_check
from core.plans.plan import SparsityPlan
from core.workload.workload import Workload

SEALED_SINCE = 2  # version of the manifest; older zips have no seal


def do_export(run: Run, workload: Workload, runs: RunStore) -> None:
    """Write a bundle into the workspace, or where the request says, and check it in a fresh process."""
    from core.delivery.bundles.bundle import write_bundle

    plan = SparsityPlan.from_document(run.request["plan"])
    out = run.request["out"]
    folder = Path(out) if out else _place(run, workload, plan, runs)
    asked = run.request
    form = asked.get("form", "masked")
    wanted = asked.get("formats")
    steps = export_steps(form, WANTED[form] if wanted is None else wanted)

    def on_phase(phase: str) -> None:
        done = {"done": steps.index(phase)} if phase in steps else {}
        runs.update(run.id, phase=phase, total=len(steps), **done)

    with measurement_for(run, workload, runs, asked["samples"], 0, asked["device"], part="whole") as measurement:
        manifest = write_bundle(
            run.workload,
            measurement,
            plan,
            folder,
            on_phase=on_phase,
            form=form,
            formats=wanted,
            opset=run.request.get("opset"),
            skip_refused=run.request.get("skip_refused", False),
            batch_only=run.request.get("batch_only", False),
            plan_origin=_plan_origin(run.workload, plan, runs),
            certificate=_certificate(run.workload, measurement.model_hash, plan, runs),
            choice=_choice(workload, runs),
            pythons=dict(asked.get("pythons", ())),
            pays=pays_of(runs, measurement.model_hash, plan),
            replaces=not out,  # a worker put it there, and was killed before it said so
        )
    place = folder.relative_to(runs.workspace.folder) if not out else folder
    runs.update(run.id, result={"folder": str(place), "manifest": manifest}, total=len(steps), done=len(steps))


def _place(run: Run, workload: Workload, plan: SparsityPlan, runs: RunStore) -> Path:
    """A folder of this run's own."""
    return runs.workspace.subfolder("bundles") / file_stem(workload.name, plan, run)


def _certificate(workload: str, model: str, plan: SparsityPlan, runs: RunStore) -> dict[str, Any] | None:
    """What was certified of a plan; of what was not, a bundle says nothing."""
    found = best_certificate(certificates_of(runs, workload, model, plan))
    return found.to_json() if found is not None and found.state == "certified" else None


def _choice(workload: Workload, runs: RunStore) -> dict[str, Any] | None:
    """By what a recovered round was chosen among those of its run, as that run told; `None` if it was not."""
    rounds = workload.origin[-1].rounds if workload.origin else None
    if not rounds:
        return None
    choices = [(run.result or {}).get("choice") for run in runs.list("recover")]
    state = rounds[-1]["states"][-1]
    return next((dict(choice) for choice in choices if choice and choice["state"] == state), None)


def _plan_origin(workload: str, plan: SparsityPlan, runs: RunStore) -> dict[str, Any] | None:
    """What the workspace knows of where a plan comes from."""
    try:
        kept = PlanBook(runs.workspace).get(workload, plan.fingerprint())
    except SecateurError:  # forgotten since it was queued
        return None
    return {"made_by": kept.made_by, "goal": kept.goal, "name": kept.name, "note": kept.note}


def do_verify(run: Run, workload: Workload, runs: RunStore) -> None:
    """Check the bundle that an export wrote; a run that fails says what is wrong with it."""
    exported = runs.get(run.request["bundle"])
    folder = runs.bundle_folder(exported)
    assert folder is not None, "asked for by `start_verify`"
    assert exported.result is not None
    manifest = read_manifest(folder)
    if _text(manifest) != _text(exported.result["manifest"]):
        raise SecateurError(f"{folder} holds another bundle than run {exported.id} wrote; export it again elsewhere")
    archive = folder.with_name(f"{folder.name}.zip")
    has_seal = archive.is_file() and manifest["version"] >= SEALED_SINCE
    if has_seal:
        runs.update(run.id, phase="comparing the zip with its seal")
        check_seal(archive)
    watch = Watch(lambda phase: runs.update(run.id, phase=phase), stop_check(run, runs))
    # by its reference, not `workload`: the check puts the weights of the bundle into a model of its own
    pythons = dict(exported.request.get("pythons", ()))  # where its engines were when it was written
    checked = verify_bundle(Path(folder), run.workload, watch=watch, pythons=pythons)
    runs.update(run.id, result={**checked, "zip": has_seal, "model": manifest["dense_model"]}, total=1, done=1)


def _text(manifest: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in manifest.items() if key != "sha256"}, sort_keys=True)
