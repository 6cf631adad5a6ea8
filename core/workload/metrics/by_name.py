"""Metrics that a reference can name. Imports torch."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from core.workload.metric import Metric, accuracy, cross_entropy, perplexity
from core.workload.metrics.binary import label_accuracy
from core.workload.metrics.dense_metrics import agreement, cosine_to_dense, kl_from_dense
from core.workload.metrics.positions import pixel_accuracy, token_accuracy
from core.workload.metrics.regression import squared_error
from core.workload.metrics.set_metrics import f1, spearman

METRICS: Mapping[str, Callable[[], Metric]] = MappingProxyType(
    {
        "accuracy": accuracy,
        "f1": f1,
        "cross_entropy": cross_entropy,
        "perplexity": perplexity,
        "token_accuracy": token_accuracy,
        "label_accuracy": label_accuracy,
        "squared_error": squared_error,
        "spearman": spearman,
        "pixel_accuracy": lambda: pixel_accuracy(255),
        "agreement": agreement,
        "kl_from_dense": kl_from_dense,
        "cosine_to_dense": cosine_to_dense,
    }
)
