"""Metrics against the dense model itself, where there are no labels: how much of what it says is still said."""

import torch
from torch import Tensor

from core.workload.metric import Metric, nan_where_outputs_are
from core.workload.metrics.reading import Reading
from core.workload.scale import Scale


def agreement() -> Metric:
    """Top-1 agreement with the dense model: logits (n, classes) or (n, length, classes). A fraction in [0, 1].

    The same class is chosen; of several positions, at what share of them. The dense model has 1.
    """
    scale = Scale("agreement", "fraction", higher_is_better=True, low=0.0, high=1.0)
    return Metric(scale, _agreement, against="dense", logits=True, reading=Reading("classes of dense"))


def kl_from_dense() -> Metric:
    """KL(dense ‖ pruned) in nats per example: logits (n, classes) or (n, length, classes). Lower is better.

    Averaged over positions, all of them: without labels nothing says which are padding. The dense model has 0; a class
    that it gives a chance and the pruned one rules out (a logit of −inf) makes it infinite, which counts as a failure.

    Source: Kullback & Leibler 1951, Annals of Mathematical Statistics 22:79.
    """
    scale = Scale("KL from dense", "nats", higher_is_better=False, low=0.0, high=None)
    return Metric(scale, _kl, against="dense", logits=True, reading=Reading("classes of dense", wants_logits=True))


def cosine_to_dense() -> Metric:
    """Mean cosine of output vectors with the dense model's: (n, features) or (n, length, features). At most 1.

    Averaged over positions. The dense model has 1: equal vectors do, also of length zero; a vector of length zero
    against another has 0.
    """
    # No lower end: the scores of a useful model lie within some hundredths of 1. A search that had to reckon with -1
    # would look at hundreds of examples that differ by a thousandth before it believed them (betting pays for range,
    # not for spread); without it, scores are judged by their spread, as those of KL are.
    scale = Scale("cosine to dense", "cosine", higher_is_better=True, low=None, high=1.0)
    return Metric(scale, _cosine, against="dense", reading=Reading("vectors of dense"))


def _agreement(outputs: Tensor, dense: Tensor) -> Tensor:
    same = (outputs.argmax(-1) == dense.argmax(-1)).float()
    return nan_where_outputs_are(_over_positions(same), outputs)


def _kl(outputs: Tensor, dense: Tensor) -> Tensor:
    log_p, log_q = dense.float().log_softmax(-1), outputs.float().log_softmax(-1)
    terms = log_p.exp() * (log_p - log_q)
    terms = terms.masked_fill(log_p == -torch.inf, 0.0)  # 0 log 0 = 0: a class that the dense model rules out
    return _over_positions(terms.sum(-1).clamp(min=0))  # rounding may leave less than nothing


def _cosine(outputs: Tensor, dense: Tensor) -> Tensor:
    a, b = outputs.float(), dense.float()
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=-1).clamp(-1, 1)
    return _over_positions(cosine.masked_fill((a == b).all(-1), 1.0))


def _over_positions(values: Tensor) -> Tensor:
    """Mean over every dimension but the first; (n,) stays as it is."""
    return values.reshape(len(values), -1).mean(1)
