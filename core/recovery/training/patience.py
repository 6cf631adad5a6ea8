"""Stopping early: a round ends when its validation loss fell no more, with the weights of its best epoch."""

import copy
import math
from typing import Any

import torch
from torch import nn

from core.recovery.settings import FineTuning
from core.recovery.training.loss import Loss
from core.recovery.training.split import on_device
from core.workload.examples import Examples


class Patience:
    """The lowest validation loss of a round so far, what had it, and how long nothing was better.

    Args:
        model: in evaluation mode after every look.
        optimiser: of its parameters.
        loss: whose mean over the examples is looked at.
        examples: held back from training, on any device; `None` never stops a round.
        settings: how many epochs to wait, and the batch size.
    """

    def __init__(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        loss: Loss,
        examples: Examples | None,
        settings: FineTuning,
    ) -> None:
        self._model, self._optimiser, self._loss = model, optimiser, loss
        self._examples, self._settings = examples, settings
        self._least, self._waited = math.inf, 0
        self._best: tuple[dict[str, Any], dict[str, Any]] | None = None

    def is_over(self) -> bool:
        """Look at the model after an epoch: whether the loss was no lower in so many epochs one after the other."""
        if self._examples is None:
            return False
        now = self._validation_loss(self._examples)
        if now < self._least:
            self._least, self._waited = now, 0
            self._best = copy.deepcopy((self._model.state_dict(), self._optimiser.state_dict()))
        else:
            self._waited += 1
        return self._waited >= self._settings.patience

    def put_best(self) -> None:
        """Give model and optimiser what they had after the best epoch, if there was a look at any."""
        if self._best is not None:
            self._model.load_state_dict(self._best[0])
            self._optimiser.load_state_dict(self._best[1])  # the next round goes on from here, not from what is dropped

    @torch.no_grad()
    def _validation_loss(self, examples: Examples) -> float:
        self._model.eval()
        device = next(self._model.parameters()).device
        total = sum(
            float(self._loss(self._model, on_device(batch, device))) * len(batch)
            for batch in examples.batches(self._settings.batch_size)
        )
        return total / len(examples)
