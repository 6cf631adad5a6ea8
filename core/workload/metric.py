"""Metrics: per-example scores, and how they become the one number that is shown."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from core.errors import SecateurError
from core.workload.code_text import code_text
from core.workload.scale import Scale


@dataclass(frozen=True)
class Metric:
    """What a model's outputs are worth, example by example.

    Attributes:
        scale: name, unit, direction and range of the number that is shown, and how scores become it.
        score: `(outputs, labels) -> (n,)` float tensor, one finite score per example.
        weigh: `labels -> (n,)` weight of each example in the mean (tokens per passage, say);
            `None` weighs all alike.
        loss: `(outputs, labels) -> (n,)` float tensor, one differentiable loss per example, lower = better; what
            gradients are taken of. `None`: there is no preview. Never measured with, so no part of the fingerprint.
    """

    scale: Scale
    score: Callable[[Any, Tensor], Tensor] = field(repr=False)
    weigh: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)
    loss: Callable[[Any, Tensor], Tensor] | None = field(default=None, repr=False)

    def fingerprint(self) -> str:
        """Hash of the scale and the scoring code: another metric never shares evidence with this one."""
        digest = hashlib.sha256(repr(self.scale).encode())
        for function in (self.score, self.weigh):
            digest.update(code_text(function).encode())
        return digest.hexdigest()

    def score_batch(self, outputs: Any, labels: Tensor) -> Tensor:
        """`score`, checked: float32 (n,) on the CPU.

        Raises:
            SecateurError: the function does not return one number per example.
        """
        scores = self.score(outputs, labels)
        if not isinstance(scores, Tensor) or scores.shape != labels.shape[:1]:
            got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise SecateurError(
                f"metric {self.scale.name!r} must return one score per example, shape ({len(labels)},), got {got}; "
                "reduce over every dimension but the first"
            )
        return scores.detach().to("cpu", torch.float32)


def accuracy() -> Metric:
    """Top-1 accuracy: outputs are class logits (n, classes), labels int64 (n,). A fraction in [0, 1]."""
    return Metric(
        Scale("accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0),
        lambda outputs, labels: (outputs.argmax(-1) == labels).float(),
        loss=_cross_entropies,
    )


def cross_entropy() -> Metric:
    """Cross-entropy in nats: outputs are class logits (n, classes), labels int64 (n,). Lower is better."""
    return Metric(
        Scale("cross-entropy", "nats", higher_is_better=False, low=0.0, high=None),
        lambda outputs, labels: F.cross_entropy(outputs, labels, reduction="none"),
        loss=_cross_entropies,
    )


def perplexity(ignore_index: int = -100) -> Metric:
    """Token-weighted perplexity: logits (n, length, symbols), labels int64 (n, length). Lower is better.

    `exp` of the mean negative log-likelihood over all tokens but those labelled `ignore_index`; a passage counts
    as much as it has tokens.
    """

    def score(outputs: Tensor, labels: Tensor) -> Tensor:
        losses = F.cross_entropy(outputs.flatten(0, 1), labels.flatten(), reduction="none", ignore_index=ignore_index)
        counted = (labels != ignore_index).sum(1)
        return losses.view(labels.shape).sum(1) / counted.clamp(min=1)

    def weigh(labels: Tensor) -> Tensor:
        return (labels != ignore_index).sum(1).float()

    scale = Scale("perplexity", "perplexity", higher_is_better=False, low=1.0, high=None, aggregate="exp_mean")
    return Metric(scale, score, weigh, loss=score)


def _cross_entropies(outputs: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(outputs, labels, reduction="none")
