"""What every run that measures shares: a measurement that hears a stop, what is noted of a measured plan and of the
workload, in passing or after it."""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from core.errors import SecateurError
from core.jobs.places.asked import Asked
from core.jobs.places.claimed import Claimed
from core.jobs.places.joined import joined
from core.jobs.places.workers import is_shared
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.submissions import IN_MEMORY, plan_submission
from core.plans.plan import SparsityPlan
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.forwards.set_aside import Part
from core.sensitivity.measuring.elsewhere import Elsewhere
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.plan_measurement import PlanMeasurement, plan_measurement
from core.sensitivity.measuring.stopping import Cancelled
from core.sensitivity.request import Samples
from core.sensitivity.statistics.groups import GroupDrop, group_drops
from core.workload.description import Description, describe
from core.workload.device import free_memory
from core.workload.workload import Workload

TIMES_MODEL = 3  # what finding and trying coupled groups may take beside the model, in its size (large_model.py)
CHECK_SECONDS = 0.1  # between two looks whether somebody asked to stop: a look costs as much as a small cell


def stop_check(run: Run, runs: RunStore) -> Callable[[], None]:
    """What raises `Cancelled` once somebody asked the run to stop; cheap enough to be called between passes."""
    asked = 0.0

    def check() -> None:
        nonlocal asked
        if time.monotonic() - asked > CHECK_SECONDS:
            asked = time.monotonic()
            if runs.stopping(run.id):
                raise Cancelled

    return check


def phase_teller(run: Run, runs: RunStore) -> Callable[[str | None], None]:
    """What tells a phase for as long as something is waited for; told `None` it puts back the one before."""
    before: list[str | None] = []

    def tell(what: str | None) -> None:
        if not before:
            before.append(runs.get(run.id).phase)
        runs.update(run.id, phase=before.pop() if what is None else what)

    return tell


def file_stem(name: str, plan: SparsityPlan, run: Run) -> str:
    """What a file or folder of a run is called, without its ending: no spaces or commas, so that a shell takes it.

    Args:
        name: of the workload.
        plan: that it was cut by; an empty one leaves no mark.
        run: that wrote it.
    """
    words = re.sub(r"[^\w.]+", "-", name).strip("-.") or "model"
    return "-".join([words, *([plan.fingerprint()[:8]] if plan.cuts else []), run.id])


def measurement_for(
    run: Run,
    workload: Workload,
    runs: RunStore,
    samples: Samples,
    seed: int,
    device: str,
    threads: int | None = None,
    memory: float | None = None,
    kind: type[Measurement] = Measurement,
    part: Part = "open",
    skip: int = 0,
    around: SparsityPlan | None = None,
) -> Measurement:
    """A measurement on a workload that keeps its evidence in the workspace; of a class of its own, if one is given.

    Of maps, workers of `secateur work` measure a part, where there are any; `around` is the plan whose neighbours come.
    """
    made_with = {name: value for name, value in (runs.get(run.id).made_with or {}).items() if name != "workers"}
    if threads is not None:
        made_with = {**made_with, "threads": threads}
    store = EvidenceStore(
        runs.workspace,
        workload.metric.loss_fingerprint(),
        on_damage=lambda n: runs.note_damage(run.id, n),
        origin=json.dumps(made_with, sort_keys=True),
    )
    n_bytes = None if memory is None else int(memory * 1e9)
    elsewhere: Elsewhere | None = None
    if address := run.request.get("ray"):
        from core.jobs.cluster.ray_place import RayPlace

        if run.workload.startswith(IN_MEMORY):
            raise SecateurError(
                "a model that was made in a script is nowhere to be loaded from, and actors of Ray load it themselves; "
                "write a workload file (`secateur init`), or leave ray out"
            )
        elsewhere = RayPlace(address, run.workload, seed, device, threads, memory, phase_teller(run, runs))
    elif is_shared(run):
        asked = Asked(
            run.id, run.workload, "", kind.__name__, samples, seed, device, n_bytes, part, skip,
            around=None if around is None else around.to_document(),
        )  # fmt: skip

        def keep(who: Sequence[Mapping[str, Any]]) -> None:
            runs.update(run.id, made_with={**made_with, "workers": who})

        before = joined(runs.get(run.id))
        elsewhere = Claimed(runs.workspace, asked, json.dumps(made_with, sort_keys=True), keep, before=before)
    return kind(workload, store, samples, seed, device, stop_check(run, runs), threads, n_bytes, part, skip, elsewhere)


def measured_and_noted(
    run: Run,
    runs: RunStore,
    measurement: Measurement,
    plan: SparsityPlan,
    samples: Samples,
    device: str,
    skip: int = 0,
) -> PlanMeasurement:
    """Measure a plan on the way of a longer run, and note it as if it had been a run of its own: finished work is kept.

    Args:
        run: that measures it.
        runs: of the workspace.
        measurement: entered.
        plan: of the same workload.
        samples, device, skip: those of `measurement`, for the note.
    """
    begun = time.time()
    measured = plan_measurement(measurement, plan)
    result: dict[str, Any] = {**measured.to_json(), "model": measurement.model_hash}
    runs.note_finished("measure", *plan_submission(run.workload, plan, samples, device, skip=skip), result, begun)
    return measured


def check_guards(workload: Workload, guards: Mapping[str, float]) -> None:
    """Raises `SecateurError` unless the workload has every column whose groups are guarded, and can tell them apart."""
    columns = workload.all_columns()
    for column in guards:
        if column not in columns:
            there = f"choose one of {sorted(columns)}" if columns else "give the workload `columns`, or `class_names`"
            raise SecateurError(f"no column {column!r} to guard the groups of {workload.name} by; {there}")
        if column == "class" and workload.metric.scale.of_set:
            raise SecateurError(
                f"{workload.metric.scale.name} belongs to all classes together, so none of them has a drop to guard; "
                "guard another column, or take a metric of single examples"
            )


def groups_of(
    measurement: Measurement, plan: SparsityPlan, guards: Mapping[str, float] | None = None
) -> tuple[GroupDrop, ...]:
    """What a plan that was just measured costs each group of the examples; nothing where none are known.

    Args:
        measurement: entered, with a store.
        plan: that it has measured on all its examples.
        guards: by column, the most that each of its groups may lose, in the metric's unit.
    """
    workload, batches = measurement.workload, measurement.batches
    evidence = measurement.known(measurement.cell_key(plan))
    if not evidence or len(evidence) < len(batches):
        return ()
    rows = np.concatenate([np.asarray(positions) for positions in batches.positions]).tolist()
    columns = {name: [values[row] for row in rows] for name, values in workload.all_columns().items()}
    cut = np.concatenate([evidence[i].scores for i in range(len(batches))]).astype(np.float64)
    dense, weights = measurement.dense_scores(range(len(batches)))
    return group_drops(workload.metric.scale, columns, dense, cut, weights, guards)


def describe_whole(run: Run, runs: RunStore, workload: Workload) -> None:
    """Remember what the workload is made of, coupled groups included, unless that is known of this model."""
    if run.workload.startswith(IN_MEMORY):  # of one made in a script there will be no second look
        return
    from core.profiling.target_flops import flops_by_target
    from core.pruning.structure import everything

    known = runs.description(run.workload)
    runs.remember(describe(run.workload, workload, everything, known[0] if known else None, flops_by_target))


def describe_first(run: Run, runs: RunStore, workload: Workload) -> None:
    """As `describe_whole`, of a run that needs no coupled groups: they are looked for after it, if not known."""
    if not run.workload.startswith(IN_MEMORY):
        known = runs.description(run.workload)
        runs.remember(described(run.workload, workload, known[0] if known else None))


def described(ref: str, workload: Workload, known: Description | None = None) -> Description:
    """What a workload is made of without coupled groups, unless those are `known`."""
    from core.profiling.target_flops import flops_by_target
    from core.pruning.coupling.head_traces import traced_targets
    from core.pruning.structure import EXAMPLES

    few = tuple(tensor[:EXAMPLES] for tensor in workload.evaluation.inputs)
    return describe(ref, workload, lambda _: traced_targets(workload.model, few), known, flops_by_target, whole=False)


def describe_in_passing(run: Run, runs: RunStore, workload: Workload, measurement: Measurement) -> None:
    """Remember what a measurement knows of its workload; coupled groups only if it had to look for them."""
    if run.workload.startswith(IN_MEMORY):
        return
    from core.profiling.target_flops import flops_by_target

    known = runs.description(run.workload)
    targets, uncuttable, whole = measurement.cutting.everything()
    runs.remember(
        describe(
            run.workload, workload, lambda _: (targets, uncuttable), known[0] if known else None, flops_by_target,
            whole, measurement.model_hash,
        )
    )  # fmt: skip


def describe_later(run: Run, runs: RunStore, workload: Workload) -> None:
    """After a run that did not wait for coupled groups: look for them, where there is memory enough to try them."""
    known = None if run.workload.startswith(IN_MEMORY) else runs.description(run.workload)
    if known is None or known[0].is_whole:
        return
    if TIMES_MODEL * (known[0].n_bytes or 0) > free_memory(torch.device("cpu")):
        print(f"coupled groups of {run.workload} were not looked for, memory being short; `secateur targets` does")
        return
    describe_whole(run, runs, workload)
