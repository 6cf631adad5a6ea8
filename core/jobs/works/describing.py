"""What a run leaves of what its workload is made of: at once, in passing, or after it."""

import torch

from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.submissions import IN_MEMORY
from core.sensitivity.measuring.measurement import Measurement
from core.workload.description import describe
from core.workload.device import free_memory
from core.workload.workload import Workload

TIMES_MODEL = 3  # what finding and trying coupled groups may take beside the model, in its size (large_model.py)


def describe_whole(run: Run, runs: RunStore, workload: Workload) -> None:
    """Remember what the workload is made of, coupled groups included, unless that is known of this model."""
    if run.workload.startswith(IN_MEMORY):  # of one made in a script there will be no second look
        return
    from core.profiling.target_flops import flops_by_target
    from core.pruning.structure import everything

    known = runs.description(run.workload)
    runs.remember(describe(run.workload, workload, everything, known[0] if known else None, flops_by_target))


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
