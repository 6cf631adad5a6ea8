"""Metrics by their names."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from core.errors import SecateurError
from core.workload.metric import Metric, accuracy, cross_entropy, perplexity, top_k
from core.workload.metrics.binary import (
    binary_accuracy,
    binary_agreement,
    binary_cross_entropy,
    binary_f1,
    label_accuracy,
    label_f1,
    label_match,
)
from core.workload.metrics.dense_metrics import agreement, cosine_to_dense, kl_from_dense
from core.workload.metrics.overlap import dice, iou
from core.workload.metrics.positions import pixel_accuracy, token_accuracy
from core.workload.metrics.ranking import ndcg
from core.workload.metrics.regression import absolute_error, squared_error
from core.workload.metrics.rouge import token_rouge_1, token_rouge_2, token_rouge_l
from core.workload.metrics.set_metrics import f1, r2, spearman
from core.workload.metrics.spans import span_f1

METRICS: Mapping[str, Callable[[], Metric]] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            accuracy,
            f1,
            cross_entropy,
            binary_accuracy,
            binary_f1,
            binary_cross_entropy,
            label_accuracy,
            label_f1,
            label_match,
            token_accuracy,
            pixel_accuracy,
            iou,
            dice,
            token_rouge_1,
            token_rouge_2,
            token_rouge_l,
            perplexity,
            squared_error,
            absolute_error,
            r2,
            ndcg,
            spearman,
            agreement,
            binary_agreement,
            kl_from_dense,
            cosine_to_dense,
        )
    }
)
ALSO = {
    "mse": "squared_error",
    "mae": "absolute_error",
    "mean_iou": "iou",
    "miou": "iou",
    "r²": "r2",
    "macro_f1": "f1",
    "kl": "kl_from_dense",
    "cosine": "cosine_to_dense",
}
SPAN_NAMES = ("span_f1", "seqeval", "entity_f1", "ner_f1")
ROUGE = (
    "ROUGE of generated text is not measured, for nothing is generated; token_rouge_1, token_rouge_2 and token_rouge_l "
    "compare the likeliest tokens after the right ones, which is another, higher number"
)
BOXES = (
    "an image has any number of boxes, and their precision hangs on all scores together, so that no image has a number "
    "that could be kept; write core.Metric with a score per image: the mean IoU of each true box with the best found "
    "one, say"
)
GENERATED = "text is not generated here; perplexity or token_accuracy judge what a model says of a given one"
NOT_HELD: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("rouge", "rouge_1", "rouge1", "rouge_2", "rouge2", "rouge_l", "rougel", "rouge_lsum"), ROUGE)
    | dict.fromkeys(("map", "mean_average_precision", "map_50", "map@50", "map@0.5", "map@[.5:.95]"), BOXES)
    | dict.fromkeys(("bleu", "sacrebleu", "meteor", "wer", "cer", "exact_match"), GENERATED)
)


def metric_named(name: Any, classes: Sequence[str] = ()) -> Metric:
    """The metric of that name, as its function gives it without arguments; `top_5` is `top_k(5)`.

    Args:
        classes: names of the classes, for `span_f1`.
        name: one of `METRICS`, of `ALSO`, or `top_` with a number, in small or large letters; a `Metric` is itself.

    Raises:
        SecateurError: there is none of that name.
    """
    if isinstance(name, Metric):
        return name
    plain = re.sub(r"[\s-]+", "_", name.strip().lower()) if isinstance(name, str) else ""
    if numbered := re.fullmatch(r"top_?(\d+)(_accuracy)?", plain):
        return top_k(int(numbered[1]))
    plain = ALSO.get(plain, plain)
    if plain in SPAN_NAMES:
        if not classes:
            raise SecateurError(
                "span_f1 needs the names of the classes, and the model has no config.id2label; give core.span_f1(['O', "
                "'B-PER', 'I-PER']), in their order"
            )
        return span_f1(classes)
    if plain in NOT_HELD:
        raise SecateurError(f"no metric {name!r}: {NOT_HELD[plain]}")
    if plain in METRICS:
        return METRICS[plain]()
    if callable(name):
        raise SecateurError(
            f"expected a metric or its name, got {getattr(name, '__name__', name)}; call the function: accuracy()"
        )
    near = difflib.get_close_matches(plain, [*METRICS, *ALSO, "span_f1"], 1)
    mend = f"did you mean {near[0]!r}?" if near else "name the one that judges the model"
    raise SecateurError(f"no metric {name!r}; {mend} ({', '.join(METRICS)}, span_f1, top_5)")
