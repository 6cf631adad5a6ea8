"""Metrics of single logits: a binary classifier's one, or one for each of several labels that hold at once."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from core.errors import SecateurError
from core.workload.metric import Metric, nan_where_outputs_are
from core.workload.metrics.reading import Reading
from core.workload.scale import Scale


def binary_accuracy(threshold: float = 0.0) -> Metric:
    """Accuracy of a binary classifier: outputs (n,) or (n, 1), labels 0 and 1 (n,). A fraction in [0, 1].

    Args:
        threshold: above it an output is class 1: 0 for logits, 0.5 for probabilities.

    Raises:
        SecateurError: the threshold is not finite.
    """
    _check_threshold(threshold)

    def score(outputs: Tensor, labels: Tensor) -> Tensor:
        return nan_where_outputs_are((_one(outputs) > threshold).eq(labels.flatten() > 0).float(), _column(outputs))

    scale = Scale("accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)
    return Metric(scale, score, loss=_loss_for(threshold), reading=Reading("binary", wants_logits=threshold == 0))


def binary_f1(threshold: float = 0.0) -> Metric:
    """Macro F1 of a binary classifier: the mean of the F1 of class 0 and of class 1; as `f1` for outputs of one column.

    Args:
        threshold: above it an output is class 1: 0 for logits, 0.5 for probabilities.

    Raises:
        SecateurError: the threshold is not finite.

    Source: as of `core.f1`.
    """
    _check_threshold(threshold)

    def score(outputs: Tensor, labels: Tensor) -> Tensor:
        return nan_where_outputs_are((_one(outputs) > threshold).float(), _column(outputs))

    scale = Scale("macro F1", "fraction", higher_is_better=True, low=0.0, high=1.0, aggregate="macro_f1")
    reading = Reading("binary", wants_logits=threshold == 0)
    return Metric(scale, score, truth=_truth, loss=_loss_for(threshold), reading=reading)


def binary_cross_entropy() -> Metric:
    """Cross-entropy of one logit in nats: outputs (n,) or (n, 1), labels 0 and 1 (n,). Lower is better."""
    scale = Scale("cross-entropy", "nats", higher_is_better=False, low=0.0, high=None)
    return Metric(scale, binary_loss, loss=binary_loss, reading=Reading("binary", wants_logits=True))


def binary_agreement(threshold: float = 0.0) -> Metric:
    """Agreement of a binary classifier with the dense model: outputs (n,) or (n, 1). A fraction in [0, 1].

    Args:
        threshold: above it an output is class 1: 0 for logits, 0.5 for probabilities.

    Raises:
        SecateurError: the threshold is not finite.
    """
    _check_threshold(threshold)

    def score(outputs: Tensor, dense: Tensor) -> Tensor:
        same = (_one(outputs) > threshold).eq(_one(dense) > threshold).float()
        return nan_where_outputs_are(same, _column(outputs))

    scale = Scale("agreement", "fraction", higher_is_better=True, low=0.0, high=1.0)
    return Metric(scale, score, against="dense", reading=Reading("number of dense", wants_logits=threshold == 0))


def label_accuracy() -> Metric:
    """Share of several labels that are told right: logits (n, labels), labels 0 and 1 of that shape. In [0, 1].

    One minus the Hamming loss; a logit above 0 says that the label holds.

    Source: Schapire & Singer 2000, Machine Learning 39:135.
    """
    scale = Scale("label accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)
    return Metric(scale, _labels_right, loss=_labels_loss, reading=Reading("labels"))


def label_f1() -> Metric:
    """F1 of the labels of each example: logits (n, labels), labels 0 and 1 of that shape. A fraction in [0, 1].

    Twice the labels that are told right over those that hold and those that are told to; 1 where there are none of
    either. A logit above 0 says that the label holds.

    Source: Godbole & Sarawagi 2004, PAKDD 3056:22 (example-based).
    """
    scale = Scale("label F1", "fraction", higher_is_better=True, low=0.0, high=1.0)
    return Metric(scale, _labels_f1, loss=_labels_loss, reading=Reading("labels"))


def label_match() -> Metric:
    """Share of examples all of whose labels are told right: as `label_accuracy`, but all or nothing. In [0, 1]."""
    scale = Scale("label match", "fraction", higher_is_better=True, low=0.0, high=1.0)
    return Metric(scale, _labels_match, loss=_labels_loss, reading=Reading("labels"))


def binary_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of one logit (n,) or (n, 1) with labels 0 and 1 (n,), in nats; (n,)."""
    return F.binary_cross_entropy_with_logits(_one(outputs), labels.flatten().to(outputs.dtype), reduction="none")


def _loss_for(threshold: float) -> Callable[[Tensor, Tensor], Tensor] | None:
    return binary_loss if threshold == 0 else None  # of probabilities it would be wrong


def _check_threshold(threshold: float) -> None:
    if not torch.isfinite(torch.tensor(float(threshold))):
        raise SecateurError(
            f"the threshold must be a finite number, got {threshold}; 0 for logits, 0.5 for probabilities"
        )


def _one(outputs: Tensor) -> Tensor:
    return outputs.flatten()


def _column(outputs: Tensor) -> Tensor:
    return outputs.reshape(-1, 1)


def _truth(labels: Tensor) -> Tensor:
    return labels.flatten().float()


def _labels_right(outputs: Tensor, labels: Tensor) -> Tensor:
    return nan_where_outputs_are((outputs > 0).eq(labels > 0).float().mean(1), outputs)


def _labels_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(outputs, labels.to(outputs.dtype), reduction="none").mean(1)


def _labels_f1(outputs: Tensor, labels: Tensor) -> Tensor:
    told, true = outputs > 0, labels > 0
    total = told.sum(1) + true.sum(1)
    found = torch.where(total > 0, 2 * (told & true).sum(1) / total.clamp(min=1), 1.0)
    return nan_where_outputs_are(found, outputs)


def _labels_match(outputs: Tensor, labels: Tensor) -> Tensor:
    return nan_where_outputs_are((outputs > 0).eq(labels > 0).all(1).float(), outputs)
