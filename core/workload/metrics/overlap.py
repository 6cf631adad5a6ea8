"""Metrics of models that choose a class for every pixel: how far the areas of each class lie over each other."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from core.workload.metric import Metric, nan_where_outputs_are
from core.workload.metrics.reading import IGNORED, Reading
from core.workload.scale import Scale


def iou(ignore_index: int = IGNORED) -> Metric:
    """Intersection over union: logits (n, classes, height, width), labels int64 (n, height, width). In [0, 1].

    Of each image the mean over the classes that occur in its label or in its prediction, then the mean over images.
    Other tools add up areas over all images first, which gives another number: there an image counts as much as it is
    large. Pixels labelled `ignore_index` are left out.

    Source: Jaccard 1912, New Phytologist 11:37.
    """
    return _of_areas("mean IoU", ignore_index, lambda both, said, true: both / (said + true - both))


def dice(ignore_index: int = IGNORED) -> Metric:
    """Dice coefficient: as `iou`, of each class twice the intersection over the sum of both areas.

    Source: Dice 1945, Ecology 26:297.
    """
    return _of_areas("mean Dice", ignore_index, lambda both, said, true: 2 * both / (said + true))


def _of_areas(name: str, ignored: int, worth: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Metric:
    def score(outputs: Tensor, labels: Tensor) -> Tensor:
        counted = (labels != ignored).flatten(1)
        n_classes = outputs.shape[1]
        chosen, given = outputs.argmax(1).flatten(1), labels.flatten(1)
        said, true = _areas(chosen, counted, n_classes), _areas(given, counted, n_classes)
        both = _areas(given, counted & (chosen == given), n_classes)
        occurs = said + true > 0
        of_class = torch.where(occurs, worth(both, said, true.where(occurs, 1.0)), 0.0)
        return nan_where_outputs_are((of_class.sum(1) / occurs.sum(1).clamp(min=1)).float(), outputs)

    def loss(outputs: Tensor, labels: Tensor) -> Tensor:
        losses = F.cross_entropy(outputs, labels, reduction="none", ignore_index=ignored).flatten(1)
        return losses.sum(1) / (labels != ignored).flatten(1).sum(1).clamp(min=1)

    scale = Scale(name, "fraction", higher_is_better=True, low=0.0, high=1.0)
    return Metric(scale, score, loss=loss, reading=Reading("pixels", ignored=ignored))


def _areas(classes: Tensor, counted: Tensor, n_classes: int) -> Tensor:
    """Pixels of each class in each image, float64 (n, classes), of those that count; a bit for each class and pixel
    would be hundreds of times the image."""
    rows = torch.arange(len(classes), device=classes.device).unsqueeze(1) * n_classes
    return (classes + rows)[counted].bincount(minlength=len(classes) * n_classes).view(-1, n_classes).double()
