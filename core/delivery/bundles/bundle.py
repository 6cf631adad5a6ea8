"""A bundle: weights, plan and manifest in one folder and a zip. Told of only when reloaded and compared."""

import contextlib
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from core.delivery import export_steps
from core.delivery.bundles.placing import archive_of, placed
from core.delivery.bundles.sealed_zip import write_zip
from core.delivery.card.models import Judged, SideBySide
from core.delivery.card.numbers import class_rows, command_of, quantized_rows, variant_rows
from core.delivery.card.rendered import rendered
from core.delivery.card.times import SECONDS, times_of
from core.delivery.formats.facts import FORMATS, WANTED, check_there, checked_formats
from core.delivery.formats.registry import write_formats
from core.delivery.formats.subject import NOWHERE, Subject, subject_of
from core.delivery.formats.weightless import weightless
from core.delivery.manifest import CARD, FORMAT, MANIFEST, PAGE, PLAN, VERSION, sealed, sha256_of
from core.delivery.shrunk import shrunk_workload
from core.engines.state import unique_state
from core.errors import SecateurError
from core.plans.costs.steps import off_blocks
from core.plans.plan import Form, SparsityPlan
from core.pruning.wearing import pruned_copy
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.plan_measurement import PlanMeasurement, plan_measurement
from core.workload.identity.fingerprint import state_fingerprint
from core.workload.workload import Workload


def write_bundle(
    workload_ref: str,
    measurement: Measurement,
    plan: SparsityPlan,
    folder: Path,
    on_phase: Callable[[str], None] = lambda phase: None,
    form: Form = "masked",
    formats: Iterable[str] | None = None,
    opset: int | None = None,
    timing_seconds: float = SECONDS,
    plan_origin: Mapping[str, Any] | None = None,
    skip_refused: bool = False,
    batch_only: bool = False,
    certificate: Mapping[str, Any] | None = None,
    choice: Mapping[str, Any] | None = None,
    pythons: Mapping[str, str] = NOWHERE,
    pays: Mapping[str, Any] | None = None,
    replaces: bool = False,
) -> dict[str, Any]:
    """Write a bundle and check it.

    Args:
        workload_ref: sample name or file, so that the bundle can be verified later.
        measurement: entered, of the workload and the examples to measure on.
        plan: what to cut.
        folder: must not exist, unless `replaces`. `folder.zip` is written beside it.
        on_phase: told what is being done.
        form: `"masked"`: zeros in place, same shapes. `"shrunk"`: channels, heads and blocks are gone.
        formats: names in `FORMATS`; safetensors is always written. `None` adds ONNX to a shrunk model, which then needs
            none of its classes any more, or the manifest says why there is none.
        opset: of ONNX, by default what the exporter thinks best.
        timing_seconds: how long the models are timed in each engine; 0 leaves times out.
        plan_origin: where the plan comes from, for the card: `"made_by"`, `"goal"`, `"name"`, `"note"`, as of a
            `KeptPlan`; `None` if nobody knows.
        skip_refused: formats that cannot hold the model are left out, and the manifest says why, instead of an error.
        batch_only: as of `write_formats`.
        certificate: of the plan, as plain values of a `Certificate`; measured again before the bundle is told of.
        choice: by what the model was chosen among the rounds of its recovery, with its drop on other examples, which
            is measured again too; `None` if it was not chosen.
        pythons: of engines' formats the interpreters that have the engine, where it is not the one that runs us.
        pays: what engines made of this model and plan, as plain values of a `PaysReport` with `"run"` and `"date"`; it
            holds where it was measured, and is not measured again.
        replaces: a bundle that stands there is removed, once the new one is whole.

    Returns:
        The manifest.

    Raises:
        CannotHoldError: a format that was asked for cannot hold the model; names it and the reason. Not with
            `skip_refused`.
        SecateurError: the folder exists, the plan cannot be measured, the disk is full, or the reloaded bundle
            differs. Then nothing is left behind, and what stood there stands there still.
    """
    optional = WANTED[form] if formats is None else ()
    names = checked_formats(optional if formats is None else formats, opset)
    check_there(names, pythons, skip_refused)
    if skip_refused:
        optional = names
    for path in (folder, archive_of(folder)):
        if path.exists() and not replaces:
            raise SecateurError(f"{path} exists already; choose another place, or remove it first")
    on_phase(export_steps.MEASURE)
    measured = plan_measurement(measurement, plan)
    if measured.outcome.metric is None:
        raise SecateurError(f"the plan cannot be exported: {measured.outcome.reason}")
    shrunk = None
    if form == "shrunk":
        on_phase(export_steps.SHRINK)
        shrunk = shrunk_workload(measurement, plan)
        pruned = shrunk.model
    else:
        pruned = pruned_copy(measurement.workload.model, measurement.maker.cut_tensors(plan)).eval()
    with placed(folder, replaces) as draft:
        on_phase(export_steps.WRITE)
        (draft / PLAN).write_text(plan.to_json(), encoding="utf-8")
        subject = subject_of(measurement, pruned, opset, pythons)
        written, refused = write_formats(subject, names, draft, optional, on_phase, batch_only)
        on_phase(export_steps.DESCRIBE)
        beside = SideBySide(measurement)
        models = beside.of_plan(form, pruned, measured, shrunk.outcome if shrunk else measured.outcome)
        manifest = {
            **_head(workload_ref, measurement, measured),
            **({"form": "shrunk", "shrunk": shrunk.to_json()} if shrunk else {}),
            **_origin(measurement.workload),
            **({"plan_origin": dict(plan_origin)} if plan_origin else {}),
            **({"certificate": dict(certificate)} if certificate else {}),
            **({"recovery_choice": dict(choice)} if choice else {}),
            "files": _entries(draft, {**_kinds(written), PLAN: "plan"}),
            "formats": written,
            "refused": refused,
            **_weightless(subject),
            **_off_blocks(measurement, plan, form),
            "variants": [*variant_rows(measurement, models), *quantized_rows(beside, subject, written, draft)],
            "times": _times(measurement, models, form, written, draft, timing_seconds),
            **({"pays": dict(pays)} if pays else {}),
            "classes": class_rows(measurement, plan, models),
            "command": command_of(workload_ref, form, written, opset, measurement, batch_only),
        }
        for name, text in rendered(manifest, plan).items():
            (draft / name).write_text(text, encoding="utf-8")
        manifest["files"].update(_entries(draft, {CARD: "card", PAGE: "card"}))
        (draft / MANIFEST).write_text(sealed(manifest), encoding="utf-8")
        on_phase(export_steps.RELOAD)
        _verify_in_fresh_process(draft, workload_ref, measurement.check)
        on_phase(export_steps.PACK)
        write_zip(draft, archive_of(draft), folder.name)
    return manifest


def _head(workload_ref: str, measurement: Measurement, measured: PlanMeasurement) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "workload": workload_ref,
        "made_with": {
            "secateur": version("secateur"),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "threads": torch.get_num_threads(),
        },
        "dense_model": measurement.model_hash,
        "dense_state": state_fingerprint(unique_state(measurement.workload.model)),
        "data": measurement.workload.evaluation.fingerprint(),
        "measured": measured.to_json(),
        "examples": measurement.batches.n,
    }


def _times(
    measurement: Measurement,
    models: Mapping[str, Judged],
    form: Form,
    written: Mapping[str, Any],
    folder: Path,
    seconds: float,
) -> dict[str, Any] | None:
    """Milliseconds of the models, and of the ONNX graphs that were asked for; `None` if nobody wants them."""
    if not seconds:
        return None
    last = form if form in models else list(models)[-1]  # of a recovered model that no plan cuts it is that one
    graphs = {title: folder / FORMATS[name].path for name, title in (("onnx", last), ("onnx-int8", "onnx-int8"))
              if name in written}  # fmt: skip
    return times_of(measurement, {name: one.model for name, one in models.items()}, graphs, seconds)


def _origin(workload: Workload) -> dict[str, Any]:
    """How a model that was recovered or made smaller before came to be."""
    return {"recovery": [stage.to_json() for stage in workload.origin]} if workload.origin else {}


def _weightless(subject: Subject) -> dict[str, Any]:
    """Channels that are a constant by now; nothing of a model that has none."""
    found = weightless(subject.model, subject.example)
    return {"weightless": found} if found else {}


def _off_blocks(measurement: Measurement, plan: SparsityPlan, form: Form) -> dict[str, Any]:
    """Groups whose width left the fast path of engines that work in blocks; nothing where channels only became zero."""
    found = off_blocks(plan, measurement.targets) if form == "shrunk" else {}
    return {"off_blocks": found} if found else {}


def _kinds(written: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """By file, the format that it belongs to."""
    return {name: kind for kind, made in written.items() for name in made["files"]}


def _entries(folder: Path, kinds: Mapping[str, str]) -> dict[str, Any]:
    """Of each file its bytes, hash and what it belongs to."""
    return {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name), "format": kind}
        for name, kind in kinds.items()
    }


def _verify_in_fresh_process(folder: Path, workload_ref: str, check: Callable[[], None]) -> None:
    command = [
        sys.executable,
        "-P",
        "-m",
        "core.delivery.bundles.verify",
        str(folder),
        workload_ref,
        "--without-formats",
    ]
    with tempfile.TemporaryFile("w+") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            while process.poll() is None:
                check()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
        except BaseException:
            process.kill()
            raise
        said.seek(0)
        lines = said.read().strip().splitlines()
    if process.returncode != 0:
        what = (lines or ["it ended without a word"])[-1]
        raise SecateurError(f"the bundle was not written, since the reloaded one differs: {what}")
