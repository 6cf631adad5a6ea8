"""What recovery training makes small: the labels' loss, the distance from the dense model, or both."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import SecateurError
from core.recovery.settings import FineTuning
from core.recovery.training.precision import autocast_for
from core.workload.examples import Examples
from core.workload.workload import Workload


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
        modules = dict(workload.model.named_modules())
        for name in settings.hints:
            if name not in modules or name not in dict(teacher.named_modules()):
                raise SecateurError(
                    f"no module {name!r} to take hints from; `{workload.name}` has {', '.join(list(modules)[1:9])} …"
                )

    def __call__(self, model: nn.Module, batch: Examples) -> Tensor:
        """Mean loss of a batch, a scalar with gradients of the model's parameters; in the precision of its device."""
        with autocast_for(batch.labels.device):
            return self._of(model, batch)

    def _of(self, model: nn.Module, batch: Examples) -> Tensor:
        taught = self._weight > 0 or self._settings.hints
        with ExitStack() as stack:
            ours = stack.enter_context(_outputs_of(model, self._settings.hints))
            theirs = stack.enter_context(_outputs_of(self._teacher, self._settings.hints))
            outputs = model(*batch.inputs)
            with torch.no_grad():
                wanted = self._teacher(*batch.inputs) if taught else None
        loss = torch.zeros((), device=batch.labels.device)
        if self._has_labels and self._weight < 1:
            share = 1 - self._weight
            loss = loss + share * self._metric.losses(outputs, batch.labels).mean()
        if self._weight > 0:
            loss = loss + self._weight * self._from_dense(
                _widened(plain_tensor(outputs)), _widened(plain_tensor(wanted))
            )
        for name in self._settings.hints:
            loss = loss + self._settings.hint_weight * F.mse_loss(*_alike(name, ours[name], theirs[name]))
        return loss

    def _from_dense(self, ours: Tensor, wanted: Tensor) -> Tensor:
        """Kullback-Leibler divergence of softened predictions; of outputs that are no classes, squared distance."""
        if not self._metric.logits:
            return F.mse_loss(ours, wanted)
        t = self._settings.temperature
        soft = F.kl_div(
            F.log_softmax(ours.flatten(0, -2) / t, -1),
            F.log_softmax(wanted.flatten(0, -2) / t, -1),
            reduction="batchmean",
            log_target=True,
        )
        return soft * t * t  # so that gradients keep their size, whatever the temperature


def _alike(name: str, ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    if ours.shape != theirs.shape:
        raise SecateurError(
            f"{name} gives {tuple(ours.shape)}, that of the dense model {tuple(theirs.shape)}: it was made smaller, so "
            "it can take no hints; leave it out"
        )
    return _widened(ours), _widened(theirs)


def _widened(tensor: Tensor) -> Tensor:
    """In float32 what autocast narrowed: a difference of two large numbers has no digits left in bfloat16."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


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
