"""Lottery tickets: train, prune by magnitude, rewind, train again; each ticket against two controls."""

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch

from core.errors import SecateurError
from core.recovery.checkpoint import model_state, put_model_state
from core.recovery.held_masks import HeldMasks
from core.recovery.tickets.masks import Masks, packed, prune, shuffled, unpacked, weights_of
from core.recovery.tickets.report import VARIANTS, TicketReport, Trained, Variant
from core.recovery.tickets.request import TicketRequest
from core.recovery.training.initial_weights import initialise, unfrozen
from core.recovery.training.loss import Loss
from core.recovery.training.moment import Moment
from core.recovery.training.split import Split
from core.recovery.training.training import fine_tune, new_optimiser
from core.sensitivity.forwards.batches import batches_of
from core.sensitivity.statistics.intervals import metric_estimate
from core.workload.code_text import code_text
from core.workload.device import checked_device
from core.workload.identity.fingerprint import model_fingerprint
from core.workload.workload import Workload

COURSE = 2  # how a training goes: another number, other trainings, and those of before are not taken for them


class _ReachedError(Exception):
    """The step that is rewound to."""

    def __init__(self, moment: Moment) -> None:
        super().__init__(f"step {moment.step}")
        self.moment = moment


class Tickets:
    """An experiment; every finished training is on disk in `folder`, if there is one, before it is told of.

    Raises:
        SecateurError: no training data, no labels' loss, nothing to prune, or no way to initial weights.
    """

    def __init__(
        self,
        workload: Workload,
        request: TicketRequest,
        folder: Path | None = None,
        on_unit: Callable[[Trained], None] = lambda unit: None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        if workload.metric.against != "labels":
            raise SecateurError(f"{workload.metric.scale.name} compares with the trained model; take one of labels")
        self._workload, self._request, self._on_unit, self._check = workload, request, on_unit, check
        self._model = unfrozen(copy.deepcopy(workload.model).to(checked_device(request.device)))
        self._found = model_state(self._model)
        self._all = weights_of(self._model)
        if not self._all:
            raise SecateurError(
                f"{workload.name} has no layer whose weights can be cut and are not frozen; `secateur targets` says "
                "which can be cut, and requires_grad_(True) unfreezes them"
            )
        self._initialise(0)
        order = torch.cat(batches_of(workload, request.samples, 0).positions)
        self._judged_on = order.sort().values  # those that are set aside are none of them
        self._initial = model_fingerprint(self._model)  # with its code: how weights are drawn is part of it
        self._loss = Loss(workload, workload.model, request.fine_tuning)
        n_steps = request.fine_tuning.n_steps(len(Split.of(workload, request.fine_tuning).training), False)
        if request.rewind_step >= max(1, n_steps):
            raise SecateurError(f"rewind_step must be below the {n_steps} steps of a training")
        self.folder = folder / self.key()[:32] if folder is not None else None
        self.n_units = len(request.seeds) * (1 + len(VARIANTS) * request.rounds)

    def key(self) -> str:
        """By what a training depends on; more seeds and rounds go on from what is there."""
        assert self._workload.training is not None
        plain = self._request.to_json()
        asked = {
            name: value for name, value in plain.items() if name not in ("rounds", "seeds", "workload", "tolerance")
        }
        data = [self._workload.training.fingerprint(), self._workload.evaluation.fingerprint()]
        if not self._judged_on.equal(
            torch.arange(len(self._workload.evaluation))
        ):  # as of older builds where it is all
            data.append(self._workload.evaluation.take(self._judged_on).fingerprint())
        trained = [name for name, parameter in self._model.named_parameters() if parameter.requires_grad]
        augment = self._workload.augment
        metric = self._workload.metric
        code = [code_text(augment) if augment else "", metric.fingerprint(), metric.loss_fingerprint()]
        made_by = [COURSE, torch.get_num_threads()]
        text = json.dumps([made_by, asked, self._initial, sorted(self._all), trained, data, code], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def run(self) -> TicketReport:
        """Do what is not done yet."""
        units = []
        for seed in self._request.seeds:
            masks, start = self._all, None
            for number in range(self._request.rounds + 1):
                variants: tuple[Variant, ...] = VARIANTS if number else ("dense",)
                leader = None
                for variant in variants:
                    unit = self._known(seed, number, variant)
                    if unit is None:
                        start = start if start is not None else self.start(seed)
                        unit = self._train(seed, number, variant, masks, start)
                        self._keep(unit)
                    units.append(unit)
                    self._on_unit(unit)
                    leader = leader or unit
                assert leader is not None
                masks = unpacked(leader.next_mask, self._all)
        return TicketReport(self._workload.metric.scale, tuple(units), self._request.tolerance)

    def start(self, seed: int) -> Moment:
        """What tickets of a seed are rewound to: the initial weights, or `rewind_step` steps into the dense training.

        Raises:
            SecateurError: the dense training stops before that step, for its validation loss does not fall.
        """
        self._initialise(seed)
        wanted = self._request.rewind_step
        if not wanted:
            return Moment(0, model_state(self._model))
        try:
            made = self._fit(seed, self._all, stop_at=wanted)
        except _ReachedError as reached:
            return reached.moment
        raise SecateurError(
            f"the dense training of seed {seed} stopped early, after {made} steps, and never came to rewind_step "
            f"{wanted}; choose an earlier step, or a patience of 0"
        )

    def _initialise(self, seed: int) -> None:
        """As no training had been before: a buffer that nobody resets must not remember the last one."""
        put_model_state(self._model, self._found)
        initialise(self._model, seed)

    def _fit(self, seed: int, masks: Masks, begin: Moment | None = None, stop_at: int | None = None) -> int:
        """From the weights that there are, or the rest of a training from its moment; returns the steps made."""
        settings = self._request.settings(seed)
        optimiser, split = new_optimiser(self._model, settings), Split.of(self._workload, settings)
        if begin is not None:
            begin.put(self._model, optimiser)
        held = HeldMasks(self._model, {name: mask.to(self._request.device) for name, mask in masks.items()})

        def tell(step: int, n_steps: int, loss: float) -> None:
            if step == stop_at:
                raise _ReachedError(Moment.now(step, self._model, optimiser))

        return fine_tune(
            self._model, self._loss, split, held, optimiser, settings, 1,
            augment=self._workload.augment, check=self._check, tell=tell, begin=begin,
        )  # fmt: skip

    def _train(self, seed: int, number: int, variant: Variant, masks: Masks, start: Moment) -> Trained:
        own = seed * 1_000_003 + number + 2**40  # apart from the seeds of the initial weights
        used = shuffled(masks, own) if variant == "random_mask" else masks
        if variant in ("dense", "reinitialised"):  # a network that starts at the beginning: all steps
            self._initialise(seed if variant == "dense" else own)
        steps = self._fit(seed, used, start if variant in ("ticket", "random_mask") else None)
        metric, n = self._evaluate(variant == "dense")
        kept, total = sum(int(m.sum()) for m in used.values()), sum(m.numel() for m in used.values())
        follows = ""
        if variant in ("dense", "ticket"):
            follows = packed(prune(self._model.state_dict(), masks, self._request.per_round, self._request.scope))
        return Trained(seed, number, variant, 1 - kept / total, metric, n, steps, follows)

    @torch.no_grad()
    def _evaluate(self, dense: bool) -> tuple[float, int]:
        examples = self._workload.evaluation.take(self._judged_on)
        metric, device = self._workload.metric, self._request.device
        scores, weights, unlike = [], [], []
        for batch in examples.batches(self._workload.batch_size):
            outputs = self._model(*(tensor.to(device) for tensor in batch.inputs))
            scores.append(metric.score_batch(outputs, batch.labels.to(device), len(batch)).double().cpu())
            unlike.append(metric.unlike_logits(outputs))
            beside = metric.beside_scores(batch.labels)
            if beside is not None:
                weights.append(beside.double().cpu())
        if dense and unlike[0] is not None and all(unlike):
            raise unlike[0]
        found = torch.cat(weights).numpy() if weights else None
        return metric_estimate(metric.scale, torch.cat(scores).numpy(), found).value, len(examples)

    def _known(self, seed: int, number: int, variant: Variant) -> Trained | None:
        if self.folder is None:
            return None
        try:
            return Trained.read(self.folder / f"{seed}-{number}-{variant}.json")
        except SecateurError:
            return None  # not there, or damaged: it is done again

    def _keep(self, unit: Trained) -> None:
        if self.folder is None:
            return
        path = self.folder / unit.file_name
        beside = path.with_suffix(".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps(vars(unit)))
            beside.replace(path)  # whole or not at all
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise SecateurError(
                f"{path} could not be written ({error.strerror or error}); trainings before it are kept: free some "
                "space and resume"
            ) from error
