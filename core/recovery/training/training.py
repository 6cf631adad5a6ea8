"""Fine-tuning a copy of a model for one round, its masks held after every step."""

import math
from collections.abc import Callable

import torch
from torch import nn

from core.errors import SecateurError
from core.recovery.held_masks import HeldMasks
from core.recovery.settings import FineTuning
from core.recovery.training.draws import Augment, seeded, shuffled
from core.recovery.training.loss import Loss
from core.recovery.training.moment import Moment
from core.recovery.training.patience import Patience
from core.recovery.training.split import Split, on_device
from core.workload.examples import Examples

Told = Callable[[int, int, float], None]  # step, counted from 1, of how many, loss of its batch


class DivergedError(SecateurError):
    """The loss became NaN or infinite; the model is of no use any more."""


def new_optimiser(model: nn.Module, settings: FineTuning) -> torch.optim.Optimizer:
    """Over all parameters, in their order; those that need no gradient are left alone by having none."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise SecateurError("no parameter of the model requires a gradient; unfreeze what shall be trained")
    if settings.optimiser == "sgd":
        return torch.optim.SGD(
            parameters, settings.rate, settings.momentum, weight_decay=settings.weight_decay,
            nesterov=settings.momentum > 0,
        )  # fmt: skip
    return torch.optim.AdamW(parameters, settings.rate, weight_decay=settings.weight_decay)


def fine_tune(
    model: nn.Module,
    loss: Loss,
    split: Split,
    masks: HeldMasks,
    optimiser: torch.optim.Optimizer,
    settings: FineTuning,
    number: int,
    is_last: bool = False,
    augment: Augment | None = None,
    check: Callable[[], None] = lambda: None,
    tell: Told = lambda step, n_steps, loss: None,
    begin: Moment | None = None,
) -> int:
    """Train a model for one round. The order of the examples depends on the seed and the round's number alone.

    Args:
        model: a copy that belongs to the caller; in evaluation mode afterwards.
        loss: what to make small.
        split: examples, on any device.
        masks: held after every step.
        optimiser: of the model's parameters; goes on from what it remembers.
        settings: how.
        number: of the round, counted from 1.
        is_last: whether `settings.last` counts.
        augment: changes the first input of a batch, as `Workload.augment`.
        check: called before every step; raises to stop.
        tell: called after every step.
        begin: go on from a moment of such a training, at its place in the learning rate and in the order of examples;
            `model` and `optimiser` are as they were then. What the validation loss was before is not known.

    Returns:
        How many steps were made here: fewer than planned if the validation loss stopped falling.

    Raises:
        DivergedError: a loss is NaN or infinite.
    """
    device = next(model.parameters()).device
    n_steps = settings.n_steps(len(split.training), is_last)
    masks.hold_state(optimiser)
    patience = Patience(model, optimiser, loss, split.validation, settings)
    first = begin.step if begin is not None else 0
    step = epoch = 0
    with seeded(settings.seed, number, device):
        while step < n_steps:
            for batch in shuffled(split.training, settings, number, epoch, augment):
                if step >= n_steps:
                    break
                step += 1
                if begin is not None and step <= first:  # drawn, so that the generator of the examples is where it was
                    if step == first:
                        begin.put_random(device)
                    continue
                check()
                value = _step(
                    model, loss, on_device(batch, device), masks, optimiser, settings, (step, n_steps, number)
                )
                tell(step, n_steps, value)
            epoch += 1
            if step >= first and patience.is_over():
                break
    patience.put_best()
    model.eval()
    if not all(bool(p.isfinite().all()) for p in model.parameters()):
        raise DivergedError(f"weights became NaN or infinite in round {number}; lower the learning rate")
    return step - first


def _step(
    model: nn.Module,
    loss: Loss,
    batch: Examples,
    masks: HeldMasks,
    optimiser: torch.optim.Optimizer,
    settings: FineTuning,
    place: tuple[int, int, int],
) -> float:
    """Loss of a batch before the step; `place` is the step, counted from 1, of how many, and the round."""
    step, n_steps, number = place
    model.train()
    for group in optimiser.param_groups:
        group["lr"] = settings.rate_at(step - 1, n_steps)
    try:
        with torch.enable_grad():
            found = loss(model, batch)
    except ValueError as error:
        if len(batch) > 1:
            raise
        raise SecateurError(
            f"batch normalisation cannot be trained on batches of 1 ({error}); give more training examples, or a "
            "batch_size above 1"
        ) from error
    value = float(found.detach())
    if not math.isfinite(value):
        raise DivergedError(
            f"the loss became {value} in step {step} of {n_steps} of round {number}; "
            f"lower the learning rate, which is {settings.rate:g}"
        )
    optimiser.zero_grad(set_to_none=True)
    found.backward()
    masks.hold_gradients()
    if settings.clip:
        nn.utils.clip_grad_norm_([p for g in optimiser.param_groups for p in g["params"]], settings.clip)
    optimiser.step()
    masks.hold()
    return value
