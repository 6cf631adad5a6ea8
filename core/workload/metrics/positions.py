"""Metrics of models that choose a class for every token or every pixel: a mean over the positions that count."""

from torch import Tensor
from torch.nn import functional as F

from core.workload.metric import Metric, nan_where_outputs_are
from core.workload.metrics.reading import IGNORED, Reading
from core.workload.scale import Scale


def token_accuracy(ignore_index: int = IGNORED) -> Metric:
    """Accuracy over tokens: logits (n, length, classes), labels int64 (n, length). A fraction in [0, 1].

    Tokens labelled `ignore_index` are left out; an example counts as much as it has tokens that are not.
    """
    return _over_positions("token accuracy", -1, Reading("tokens", ignored=ignore_index))


def pixel_accuracy(ignore_index: int = IGNORED) -> Metric:
    """Accuracy over pixels: logits (n, classes, height, width), labels int64 (n, height, width). A fraction in [0, 1].

    Pixels labelled `ignore_index` are left out; an example counts as much as it has pixels that are not.
    """
    return _over_positions("pixel accuracy", 1, Reading("pixels", ignored=ignore_index))


def _over_positions(name: str, classes: int, reading: Reading) -> Metric:
    ignored = reading.ignored

    def score(outputs: Tensor, labels: Tensor) -> Tensor:
        counted = (labels != ignored).flatten(1)
        hits = (outputs.argmax(classes) == labels).flatten(1) & counted
        return nan_where_outputs_are(hits.sum(1) / counted.sum(1).clamp(min=1), outputs)

    def weigh(labels: Tensor) -> Tensor:
        return (labels != ignored).flatten(1).sum(1).float()

    def loss(outputs: Tensor, labels: Tensor) -> Tensor:
        losses = F.cross_entropy(outputs.movedim(classes, 1), labels, reduction="none", ignore_index=ignored).flatten(1)
        return losses.sum(1) / (labels != ignored).flatten(1).sum(1).clamp(min=1)

    scale = Scale(name, "fraction", higher_is_better=True, low=0.0, high=1.0)
    return Metric(scale, score, weigh, loss=loss, logits=classes == -1, reading=reading)
