"""What the worker does to verify a bundle again: the folder from end to end, and the zip that people download."""

import json
from pathlib import Path
from typing import Any

from core.delivery.bundles.sealed_zip import check_seal
from core.delivery.bundles.verify import Watch, verify_bundle
from core.delivery.manifest import read_manifest
from core.errors import SecateurError
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import stop_check
from core.workload.workload import Workload

SEALED_SINCE = 2  # version of the manifest; older zips have no seal


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
