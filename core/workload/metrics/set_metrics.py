"""Metrics of the set, which are no mean over examples: evidence keeps predictions and what they are held against."""

from torch import Tensor

from core.workload.metric import Metric, class_loss, nan_where_outputs_are
from core.workload.metrics.reading import Reading
from core.workload.metrics.regression import squared_error
from core.workload.scale import Scale


def f1() -> Metric:
    """Macro F1: outputs are class logits (n, classes), labels int64 (n,). A fraction in [0, 1].

    The F1 of each class, averaged over the classes that occur, as a label or as a prediction; a class that is only
    predicted has 0. So do scikit-learn and torchmetrics by default.

    Source: van Rijsbergen 1979, Information Retrieval, chapter 7; averaged F1 rather than F1 of averages, see Opitz &
    Burst 2019, arXiv:1911.03347.
    """
    scale = Scale("macro F1", "fraction", higher_is_better=True, low=0.0, high=1.0, aggregate="macro_f1")
    return Metric(scale, _predicted_class, truth=_number, loss=class_loss, logits=True, reading=Reading("classes"))


def spearman() -> Metric:
    """Spearman's rank correlation: outputs (n,) or (n, 1), similarities of sentence pairs say; labels (n,). In [-1, 1].

    Equal numbers share their mean rank. Where all predictions are equal there is no correlation, and the cut failed:
    it is not 0, which would claim that order was measured and found random.

    It has no loss: a rank has no gradient, and squared errors would need predictions on the scale of the labels. Where
    they are, `dataclasses.replace(spearman(), loss=...)`.

    Source: Spearman 1904, American Journal of Psychology 15:72.
    """
    scale = Scale("Spearman", "Spearman", higher_is_better=True, low=-1.0, high=1.0, aggregate="spearman")
    return Metric(scale, _number, truth=_number, reading=Reading("number"))


def r2() -> Metric:
    """Coefficient of determination R²: outputs and labels (n,) or (n, 1). At most 1; 0 is what the mean label has.

    One less the sum of squared errors over that of the labels around their mean. Labels that are all equal have none.

    Source: Wright 1921, Journal of Agricultural Research 20:557.
    """
    scale = Scale("R²", "R²", higher_is_better=True, low=None, high=1.0, aggregate="r2")
    return Metric(scale, _number, truth=_number, loss=squared_error().loss, reading=Reading("number"))


def _predicted_class(outputs: Tensor, labels: Tensor) -> Tensor:
    return nan_where_outputs_are(outputs.argmax(-1).float(), outputs)


def _number(values: Tensor, labels: Tensor | None = None) -> Tensor:
    """(n,) of (n,) or (n, 1)."""
    return (values.squeeze(1) if values.dim() == 2 else values).float()
