"""How to fine-tune. Plain values; no torch."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from core.errors import SecateurError
from core.plans.checked import as_float

Optimiser = Literal["adamw", "sgd"]
Decay = Literal["cosine", "linear", "constant"]
CHOICES: dict[str, tuple[str, ...]] = {"optimiser": ("adamw", "sgd"), "decay": ("cosine", "linear", "constant")}


@dataclass(frozen=True)
class FineTuning:
    """How a pruned model is trained in every round.

    Attributes:
        epochs: passes over the training examples in each round; 0 for none. A fraction is allowed.
        steps: optimiser steps in each round instead of `epochs`; `None` for epochs.
        last: the last round trains this many times as long.
        optimiser: `"adamw"` (Loshchilov & Hutter 2019, arXiv:1711.05101) or `"sgd"`, with Nesterov's momentum.
        rate: highest learning rate of a round.
        decay: how the rate goes to zero after the warm-up, or `"constant"`.
        warmup: share of a round's steps over which the rate rises to `rate`, in [0, 1).
        momentum: of SGD, in [0, 1).
        weight_decay: as the optimiser takes it.
        batch_size: training examples per step.
        clip: largest norm of the gradients of all parameters together; 0 for no limit.
        distillation: weight of the loss against the dense model's outputs in [0, 1]; the labels' has the rest.
        temperature: both outputs are divided by it before they are compared; Hinton et al. 2015, arXiv:1503.02531.
        hints: names of modules whose outputs shall be like the dense model's; Romero et al. 2015, arXiv:1412.6550.
        hint_weight: of those in the loss.
        validation: share of the training examples that are held back and decide about stopping early, in [0, 1).
        patience: epochs without a lower validation loss after which a round ends with its best weights; 0 for never.
        recalibrate: estimate the statistics of batch normalisation anew before training and after.
        seed: of the order of the examples, their augmentation, and dropout.
    """

    epochs: float = 1.0
    steps: int | None = None
    last: float = 1.0
    optimiser: Optimiser = "adamw"
    rate: float = 1e-3
    decay: Decay = "cosine"
    warmup: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-2
    batch_size: int = 128
    clip: float = 1.0
    distillation: float = 0.5
    temperature: float = 2.0
    hints: tuple[str, ...] = ()
    hint_weight: float = 1.0
    validation: float = 0.1
    patience: int = 0
    recalibrate: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "hints", tuple(self.hints))
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise SecateurError(f"no {name} {getattr(self, name)!r}; choose one of {list(known)}")
        for name in ("epochs", "rate", "weight_decay", "clip", "hint_weight"):
            self._check(name, 0, math.inf, "a number of at least 0")
        for name in ("warmup", "momentum", "validation"):
            self._check(name, 0, math.nextafter(1, 0), "a fraction in [0, 1)")
        self._check("distillation", 0, 1, "a fraction in [0, 1]")
        self._check("temperature", 1e-3, 1e6, "a number above 0, such as 2")
        self._check("last", 1, math.inf, "a number of at least 1")
        for name, least in (("steps", 0), ("batch_size", 1), ("patience", 0), ("seed", 0)):
            value = getattr(self, name)
            if name == "steps" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise SecateurError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if self.patience and self.validation == 0:
            raise SecateurError("patience wants examples that are held back to decide by; give validation, such as 0.1")

    def _check(self, name: str, low: float, high: float, expected: str) -> None:
        value = as_float(getattr(self, name))
        if not low <= value <= high or math.isinf(value):
            raise SecateurError(f"{name} of the fine-tuning must be {expected}, got {getattr(self, name)!r}")

    @property
    def trains(self) -> bool:
        """Whether there is anything to train in a round."""
        return self.steps > 0 if self.steps is not None else self.epochs > 0

    def n_held(self, n_examples: int) -> int:
        """Of `n_examples` training examples, how many are held back to decide about stopping early."""
        return max(1, round(self.validation * n_examples)) if self.patience else 0

    def n_steps(self, n_examples: int, is_last: bool) -> int:
        """Optimiser steps of a round on `n_examples` training examples."""
        per_epoch = self.steps_per_epoch(n_examples)
        # however few epochs, it is not none
        one = self.steps if self.steps is not None else max(round(self.epochs * per_epoch), int(self.epochs > 0))
        return round(one * self.last) if is_last else one

    def steps_per_epoch(self, n_examples: int) -> int:
        """The last batch of an epoch may be smaller."""
        return -(-n_examples // self.batch_size)

    def rate_at(self, step: int, n_steps: int) -> float:
        """Learning rate of step `step`, counted from 0, of `n_steps`."""
        n_warm = round(self.warmup * n_steps)
        if step < n_warm:
            return self.rate * (step + 1) / n_warm
        if self.decay == "constant":
            return self.rate
        done = (step - n_warm) / max(1, n_steps - n_warm)
        return self.rate * (1 - done if self.decay == "linear" else 0.5 * (1 + math.cos(math.pi * done)))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "hints": list(self.hints)}
