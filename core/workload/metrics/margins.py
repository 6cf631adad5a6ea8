"""How far an example is from being scored otherwise: the dense model's margin, where a metric has one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from core.workload.metric import Metric

VERSION = "margins 1"  # under which they are kept; raise it when they are made otherwise
Margin = Callable[[Any, Any], Tensor | None]


def margins_of(metric: Metric) -> Margin | None:
    """`(outputs, reference) -> (n,)` distances from the next score, at least 0, of what `metric.read` gives.

    `None` for a metric without one: its scores are not 0 and 1 of equal weight, or nobody knows where they change. The
    function itself gives `None` where outputs have several positions, whose share is the score.

    A margin decides the order in which examples are read, and no number.
    """
    reading, scale = metric.reading, metric.scale
    proportion = scale.aggregate == "mean" and (scale.low, scale.high) == (0.0, 1.0) and scale.higher_is_better
    if reading is None or not proportion or metric.weigh is not None:
        return None
    if reading.kind == "classes" and scale.name in ("accuracy", f"top-{reading.top} accuracy"):
        return lambda outputs, labels: _of_label(outputs, labels, reading.top)
    if reading.kind == "binary" and reading.wants_logits and scale.name == "accuracy":
        return lambda outputs, _: outputs.flatten().abs()
    if reading.kind == "number of dense" and reading.wants_logits and scale.name == "agreement":
        return lambda outputs, _: outputs.flatten().abs()
    if reading.kind == "labels" and scale.name == "label match":
        return lambda outputs, _: outputs.abs().amin(1)
    if reading.kind == "classes of dense" and scale.name == "agreement":
        return _of_choice
    return None


def _of_label(outputs: Tensor, labels: Tensor, top: int) -> Tensor:
    """From the label's logit to the last one that it must exceed."""
    at = labels.unsqueeze(-1)
    others = outputs.scatter(-1, at, -torch.inf)
    return (outputs.gather(-1, at)[:, 0] - others.topk(top, -1).values[:, -1]).abs()


def _of_choice(outputs: Tensor, _: Any) -> Tensor | None:
    if outputs.dim() != 2 or outputs.shape[1] < 2:
        return None
    first, second = outputs.topk(2, -1).values.unbind(-1)
    return first - second
