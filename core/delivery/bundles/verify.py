"""Verifying a bundle: every hash, every tensor, and the metric measured again from the reloaded weights."""

import math
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from core.certificates.certificate_words import certificate_line
from core.delivery.bundles.certified import check_certificate, check_choice
from core.delivery.bundles.checks import (
    check_bits,
    check_dense,
    check_shapes,
    contents,
    installed,
    put_weights,
)
from core.delivery.bundles.figures import check_figure, check_measured, check_variants
from core.delivery.bundles.sealed_zip import unpack
from core.delivery.card.models import SideBySide
from core.delivery.card.numbers import quantized_rows, variant_rows
from core.delivery.card.rendered import rendered
from core.delivery.formats.facts import check_there, missing
from core.delivery.formats.registry import check_formats
from core.delivery.formats.subject import NOWHERE, Subject, subject_of
from core.delivery.manifest import formats_of, read_manifest
from core.delivery.shrunk import shrunk_workload
from core.drafted import scratch
from core.engines.runners.serve import ended_with
from core.engines.state import unique_state
from core.errors import SecateurError
from core.plans.plan import Form, SparsityPlan
from core.pruning.structure import maker_for
from core.pruning.wearing import pruned_copy, replaced
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.model_measurement import measured_model
from core.sensitivity.measuring.outcome import Outcome
from core.sensitivity.measuring.plan_measurement import plan_measurement
from core.sensitivity.measuring.stopping import never_stop
from core.workload.loading import load_workload
from core.workload.scale import Scale
from core.workload.workload import Workload


@dataclass(frozen=True)
class Watch:
    """Who looks on while a bundle is verified.

    Attributes:
        on_phase: told what is being done.
        check: called now and then; raises to stop.
    """

    on_phase: Callable[[str], None] = lambda phase: None
    check: Callable[[], None] = never_stop


NOBODY = Watch()


def verify_bundle(
    place: Path,
    workload: str | None = None,
    formats: bool = True,
    watch: Watch = NOBODY,
    pythons: Mapping[str, str] = NOWHERE,
) -> dict[str, Any]:
    """Check a bundle from end to end; it is only read.

    Args:
        place: of the bundle's folder, or of its zip, which is unpacked elsewhere.
        workload: sample name or file to measure with. A file must be named here: the one in the manifest is not run,
            since whoever made the bundle wrote the manifest too. `None` takes the sample that the manifest names.
        formats: also let a fresh process read and run each format, and compare.
        watch: is told how far it is, and may stop it.
        pythons: of engines' formats the interpreters that have the engine, where it is not the one that runs us.

    Returns:
        What was checked: `"metric"` as measured now, `"scale"` to read it by, `"n"`, `"tensors"`, `"workload"`,
        `"files"`, and `"formats"` with the largest difference of each (`None` of one that only another machine can
        run), `None` if they were not run; `"not_checked"` with why not, of formats whose engine is not there.

    Raises:
        SecateurError: a byte of the zip was changed, a file is missing or changed, a tensor has another shape or value
            than the plan gives, a format is not what is in memory, or the metric differs from the manifest's.
    """
    if place.suffix == ".zip" and not place.is_dir():
        with scratch() as folder:
            found = verify_bundle(unpack(place, Path(folder)), workload, formats, watch, pythons)
            return {**found, "folder": str(place)}
    check_there((), pythons)
    return _verified(place, read_manifest(place), workload, formats, watch, pythons)


def _verified(
    folder: Path,
    manifest: dict[str, Any],
    workload: str | None,
    formats: bool,
    watch: Watch,
    pythons: Mapping[str, str],
) -> dict[str, Any]:
    watch.on_phase("comparing every file with its hash")
    plan, state = contents(folder, manifest)
    watch.check()
    loaded = load_workload(workload or installed(manifest["workload"]))
    shrunk = manifest.get("form") == "shrunk"
    if not shrunk:
        check_shapes(loaded.name, unique_state(loaded.model), state, folder)
    watch.on_phase("comparing every tensor, and measuring the reloaded model")
    check_dense(loaded, manifest)
    absent = {name: why for name in formats_of(manifest) if formats and (why := missing(name, pythons)) is not None}
    read = tuple(name for name in formats_of(manifest) if formats and name not in absent)
    bundle = _Opened(loaded, plan, state, folder, manifest, read, watch, pythons)
    try:
        metric, found = _shrunk_again(bundle) if shrunk else _masked_again(bundle)
    except SecateurError as error:
        # not before: another machine may decode an image to other last bits, and measure the same
        if "data" in manifest and manifest["data"] != loaded.evaluation.fingerprint():
            raise SecateurError(
                f"the evaluation data of {loaded.name} are not those that the bundle was measured on (other examples), "
                f"so its figures cannot be checked ({error}); are they drawn at random whenever they are loaded? Let "
                "them come out the same each time"
            ) from None
        raise
    check_choice(manifest.get("recovery_choice"), loaded, watch.check)
    certificate = None
    if manifest.get("certificate") is not None:
        watch.on_phase("measuring the certificate again")
        certificate = certificate_line(check_certificate(manifest["certificate"], loaded, plan, watch.check))
    _check_card(folder, manifest, plan)
    return {
        "folder": str(folder),
        "workload": loaded.name,
        "tensors": len(state),
        "metric": metric,
        "scale": dict(manifest["measured"]["metric"]),
        "n": manifest["examples"],
        "files": len(manifest["files"]),
        "formats": found if formats else None,
        **({"not_checked": absent} if absent else {}),
        **({"certificate": certificate} if certificate else {}),
        "verified": True,
    }


@dataclass(frozen=True)
class _Opened:
    """A bundle whose files have the right hashes, with the dense model of its workload.

    Attributes:
        workload: with the dense model.
        plan, state, folder, manifest: of the bundle.
        formats: to be read and compared.
        watch: who looks on.
        pythons: of engines.
    """

    workload: Workload
    plan: SparsityPlan
    state: dict[str, Tensor]
    folder: Path
    manifest: dict[str, Any]
    formats: tuple[str, ...]
    watch: Watch
    pythons: Mapping[str, str]

    @property
    def scale(self) -> Scale:
        """Of the metric that the manifest tells of."""
        return Scale.from_json(dict(self.manifest["measured"]["metric"]))

    def formats_again(self, subject: Subject) -> dict[str, float | None]:
        """Every format is compared with the model; the largest differences."""
        return check_formats(subject, self.formats, self.folder, self.watch.on_phase, self.manifest.get("formats", {}))

    def check_figures(self, measurement: Measurement, model: nn.Module, subject: Subject, found: Outcome) -> None:
        """What the manifest says of every model that stands side by side is measured and counted again.

        Args:
            measurement: entered, on as many examples as the manifest says.
            model: with the tensors of the file.
            subject: of that model.
            found: what it measures.
        """
        self.watch.on_phase("measuring every model of the card")
        again = plan_measurement(measurement, self.plan)
        check_measured(again.to_json(), self.manifest["measured"], self.scale)
        if "variants" not in self.manifest:  # of version 1
            return
        form: Form = "shrunk" if self.manifest.get("form") == "shrunk" else "masked"
        beside = SideBySide(measurement)
        rows = variant_rows(measurement, beside.of_plan(form, model, again, found))
        found_rows = [*rows, *quantized_rows(beside, subject, self.formats, self.folder)]
        check_variants(found_rows, self.manifest["variants"], self.scale)


def _measurement(bundle: _Opened) -> Measurement:
    """On as many examples as the manifest says, also of those that are set aside: nothing is chosen here."""
    return Measurement(bundle.workload, None, bundle.manifest["examples"], check=bundle.watch.check, part="whole")


def _shrunk_again(bundle: _Opened) -> tuple[float, dict[str, float | None]]:
    """Metric of the model that is shrunk anew and given the weights of the file; and its formats are compared."""

    def given(model: nn.Module) -> None:
        put_weights(model, bundle.workload.name, bundle.state, bundle.folder)

    with _measurement(bundle) as measurement:
        found = shrunk_workload(measurement, bundle.plan, given)
        now, written = found.to_json(), bundle.manifest["shrunk"]
        assert found.outcome.metric is not None
        metric = check_figure(found.outcome.metric.value, written["metric"]["value"], bundle.scale)
        check_measured({**now, "pruned": now["metric"], "dense": now["metric"]},
                       {**written, "pruned": written["metric"], "dense": written["metric"]}, bundle.scale)  # fmt: skip
        for name in ("parameters", "dense_parameters", "other_scores", "notes"):
            if now[name] != written[name]:
                raise SecateurError(
                    f"the manifest says {name} {written[name]}, it is {now[name]}; export the bundle again"
                )
        subject = subject_of(measurement, found.model, None, bundle.pythons)
        apart = bundle.formats_again(subject)
        bundle.check_figures(measurement, found.model, subject, found.outcome)
    return metric, apart


def _masked_again(bundle: _Opened) -> tuple[float, dict[str, float | None]]:
    """Every tensor is what the plan makes of the dense one; metric of the file's; and its formats are compared."""
    workload, plan = bundle.workload, bundle.plan
    with replaced(workload.model, maker_for(workload, plan).cut_tensors(plan)):
        expected = unique_state(workload.model)
    check_bits(expected, bundle.state, bundle.folder)
    with _measurement(bundle) as measurement:
        measurement.prepare(plan)  # of channels a masked bundle has to know the groups
        model = pruned_copy(workload.model, measurement.maker.cut_tensors(plan)).eval()
        model.load_state_dict(bundle.state, strict=False)  # tied tensors are stored once; names were compared before
        found = measured_model(measurement, model).outcome
        metric = check_figure(
            found.metric.value if found.metric else math.nan,
            bundle.manifest["measured"]["pruned"]["value"],
            bundle.scale,
        )
        subject = subject_of(measurement, model, None, bundle.pythons)
        apart = bundle.formats_again(subject)
        bundle.check_figures(measurement, model, subject, found)
        return metric, apart


def _alike(card: str) -> str:
    """A card as older builds of this version wrote it: quartiles stood in round brackets."""
    return re.sub(r"\((\d[\d.,]*, \d[\d.,]*)\)(?=, n = )", r"[\1]", card.replace("\\[", "["))


def _check_card(folder: Path, manifest: dict[str, Any], plan: SparsityPlan) -> None:
    """A card says what the manifest says; of another version of Secateur it may say it in other words."""
    if manifest["version"] == 1 or manifest["made_with"].get("secateur") != version("secateur"):
        return
    try:
        texts = rendered(manifest, plan)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError):
        raise SecateurError(f"the manifest in {folder} has not what its card says; export the bundle again") from None
    for name, text in texts.items():
        if _alike((folder / name).read_text(encoding="utf-8", errors="replace")) != _alike(text):
            raise SecateurError(f"{name} in {folder} does not say what the manifest says; export the bundle again")


def main() -> None:
    """`python -m core.delivery.bundles.verify FOLDER WORKLOAD [--without-formats]`.

    Ends with 0 when all is well, else with one line on standard error and 2; and with whoever started it.
    """
    threading.Thread(target=ended_with, args=(os.getppid(),), daemon=True).start()
    try:
        verify_bundle(Path(sys.argv[1]), sys.argv[2], "--without-formats" not in sys.argv[3:])
    except SecateurError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
