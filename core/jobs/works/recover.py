"""What the worker does to prune in rounds with recovery, and where it keeps what comes out."""

import copy
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import SecateurError
from core.jobs.known.judging import Part, search_part
from core.jobs.known.kept_rounds import round_of
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import measurement_for
from core.recovery.history import Round, best_within
from core.recovery.judge import Judge
from core.recovery.recovered import recovered
from core.recovery.request import RecoverRequest
from core.recovery.round_file import path_of
from core.recovery.rounds import Recovery, Step
from core.sensitivity.report import Estimate
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
            "choice": None,
            "losses": losses,
        }
        n = measurement.batches.n
        choosing, part = search_part("all" if n == workload.n_open else n, workload.n_open)
        told = 0.0
        done = 0

        def on_step(step: Step) -> None:
            nonlocal told, done
            done += 1
            if step.step % max(1, step.n_steps // N_LOSSES) == 0 or step.step == step.n_steps:
                losses.append((step.iteration, step.step, step.loss))
            # the last one always, before the round is on disk: killed after that, its curve would be nowhere
            if time.monotonic() - told > TELL_SECONDS or step.step == step.n_steps:
                told = time.monotonic()
                phase = f"round {step.iteration} of {request.schedule.num_iterations}, loss {step.loss:.3g}"
                runs.update(run.id, done=done, phase=phase, result=result)

        def on_round(history: tuple[Round, ...]) -> None:
            nonlocal done
            if not losses:  # a run that goes on: the curves of the rounds that are not done again
                losses.extend(point for point in before if point[0] <= len(history))
            if done == 0 and history[-1].steps:  # of rounds on disk, which took no time: the time left is of the rest
                runs.update(run.id, reused=sum(row.steps for row in history))
            done = sum(row.steps for row in history)
            result["history"] = [row.to_json() for row in history]
            best = best_within(history, request.tolerance, choosing) if request.tolerance is not None else None
            result["best"] = best.iteration if best else None
            result["checkpoint"] = str(path_of(folder, len(history)).relative_to(runs.workspace.folder))
            # anew: of a round that was rolled back to, the rounds before may have had more steps than is asked for now
            runs.update(run.id, done=done, total=max(1, recovery.n_steps), result=result)

        recovery = Recovery(measurement, request, on_step=on_step, on_round=on_round, choosing=choosing)
        folder = checkpoints_of(runs.workspace, recovery.key)
        recovery.folder = folder
        result["schedule"] = list(recovery.plans.planned)
        result["dense"] = asdict(recovery.judge.baseline())
        result["cut_before"] = workload.teacher is not None
        # with the curves of before: killed before the first word of a round, they would be lost
        runs.update(run.id, total=max(1, recovery.n_steps), phase="pruning", result={**result, "losses": list(before)})
        history = recovery.run()
    if request.tolerance is not None:
        runs.update(run.id, result=result, phase="judging the best round on other examples")
        choice = _Rounds(run, workload, runs, request.device).choice(history, request.tolerance, choosing, part)
        result["best"], result["choice"] = choice["round"] if choice else None, choice
    runs.update(run.id, total=max(1, recovery.n_steps), done=max(1, recovery.n_steps), result=result)


@dataclass(frozen=True)
class _Rounds:
    """The rounds that a run has done, to be judged from their checkpoints."""

    run: Run
    workload: Workload
    runs: RunStore
    device: str

    def choice(
        self, history: Sequence[Round], tolerance: float, choosing: int, part: Part | None
    ) -> dict[str, Any] | None:
        """The best round, by what it was chosen, and what it costs on examples that none was chosen by.

        Args:
            history: of all rounds.
            tolerance: accepted.
            choosing: so many of the examples, from the first on, are chosen by.
            part: to judge on; `None` where too few are left.

        Returns:
            Plain values; `None` if no round is within.
        """
        best = best_within([self._with_choice(row, choosing) for row in history], tolerance, choosing)
        if best is None:
            return None
        chosen = best.choice(choosing)
        kept = self._model(best.iteration)
        judged = chosen if part is None else self._drop(kept, part)
        assert chosen is not None
        return {
            "round": best.iteration,
            "of": len(history),
            "tolerance": tolerance,
            "chosen": asdict(chosen),
            "judged": asdict(judged) if judged is not None else None,
            "skip": 0 if part is None else part.skip,
            "unseen": part is not None,
            "state": _state_of(kept),
        }

    def _with_choice(self, row: Round, choosing: int) -> Round:
        """A round of an older build did not keep what it is chosen by: that is measured now."""
        if row.drop is None or row.choice(choosing) is not None:
            return row
        return replace(row, chosen=self._drop(self._model(row.iteration), Part(0, choosing, unseen=False)))

    def _model(self, number: int) -> Workload | None:
        try:
            return recovered(self.workload, round_of(self.runs, self.run.id, number))
        except SecateurError:  # of a round that was rolled back to, and deleted since
            return None

    def _drop(self, kept: Workload | None, part: Part) -> Estimate | None:
        if kept is None:
            return None
        asked = (self.run, self.workload, self.runs, part.samples, 0, self.device)
        with measurement_for(*asked, skip=part.skip) as measurement:
            device = measurement.inputs(0)[0].device
            teacher = copy.deepcopy(self.workload.dense_model).to(device).eval()
            return Judge(measurement, teacher).outcome(kept.model.to(device)).drop


def _state_of(kept: Workload | None) -> str | None:
    """Fingerprint of a round's model, by which a bundle of it is known."""
    rounds = kept.origin[-1].rounds if kept is not None else None
    return str(rounds[-1]["states"][-1]) if rounds else None
