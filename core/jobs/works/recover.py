"""What the worker does to prune in rounds with recovery, and where it keeps what comes out."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import measurement_for
from core.recovery.history import Round, best_within
from core.recovery.request import RecoverRequest
from core.recovery.round_file import path_of
from core.recovery.rounds import Recovery, Step
from core.workload.workload import Workload
from core.workspace import Workspace

TELL_SECONDS = 0.5  # between two notes of how far training is
N_LOSSES = 200  # points of a round's loss curve that are kept: as many as a chart can show


def checkpoints_of(workspace: Workspace, key: str) -> Path:
    """Where the rounds of a recovery are kept: by what it depends on, so that no run does again what one has done."""
    return workspace.subfolder("recoveries") / key[:32]


def do_recover(run: Run, workload: Workload, runs: RunStore) -> None:
    """Every round is on disk when it is told of; a run that goes on starts after the last one that is."""
    request = RecoverRequest.from_json(dict(run.request))
    with measurement_for(run, workload, runs, request.samples, 0, request.device) as measurement:
        losses: list[tuple[int, int, float]] = []
        before = (run.result or {}).get("losses", ())
        result: dict[str, Any] = {
            "model": measurement.model_hash,
            "metric": asdict(workload.metric.scale),
            "dense": None,
            "history": [],
            "best": None,
            "losses": losses,
        }
        told = 0.0
        done = 0

        def on_step(step: Step) -> None:
            nonlocal told, done
            done += 1
            if step.step % max(1, step.n_steps // N_LOSSES) == 0 or step.step == step.n_steps:
                losses.append((step.iteration, step.step, step.loss))
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                phase = f"round {step.iteration} of {request.schedule.num_iterations}, loss {step.loss:.3g}"
                runs.update(run.id, done=done, phase=phase, result=result)

        def on_round(history: tuple[Round, ...]) -> None:
            nonlocal done
            if not losses:  # a run that goes on: the curves of the rounds that are not done again
                losses.extend(point for point in before if point[0] <= len(history))
            if done == 0 and history[-1].steps:  # of rounds on disk, which took no time: the time left is of the rest
                runs.update(run.id, reused=sum(row.steps for row in history))
            done = max(done, sum(row.steps for row in history))
            result["history"] = [row.to_json() for row in history]
            best = best_within(history, request.tolerance) if request.tolerance is not None else None
            result["best"] = best.iteration if best else None
            result["checkpoint"] = str(path_of(folder, len(history)).relative_to(runs.workspace.folder))
            runs.update(run.id, done=done, result=result)

        recovery = Recovery(measurement, request, on_step=on_step, on_round=on_round)
        folder = checkpoints_of(runs.workspace, recovery.key)
        recovery.folder = folder
        result["schedule"] = list(recovery.plans.planned)
        result["dense"] = asdict(recovery.judge.baseline())
        result["cut_before"] = workload.teacher is not None
        runs.update(run.id, total=max(1, recovery.n_steps), phase="pruning", result=result)
        recovery.run()
    runs.update(run.id, total=max(1, recovery.n_steps), done=max(1, recovery.n_steps), result=result)
