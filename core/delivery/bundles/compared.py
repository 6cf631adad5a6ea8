"""Two models that somebody names, on the same examples: bundles, checkpoints, and all that loading takes."""

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from core.certificates.bound import check_bounded
from core.certificates.certifying import examples_for, held_fingerprint, part_for
from core.certificates.gate import GateReport, Margins, groups_of, judge
from core.delivery.bundles.checks import (
    check_dense,
    check_shapes,
    contents,
    installed,
    put_weights,
    read_weights,
)
from core.delivery.bundles.sealed_zip import unpack
from core.delivery.manifest import MANIFEST, read_manifest
from core.delivery.rebuilt import rebuilt
from core.drafted import scratch
from core.engines.state import unique_state
from core.errors import SecateurError
from core.sensitivity.forwards.set_aside import order_of
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.stopping import never_stop
from core.workload.identity.fingerprint import model_fingerprint, state_fingerprint
from core.workload.loading import canonical_ref, load_workload
from core.workload.workload import Workload


@dataclass(frozen=True)
class Named:
    """A model that somebody named.

    Attributes:
        name: as it was named.
        workload: its data and metric.
        model: in evaluation mode.
        chosen: whether it was chosen by examples: cut by a plan, or kept of a recovery.
        ref: what it was made of, as runs name that.
    """

    name: str
    workload: Workload
    model: nn.Module
    chosen: bool
    ref: str

    @property
    def state(self) -> str:
        """Fingerprint of its weights."""
        return state_fingerprint(unique_state(self.model))


@contextmanager
def named_pair(candidate: str, baseline: str, model: str | None = None) -> Iterator[tuple[Named, Named]]:
    """The two models that a gate compares; what a zip holds is unpacked meanwhile.

    Args:
        candidate: folder or zip of a bundle, weights as safetensors for the baseline's model, or what loading takes.
        baseline: a bundle, or what loading takes.
        model: what bundles were cut from, where that is neither the baseline nor an installed sample.

    Raises:
        SecateurError: one cannot be read, or the two are judged by other metrics or on other examples.
    """
    with ExitStack() as stack:
        before = _named(baseline, model, None, stack)
        after = _named(candidate, model, before, stack)
        check_alike(after, before)
        yield after, before


def check_alike(after: Named, before: Named) -> None:
    """Refuse to compare what cannot be.

    Raises:
        SecateurError: metrics or examples differ.
    """
    ours, theirs = after.workload, before.workload
    if ours.metric.fingerprint() != theirs.metric.fingerprint():
        names = (ours.metric.scale.name, theirs.metric.scale.name)
        what = f"{names[0]} and {names[1]}" if names[0] != names[1] else f"two metrics called {names[0]}"
        raise SecateurError(
            f"{after.name} and {before.name} are judged by {what}; give both the same metric: --metric, or the "
            "workload file's"
        )
    if ours.evaluation.fingerprint() != theirs.evaluation.fingerprint():
        raise SecateurError(
            f"{after.name} and {before.name} are judged on other examples ({len(ours.evaluation):,} and "
            f"{len(theirs.evaluation):,}); give both the same data in the same order"
        )


def gated(
    after: Named,
    before: Named,
    margins: Margins,
    unseen: bool,
    device: str = "cpu",
    check: Callable[[], None] = never_stop,
    on_held: Callable[[str], None] = lambda examples: None,
) -> GateReport:
    """Score two models batch by batch until it is certain whether the first is worse.

    Args:
        after, before: of `named_pair`: candidate and baseline.
        margins: what is accepted.
        unseen: on the examples that nothing was chosen by, else on all.
        device: where both run.
        check: called before each batch; raises to stop.
        on_held: called once, before the first of the examples that are set aside for certificates is looked at, with
            the fingerprint that certificates have of them all.

    Raises:
        SecateurError: the metric has no bound, a column is not there, a score is no number, or nothing is set aside.
    """
    metric = before.workload.metric
    check_bounded(metric.scale, metric.weigh is not None)
    judged = replace(before.workload, model=before.model, teacher=None, origin=())
    on, n, part = (*examples_for(judged), part_for(judged)) if unseen else (judged, len(judged.evaluation), "whole")
    columns = on.all_columns()
    groups = groups_of(columns, margins.guards)
    ours: list[np.ndarray] = []
    seen: dict[str, list[str | int]] = {name: [] for name in margins.guards}
    report: GateReport | None = None
    held = set() if unseen else set(order_of(judged, 0, "held").tolist())
    has_told = False
    with Measurement(on, None, n, 0, device, check, part=part) as measurement, torch.inference_mode():
        here = copy.deepcopy(after.model).eval().to(measurement.inputs(0)[0].device)
        dense = copy.deepcopy(before.model).eval().to(measurement.inputs(0)[0].device)
        for i, rows in enumerate(measurement.batches.positions):
            check()
            if not has_told and (unseen or not held.isdisjoint(rows.tolist())):
                on_held(held_fingerprint(measurement) if unseen else _held_fingerprint(judged))
                has_told = True
            measurement.dense_evidence(i)
            inputs, size = measurement.inputs(i), measurement.batches.size(i)
            reference = dense(*inputs) if metric.against == "dense" else measurement.labels(i)
            scores = metric.score_batch(here(*inputs), reference, size, measurement.counted(i)).numpy()
            if bad := int((~np.isfinite(scores)).sum()):
                raise SecateurError(
                    f"{after.name} gives NaN or infinite scores on {bad} of {size} examples, so it cannot be judged; "
                    "check its weights"
                )
            ours.append(scores.astype(np.float64))
            for name, values in seen.items():
                values += [columns[name][row] for row in rows.tolist()]
            theirs, _ = measurement.dense_scores(range(i + 1))
            report = judge(metric.scale, theirs, np.concatenate(ours), seen, groups, margins, n)
            if report.verdict != "cannot tell":
                break
    assert report is not None, "there is at least one batch"
    return report


def _held_fingerprint(workload: Workload) -> str:
    return workload.evaluation.take(order_of(workload, 0, "held")).fingerprint()


def _named(text: str, model: str | None, before: Named | None, stack: ExitStack) -> Named:
    path = Path(text).expanduser()
    if path.suffix == ".zip" and path.is_file():
        folder = stack.enter_context(scratch())
        return _bundle(text, unpack(path, folder), model, before)
    if path.is_dir() and (path / MANIFEST).exists():
        return _bundle(text, path, model, before)
    if path.suffix == ".safetensors" and before is not None:
        return _checkpoint(text, path, before)
    loaded = load_workload(text)
    return Named(text, loaded, loaded.model, chosen=bool(loaded.origin), ref=canonical_ref(text))


def _checkpoint(text: str, path: Path, before: Named) -> Named:
    """The baseline's model with other weights."""
    state = read_weights(path)
    model = copy.deepcopy(before.model)
    check_shapes(before.name, unique_state(model), state, path.parent)
    model.load_state_dict(state, strict=False)  # tied tensors are stored once; names were compared before
    return Named(text, before.workload, model.eval(), chosen=before.chosen, ref=before.ref)


def _bundle(text: str, folder: Path, model: str | None, before: Named | None) -> Named:
    manifest = read_manifest(folder)
    plan, state = contents(folder, manifest)
    is_its = before is not None and model_fingerprint(before.workload.model) == manifest["dense_model"]
    if before is not None and is_its:
        workload, ref = before.workload, before.ref
    else:
        ref = model or installed(manifest["workload"], "secateur gate … --model")
        workload = load_workload(ref)
    check_dense(workload, manifest)
    made = rebuilt(workload, plan, manifest.get("form", "masked"))
    put_weights(made, workload.name, state, folder)
    return Named(text, workload, made, chosen=bool(plan.cuts or workload.origin), ref=canonical_ref(ref))
