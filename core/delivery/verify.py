"""Verifying a bundle: every hash, every tensor, and the metric measured again from the reloaded weights."""

import math
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from core.delivery.card.models import SideBySide
from core.delivery.card.numbers import quantized_rows
from core.delivery.checks import (
    check_bits,
    check_dense,
    check_files,
    check_shapes,
    installed,
    put_weights,
    read_weights,
)
from core.delivery.formats.registry import REGISTRY, check_formats
from core.delivery.formats.safetensors_file import unique_state
from core.delivery.formats.subject import subject_of
from core.delivery.manifest import PLAN, WEIGHTS, formats_of, read_manifest
from core.delivery.sealed_zip import unpack
from core.delivery.shrunk import shrunk_workload
from core.errors import SecateurError
from core.plans.plan import SparsityPlan
from core.pruning.masks import pruned_copy, replaced
from core.pruning.structure import maker_for
from core.sensitivity.measurement import Measurement, never_stop
from core.workload.loading import load_workload
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
    place: Path, workload: str | None = None, formats: bool = True, watch: Watch = NOBODY
) -> dict[str, Any]:
    """Check a bundle from end to end; it is only read.

    Args:
        place: of the bundle's folder, or of its zip, which is unpacked elsewhere.
        workload: sample name or file to measure with. A file must be named here: the one in the manifest is not run,
            since whoever made the bundle wrote the manifest too. `None` takes the sample that the manifest names.
        formats: also let a fresh process read and run each format, and compare.
        watch: is told how far it is, and may stop it.

    Returns:
        What was checked: `"metric"` as measured now, `"n"`, `"tensors"`, `"workload"`, `"files"`, and `"formats"` with
        the largest difference of each, `None` if they were not run.

    Raises:
        SecateurError: a byte of the zip was changed, a file is missing or changed, a tensor has another shape or value
            than the plan gives, a format is not what is in memory, or the metric differs from the manifest's.
    """
    if place.suffix == ".zip" and not place.is_dir():
        with tempfile.TemporaryDirectory() as folder:
            return {**verify_bundle(unpack(place, Path(folder)), workload, formats, watch), "folder": str(place)}
    return _verified(place, read_manifest(place), workload, formats, watch)


def _verified(
    folder: Path, manifest: dict[str, Any], workload: str | None, formats: bool, watch: Watch
) -> dict[str, Any]:
    watch.on_phase("comparing every file with its hash")
    check_files(folder, manifest)
    watch.check()
    plan = SparsityPlan.read(folder / PLAN)
    state = read_weights(folder / WEIGHTS)
    loaded = load_workload(workload or installed(manifest["workload"]))
    shrunk = manifest.get("form") == "shrunk"
    if not shrunk:
        check_shapes(loaded.name, unique_state(loaded.model), state, folder)
    watch.on_phase("comparing every tensor, and measuring the reloaded model")
    check_dense(loaded, manifest)
    bundle = _Opened(loaded, plan, state, folder, manifest, formats_of(manifest) if formats else (), watch)
    metric, found = _shrunk_again(bundle) if shrunk else _masked_again(bundle)
    return {
        "folder": str(folder),
        "workload": loaded.name,
        "tensors": len(state),
        "metric": metric,
        "n": manifest["examples"],
        "files": len(manifest["files"]),
        "formats": found if formats else None,
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
    """

    workload: Workload
    plan: SparsityPlan
    state: dict[str, Tensor]
    folder: Path
    manifest: dict[str, Any]
    formats: tuple[str, ...]
    watch: Watch

    def formats_again(self, measurement: Measurement, model: nn.Module) -> dict[str, float]:
        """Every format is compared with the model, and what is quantized is measured; the largest differences."""
        subject = subject_of(measurement, model)
        apart = check_formats(subject, self.formats, self.folder, self.watch.on_phase)
        if any(REGISTRY[name].reader for name in self.formats):
            self.watch.on_phase("measuring what is quantized")
            for row in quantized_rows(SideBySide(measurement), subject, self.formats, self.folder):
                _check_quantized(row["name"], row["metric"], self.manifest)
        return apart


def _shrunk_again(bundle: _Opened) -> tuple[float, dict[str, float]]:
    """Metric of the model that is shrunk anew and given the weights of the file; and its formats are compared."""

    def given(model: nn.Module) -> None:
        put_weights(model, bundle.workload.name, bundle.state, bundle.folder)

    with Measurement(bundle.workload, None, bundle.manifest["examples"], check=bundle.watch.check) as measurement:
        found = shrunk_workload(measurement, bundle.plan, given)
        apart = bundle.formats_again(measurement, found.model)
    assert found.outcome.metric is not None
    now, written = found.to_json(), bundle.manifest["shrunk"]
    for name in ("parameters", "dense_parameters", "other_scores", "notes"):
        if now[name] != written[name]:
            raise SecateurError(f"the manifest says {name} {written[name]}, it is {now[name]}; export the bundle again")
    _as_written(now["drop"]["value"], written["drop"]["value"])
    return _as_written(found.outcome.metric.value, written["metric"]["value"]), apart


def _masked_again(bundle: _Opened) -> tuple[float, dict[str, float]]:
    """Every tensor is what the plan makes of the dense one; metric of the file's; and its formats are compared."""
    workload, plan = bundle.workload, bundle.plan
    with replaced(workload.model, maker_for(workload, plan).cut_tensors(plan)):
        expected = unique_state(workload.model)
    check_bits(expected, bundle.state, bundle.folder)
    # of a model that was overwritten there is nothing to compare with
    against_dense = workload.metric.against == "dense"
    if not against_dense:
        # tied tensors are stored once; the names were compared before
        workload.model.load_state_dict(bundle.state, strict=False)
    with Measurement(workload, None, bundle.manifest["examples"], check=bundle.watch.check) as measurement:
        if against_dense:
            outcome = measurement.measure(plan)
            value = outcome.metric.value if outcome.metric else math.nan
            model = pruned_copy(workload.model, measurement.maker.cut_tensors(plan)).eval()
        else:
            value, model = measurement.dense().value, workload.model
        metric = _as_written(value, bundle.manifest["measured"]["pruned"]["value"])
        return metric, bundle.formats_again(measurement, model)


def _check_quantized(name: str, now: Mapping[str, Any] | None, manifest: dict[str, Any]) -> None:
    """A quantized format measures about what it did: processors differ in how they round and saturate int8."""
    try:
        before = next(row["metric"] for row in manifest["variants"] if row["name"] == name)
        same = before["low"] <= now["value"] <= before["high"] if now and before else now is before
    except (KeyError, TypeError, StopIteration):
        raise SecateurError(f"the manifest does not say what {name} measured; export the bundle again") from None
    if not same:
        value, was = (one["value"] if one else "nothing" for one in (now, before))
        raise SecateurError(f"{name} measures {value} here, the manifest says {was}; export the bundle again")


def _as_written(metric: float, written: float) -> float:
    # the same machine gives the same bits; another processor may round a last digit differently
    if not abs(metric - written) <= 1e-5 * max(1.0, abs(written)):
        raise SecateurError(
            f"the reloaded model measures {metric:.6g}, the manifest says {written:.6g}; export the bundle again"
        )
    return metric


def main() -> None:
    """`python -m core.delivery.verify FOLDER WORKLOAD [--without-formats]`.

    Ends with 0 when all is well, else with one line on standard error and 2.
    """
    try:
        verify_bundle(Path(sys.argv[1]), sys.argv[2], "--without-formats" not in sys.argv[3:])
    except SecateurError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
