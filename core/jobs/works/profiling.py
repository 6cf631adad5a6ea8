"""Profiles inside a run: of its own, or on the way of a longer one."""

import time
from collections.abc import Callable
from typing import Any

from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.submissions import profile_submission
from core.jobs.works.measuring import stop_check
from core.plans.plan import SparsityPlan
from core.profiling.request import ProfileRequest
from core.workload.identity.fingerprint import model_fingerprint
from core.workload.workload import Workload

TELL_SECONDS = 0.5


def profiled(
    run: Run,
    workload: Workload,
    runs: RunStore,
    plan: SparsityPlan | None,
    request: ProfileRequest,
    tell: Callable[[int, int, str], None],
) -> dict[str, Any]:
    """Measure sizes and times of the dense model and of what a plan makes of it; a profile run's result.

    Args:
        run: that does it, and may be stopped.
        workload: its model.
        runs: of the workspace.
        plan: `None` for the dense model alone.
        request: what is timed.
        tell: told of progress, twice a second at most.
    """
    from core.profiling.profile import profile
    from core.profiling.variants import single_cuts, variants

    told = 0.0

    def tell_seldom(done: int, total: int, phase: str) -> None:
        nonlocal told
        if time.monotonic() - told > TELL_SECONDS:  # between two rounds: writing must not cost more than they do
            told = time.monotonic()
            tell(done, total, phase)

    report = profile(
        variants(workload, plan),
        workload.evaluation.tensors[:-1],  # the last are the labels
        request,
        stop_check(run, runs),
        tell_seldom,
        run.workload,
        single_cuts(workload, request.savings),
    )
    return {**report.to_json(), "model": model_fingerprint(workload.model)}


def profiled_and_noted(
    run: Run, workload: Workload, runs: RunStore, plan: SparsityPlan | None, request: ProfileRequest
) -> dict[str, Any]:
    """Profile on the way of a longer run, and note it as if it had been a run of its own."""
    begun = time.time()
    result = profiled(run, workload, runs, plan, request, lambda done, total, phase: runs.update(run.id, phase=phase))
    runs.note_finished("profile", *profile_submission(run.workload, plan, request), result, begun)
    return result


def do_profile(run: Run, workload: Workload, runs: RunStore) -> None:
    """Measure sizes and times of the dense model, and of what the plan makes of it."""
    request = ProfileRequest.from_json(run.request["profile"])
    plan = SparsityPlan.from_document(run.request["plan"]) if run.request["plan"] else None

    def tell(done: int, total: int, phase: str) -> None:
        runs.update(run.id, done=done, total=total, phase=phase)

    runs.update(run.id, result=profiled(run, workload, runs, plan, request, tell), total=1, done=1)
