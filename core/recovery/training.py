"""Fine-tuning a copy of a model while its masks are held: from the labels, from the dense model, or from both."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import SecateurError
from core.recovery.held_masks import HeldMasks
from core.recovery.request import no_training_text
from core.recovery.settings import FineTuning
from core.workload.examples import Examples
from core.workload.workload import Workload

BatchNorm = nn.modules.batchnorm._BatchNorm
RECALIBRATION_EXAMPLES = 2_000  # more change the statistics of a batch normalisation by less than a batch does
Told = Callable[[int, int, float], None]  # step, counted from 1, of how many, loss of its batch


class DivergedError(SecateurError):
    """The loss became NaN or infinite; the model is of no use any more."""


@dataclass(frozen=True)
class Split:
    """The training examples of a workload, and those of them that are held back to decide when to stop."""

    training: Examples
    validation: Examples | None

    @classmethod
    def of(cls, workload: Workload, settings: FineTuning) -> "Split":
        """Drawn by the seed; never an evaluation example, for a workload may not share any.

        Raises:
            SecateurError: there are no training examples, or all of them would be held back.
        """
        examples = workload.training
        if examples is None or not len(examples):
            raise SecateurError(no_training_text(workload.name))
        n_held = round(settings.validation * len(examples)) if settings.patience else 0
        if n_held == 0:
            return cls(examples, None)
        if n_held >= len(examples):
            raise SecateurError(
                f"validation of {settings.validation:g} holds back all {len(examples)} training examples; take less"
            )
        order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(settings.seed))
        return cls(examples.take(order[n_held:].sort().values), examples.take(order[:n_held].sort().values))


class Loss:
    """What training makes small, for one batch.

    Args:
        workload: whose metric has the labels' loss.
        teacher: the dense model, in evaluation mode; only read.
        settings: weights and temperature.

    Raises:
        SecateurError: there is nothing to learn from, or a hint names no module of the model.
    """

    def __init__(self, workload: Workload, teacher: nn.Module, settings: FineTuning) -> None:
        self._metric, self._teacher, self._settings = workload.metric, teacher, settings
        self._weight = settings.distillation
        self._has_labels = self._metric.has_own_loss or (
            self._metric.loss is not None and self._metric.against == "labels"
        )
        if not self._has_labels and self._weight == 0:
            raise SecateurError(
                f"metric {self._metric.scale.name!r} of {workload.name} has no loss to train by; "
                "learn from the dense model instead: distillation above 0"
            )
        modules = dict(teacher.named_modules())
        for name in settings.hints:
            if name not in modules:
                raise SecateurError(
                    f"no module {name!r} to take hints from; `{workload.name}` has {', '.join(list(modules)[1:9])} …"
                )

    def __call__(self, model: nn.Module, batch: Examples) -> Tensor:
        """Mean loss of a batch, a scalar with gradients of the model's parameters."""
        taught = self._weight > 0 or self._settings.hints
        with ExitStack() as stack:
            ours = stack.enter_context(_outputs_of(model, self._settings.hints))
            theirs = stack.enter_context(_outputs_of(self._teacher, self._settings.hints))
            outputs = model(*batch.inputs)
            with torch.no_grad():
                wanted = self._teacher(*batch.inputs) if taught else None
        loss = torch.zeros((), device=batch.labels.device)
        if self._has_labels and self._weight < 1:
            assert self._metric.loss is not None
            share = 1 - self._weight
            loss = loss + share * self._metric.loss(outputs, batch.labels).mean()
        if self._weight > 0:
            loss = loss + self._weight * self._from_dense(plain_tensor(outputs), plain_tensor(wanted))
        for name in self._settings.hints:
            loss = loss + self._settings.hint_weight * F.mse_loss(ours[name], theirs[name].detach())
        return loss

    def _from_dense(self, ours: Tensor, wanted: Tensor) -> Tensor:
        """Kullback-Leibler divergence of softened predictions; of outputs that are no classes, squared distance."""
        if not self._metric.has_own_loss:
            return F.mse_loss(ours, wanted)
        t = self._settings.temperature
        soft = F.kl_div(
            F.log_softmax(ours.flatten(0, -2) / t, -1),
            F.log_softmax(wanted.flatten(0, -2) / t, -1),
            reduction="batchmean",
            log_target=True,
        )
        return soft * t * t  # so that gradients keep their size, whatever the temperature


def plain_tensor(outputs: Any) -> Tensor:
    """The tensor to compare in a model's outputs: themselves, their `logits`, or the first of several.

    Raises:
        SecateurError: there is none.
    """
    found = getattr(outputs, "logits", outputs)
    if isinstance(found, dict):
        found = found.get("logits", next(iter(found.values()), None))
    if isinstance(found, tuple | list) and found:
        found = found[0]
    if not isinstance(found, Tensor):
        raise SecateurError(
            f"the outputs, {type(outputs).__name__}, hold no tensor that could be compared with the dense model's; "
            "set distillation to 0"
        )
    return found


@contextmanager
def _outputs_of(model: nn.Module, names: tuple[str, ...]) -> Iterator[dict[str, Tensor]]:
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: found.__setitem__(name, plain_tensor(output))

    handles = [model.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


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
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    check: Callable[[], None] = lambda: None,
    tell: Told = lambda step, n_steps, loss: None,
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

    Returns:
        How many steps were made: fewer than planned if the validation loss stopped falling.

    Raises:
        DivergedError: a loss is NaN or infinite.
    """
    device = next(model.parameters()).device
    n_steps = settings.n_steps(len(split.training), is_last)
    masks.hold_state(optimiser)
    best, best_state, waited, step, epoch = math.inf, None, 0, 0, 0
    with _seeded(settings.seed, number, device):
        while step < n_steps:
            for batch in _shuffled(split.training, settings, number, epoch, augment):
                if step >= n_steps:
                    break
                check()
                value = _step(model, loss, _on(batch, device), masks, optimiser, settings, (step, n_steps))
                step += 1
                if not math.isfinite(value):
                    raise DivergedError(
                        f"the loss became {value} in step {step} of {n_steps} of round {number}; "
                        f"lower the learning rate, which is {settings.rate:g}"
                    )
                tell(step, n_steps, value)
            epoch += 1
            if split.validation is not None:
                now = _validation_loss(model, loss, split.validation, settings, device)
                if now < best:
                    best, waited = now, 0
                    best_state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
                else:
                    waited += 1
                if waited >= settings.patience:
                    break
    if best_state is not None:
        model.load_state_dict(best_state)
    model.eval()
    if not all(bool(p.isfinite().all()) for p in model.parameters()):
        raise DivergedError(f"weights became NaN or infinite in round {number}; lower the learning rate")
    return step


def _step(
    model: nn.Module,
    loss: Loss,
    batch: Examples,
    masks: HeldMasks,
    optimiser: torch.optim.Optimizer,
    settings: FineTuning,
    place: tuple[int, int],
) -> float:
    model.train()
    for group in optimiser.param_groups:
        group["lr"] = settings.rate_at(*place)
    kind = batch.labels.device.type
    with torch.enable_grad(), torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda"):
        found = loss(model, batch)
    value = float(found.detach())
    if not math.isfinite(value):
        return value
    optimiser.zero_grad(set_to_none=True)
    found.backward()
    masks.hold_gradients()
    if settings.clip:
        nn.utils.clip_grad_norm_([p for g in optimiser.param_groups for p in g["params"]], settings.clip)
    optimiser.step()
    masks.hold()
    return value


def _shuffled(
    examples: Examples,
    settings: FineTuning,
    number: int,
    epoch: int,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None,
) -> Iterator[Examples]:
    generator = torch.Generator().manual_seed(_seed(settings.seed, number, epoch))
    for rows in torch.randperm(len(examples), generator=generator).split(settings.batch_size):
        batch = examples.take(rows)
        if augment is not None and batch.inputs:
            batch = Examples((augment(batch.inputs[0], generator), *batch.inputs[1:]), batch.labels)
        if len(batch) > 1 or settings.batch_size == 1 or len(examples) == 1:  # a rest of one has no variance
            yield batch


@contextmanager
def _seeded(seed: int, number: int, device: torch.device) -> Iterator[None]:
    """Dropout draws from torch's own generator, which is as it was afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(_seed(seed, number, 0))
        yield


def _seed(seed: int, number: int, epoch: int) -> int:
    return ((seed * 1_000_003 + number) * 1_000_003 + epoch) % 2**63


def _on(batch: Examples, device: torch.device) -> Examples:
    return Examples(tuple(tensor.to(device) for tensor in batch.inputs), batch.labels.to(device))


@torch.no_grad()
def _validation_loss(
    model: nn.Module, loss: Loss, examples: Examples, settings: FineTuning, device: torch.device
) -> float:
    model.eval()
    total = sum(float(loss(model, _on(batch, device))) * len(batch) for batch in examples.batches(settings.batch_size))
    return total / len(examples)


@torch.no_grad()
def recalibrate(model: nn.Module, examples: Examples, batch_size: int) -> bool:
    """Estimate the running statistics of batch normalisation anew, as cumulative averages over training examples.

    Args:
        model: changed in its buffers alone; in evaluation mode afterwards.
        examples: inputs to look at; the first 2,000.
        batch_size: examples per pass.

    Returns:
        Whether there is any batch normalisation with running statistics.
    """
    found = [m for m in model.modules() if isinstance(m, BatchNorm) and m.track_running_stats]
    if not found:
        return False
    device = next(model.parameters()).device
    momenta = [module.momentum for module in found]
    model.eval()
    for module in found:
        module.reset_running_stats()
        module.momentum = None  # cumulative: every batch counts alike
        module.train()
    for batch in examples.first(RECALIBRATION_EXAMPLES).batches(batch_size):
        if len(batch) > 1:
            model(*_on(batch, device).inputs)
    for module, momentum in zip(found, momenta, strict=True):
        module.momentum = momentum
    model.eval()
    return True
