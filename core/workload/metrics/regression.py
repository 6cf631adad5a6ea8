"""Metrics of models that give a number."""

from torch import Tensor

from core.workload.metric import Metric
from core.workload.metrics.reading import Reading
from core.workload.scale import Scale


def squared_error() -> Metric:
    """Squared error: outputs and labels (n,) or (n, 1). In the square of the label's unit; lower is better."""
    scale = Scale("squared error", "squared", higher_is_better=False, low=0.0, high=None)
    return Metric(scale, _squared, loss=_squared, reading=Reading("number"))


def _squared(outputs: Tensor, labels: Tensor) -> Tensor:
    return (outputs.flatten() - labels.flatten().to(outputs.dtype)).square()


def absolute_error() -> Metric:
    """Absolute error: outputs and labels (n,) or (n, 1). In the unit of the label; lower is better."""
    scale = Scale("absolute error", "absolute", higher_is_better=False, low=0.0, high=None)
    return Metric(scale, _absolute, loss=_absolute, reading=Reading("number"))


def _absolute(outputs: Tensor, labels: Tensor) -> Tensor:
    return (outputs.flatten() - labels.flatten().to(outputs.dtype)).abs()
