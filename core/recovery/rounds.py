"""Rounds of pruning and recovery on a copy of a model, each evaluated and kept."""

import copy
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from core.errors import SecateurError
from core.plans.plan import SparsityPlan
from core.profiling.machine import this_machine
from core.recovery.checkpoint import (
    Checkpoint,
    last_checkpoint,
    model_state,
    optimiser_state,
    put_model_state,
    put_optimiser_state,
    read_checkpoint,
    write_checkpoint,
)
from core.recovery.growing import GrowingMasks
from core.recovery.held_masks import HeldMasks
from core.recovery.history import Round
from core.recovery.judge import Judge
from core.recovery.making import Making, Makings, with_round
from core.recovery.request import RecoverRequest
from core.recovery.round_plans import RoundPlans
from core.recovery.training.loss import Loss
from core.recovery.training.precision import training_dtype
from core.recovery.training.recalibration import recalibrate
from core.recovery.training.split import Split
from core.recovery.training.training import DivergedError, fine_tune, new_optimiser
from core.sensitivity.measuring.measurement import Measurement
from core.workload.code_text import code_text
from core.workload.identity.fingerprint import state_fingerprint

PRUNED_BEFORE = 0.1  # of the weights exactly zero: chance or initialisation leaves no such share, a mask does


@dataclass(frozen=True)
class Step:
    """Where training is: step of a round, and the loss of its batch."""

    iteration: int
    step: int
    n_steps: int
    loss: float


class Recovery:
    """Prune a copy of the dense model in rounds, with fine-tuning after each; the dense model is only read.

    Args:
        measurement: entered; model, examples to judge on, targets.
        request: what to do. Its workload's name is not looked at.
        folder: where the checkpoints are kept; what lies there of the same recovery is gone on from. `None` keeps none.
        on_step: called after every optimiser step.
        on_round: called with the history after every round, when it is on disk.
        choosing: as of a `Judge`.

    Of a workload with a teacher, a model that was made smaller, drops are from the teacher, and weights that are zero
    to begin with stay zero; so they do where nothing is to be pruned, and in a model of which a tenth is zero: training
    would undo an earlier pruning.

    Attributes:
        model: the copy, as the last round left it.
        masks: by state-dict name, True = kept.
        plans: what is to be gone after every round.
        judge: of the model, with the baseline that drops are told from.
        history: of the rounds that are done.
        folder: as given.

    Raises:
        SecateurError: no training data, a plan that cannot be held, or nothing to learn from.
    """

    def __init__(
        self,
        measurement: Measurement,
        request: RecoverRequest,
        folder: Path | None = None,
        on_step: Callable[[Step], None] = lambda step: None,
        on_round: Callable[[tuple[Round, ...]], None] = lambda history: None,
        choosing: int | None = None,
    ) -> None:
        self._measurement, self._request, self.folder = measurement, request, folder
        self._on_step, self._on_round = on_step, on_round
        self._split = Split.of(measurement.workload, request.fine_tuning)
        plan = SparsityPlan.from_document(request.plan) if request.plan is not None else None
        with_channels = plan is not None and any(cut.granularity == "channel" for cut in plan.cuts)
        self._growing = GrowingMasks(measurement, with_channels)
        self.model = copy.deepcopy(measurement.workload.model).eval()
        self.masks: dict[str, Tensor] = {}
        self.plans = RoundPlans(measurement, request, plan, self._growing)
        if plan is not None:
            measurement.prepare(plan)
            self.plans.of_round(1, self.model, self.masks)  # refuses what cannot be held before anything is trained
        device = next(self.model.parameters()).device
        teacher = copy.deepcopy(measurement.workload.dense_model).to(device).eval().requires_grad_(False)
        self.judge = Judge(measurement, teacher, choosing)
        self._loss = Loss(measurement.workload, teacher, request.fine_tuning)
        self._optimiser = new_optimiser(self.model, request.fine_tuning)
        trains_only = plan is None and request.schedule.final_sparsity == 0
        if trains_only or measurement.workload.teacher is not None or self._share_of_zeros() >= PRUNED_BEFORE:
            self._hold_zeros()
        self.history: tuple[Round, ...] = ()
        self._made_by: Makings | None = ()

    @cached_property
    def key(self) -> str:
        """What the result depends on: the model, the data, and what was asked for."""
        asked = {**self._request.to_json(), "workload": None, "tolerance": None}
        augment = self._measurement.workload.augment
        calibration = self._measurement.workload.calibration
        dtype = training_dtype(next(self.model.parameters()).device)
        parts = (
            self.judge.key,
            calibration.fingerprint() if calibration is not None else "",
            self._split.training.fingerprint(),
            self._measurement.workload.metric.loss_fingerprint(),
            str(self._measurement.workload.metric.logits),
            code_text(augment) if augment is not None else "",
            str(torch.get_num_threads()),  # sums are added up in another order by more threads
            json.dumps(asked, sort_keys=True),
            *([] if dtype == torch.float32 else [str(dtype)]),
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _share_of_zeros(self) -> float:
        targets = {target.parameter: target for target in self._measurement.targets if target.granularity == "weight"}
        n_zero = sum(int((self.model.get_parameter(name) == 0).sum()) for name in targets)
        return n_zero / max(1, sum(target.n_weights for target in targets.values()))

    def _hold_zeros(self) -> None:
        """What was pruned before must not grow back."""
        gone: dict[tuple[str, str], Tensor] = {}
        for target in self._measurement.targets:
            if target.granularity == "weight":
                kept = self.model.get_parameter(target.parameter).detach() != 0
                if not kept.all():
                    self.masks[target.parameter] = gone["weight", target.name] = kept
        self._growing.resume(self.masks, gone)

    @property
    def n_steps(self) -> int:
        """Optimiser steps of all rounds: of those that are done what they took, of the others if none stops early."""
        n, done = self._request.schedule.num_iterations, len(self.history)
        settings, size = self._request.fine_tuning, len(self._split.training)
        to_come = sum(settings.n_steps(size, is_last=i == n) for i in range(done + 1, n + 1))
        return sum(row.steps for row in self.history) + to_come

    def run(self, until: int | None = None) -> tuple[Round, ...]:
        """Do the rounds that are not done yet.

        Args:
            until: stop after this one, counted from 1; `None` for the last.

        Returns:
            The history of all.

        Raises:
            DivergedError: a loss became NaN or infinite. The last good round is kept, and is what `model` is then.
            SecateurError: a checkpoint could not be written.
            Cancelled: as the measurement's `check` says; rounds that were finished are kept.
        """
        self._go_on()
        self.judge.baseline()
        last = self._request.schedule.num_iterations if until is None else until
        for number in range(len(self.history) + 1, last + 1):
            kept = self._checkpoint()
            try:
                self._round(number)
            except DivergedError as error:
                self._put(kept)
                what = f"round {number - 1} is kept" if number > 1 else "the dense model is what is left"
                raise DivergedError(f"{error}; {what}") from None
            self._made_by = with_round(self._made_by, self._making, state_fingerprint(model_state(self.model)))
            if self.folder is not None:
                write_checkpoint(self.folder, self._checkpoint())
            self._on_round(self.history)
        return self.history

    def _round(self, number: int) -> None:
        start = time.monotonic()
        settings, workload = self._request.fine_tuning, self._measurement.workload
        self.masks = self._growing.grown(self.model, self.plans.of_round(number, self.model, self.masks))
        held = HeldMasks(self.model, self.masks)
        if settings.recalibrate:
            recalibrate(self.model, self._split.training, settings.batch_size)
        before, chosen = self.judge.outcome_and_choice(self.model)
        is_last = number == self._request.schedule.num_iterations
        steps = fine_tune(
            self.model, self._loss, self._split, held, self._optimiser, settings, number, is_last, workload.augment,
            self._measurement.check, lambda step, n_steps, loss: self._on_step(Step(number, step, n_steps, loss)),
        )  # fmt: skip
        if settings.recalibrate and steps:
            recalibrate(self.model, self._split.training, settings.batch_size)
        assert held.are_held()
        after, chosen = self.judge.outcome_and_choice(self.model) if steps else (before, chosen)
        gone, seconds = self.plans.share_gone(self.masks), time.monotonic() - start
        row = Round(number, gone, before.metric, after.metric, after.drop, steps, seconds, chosen)
        self.history = (*self.history, row)

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            self.history, self.key, self.judge.key,
            model_state(self.model), self.masks, self._growing.gone,
            optimiser_state(self.model, self._optimiser), self._request.fine_tuning.optimiser, self._made_by,
        )  # fmt: skip

    @cached_property
    def _making(self) -> Making:
        asked = {**self._request.to_json(), "start": None}
        here = this_machine(torch.device("cpu"))
        training = self._measurement.workload.training
        data = training.fingerprint() if training is not None else None
        return Making(asked, self.key, torch.get_num_threads(), str(here.torch), here.cpu, training=data)

    def _go_on(self) -> None:
        found = last_checkpoint(self.folder, self.key) if self.folder is not None else None
        if found is None and self._request.start is not None:
            found = read_checkpoint(Path(self._request.start))
            self._check_start(found)
        if found is not None:
            self._put(found)
            self._on_round(self.history)

    def _check_start(self, found: Checkpoint) -> None:
        """Refuse to go on from a round of another model, or one after which nothing is left to do."""
        start = f"round {len(found.history)} of the recovery"
        n, judged = self._request.schedule.num_iterations, found.history[-1].after
        if judged is not None and judged.n != self._measurement.batches.n:
            raise SecateurError(
                f"{start} was judged on {judged.n:,} evaluation examples and {self._measurement.batches.n:,} are asked "
                f"for now, so their drops could not stand in one table; ask for {judged.n:,}, or start without it"
            )
        if found.dense != self.judge.key:
            raise SecateurError(
                f"{start} was made of other dense weights, or judged by another metric or on other examples, than "
                f"{self._measurement.workload.name} as it is now; choose a round of this model"
            )
        gone, final = found.history[-1].sparsity, self._request.schedule.sparsities()[-1]
        if self.plans.whole is None and 0 < final < gone - 0.005:  # of layers' shares a few weights may be left over
            raise SecateurError(
                f"{start} has {gone:.1%} gone and the schedule ends at {final:.1%}: weights that are gone do not come "
                "back; end at more, or start from an earlier round"
            )
        if len(found.history) >= n:
            raise SecateurError(
                f"it is to go on after round {len(found.history)} and the schedule has {n}: nothing is left to do; "
                "give it more iterations, or start from an earlier round"
            )

    def _put(self, checkpoint: Checkpoint) -> None:
        put_model_state(self.model, checkpoint.model)
        device = next(self.model.parameters()).device
        self.masks = {name: mask.to(device) for name, mask in checkpoint.masks.items()}
        self._growing.resume(self.masks, dict(checkpoint.gone))
        self._optimiser = new_optimiser(self.model, self._request.fine_tuning)
        if checkpoint.optimiser_name == self._request.fine_tuning.optimiser:  # the one knows nothing of the other's
            put_optimiser_state(self.model, self._optimiser, checkpoint.optimiser)
        self.history, self._made_by = checkpoint.history, checkpoint.made_by
