"""Metrics of models that mark spans in a text, as names of persons, by a tag for each token."""

from collections.abc import Sequence

import torch
from torch import Tensor

from core.errors import SecateurError
from core.workload.metric import Metric, nan_where_outputs_are
from core.workload.metrics.positions import token_accuracy
from core.workload.metrics.reading import IGNORED, Reading
from core.workload.metrics.tags import BEGIN, END, OUTSIDE, SINGLE, tags_of
from core.workload.scale import SPANS, Scale, packed


def span_f1(names: Sequence[str], ignore_index: int = IGNORED) -> Metric:
    """F1 of spans: logits (n, length, classes), labels int64 (n, length). A fraction in [0, 1].

    A span counts where its type, its first and its last token are right; all spans of all texts together (micro).
    Tokens labelled `ignore_index` are taken out before spans are read. A span also begins where no tag says so, but
    its type changes or nothing stood before it: as seqeval reads tags by default, and CoNLL before it.

    Args:
        names: of the classes, in their order: `O`, and `B-type`, `I-type`; also `E-` and `S-` (IOBES), or `L-` and
            `U-` (BILOU), which are the same.

    Raises:
        SecateurError: a name is no such tag, or none begins or continues a span.

    Source: Tjong Kim Sang & De Meulder 2003, arXiv:cs/0306050.
    """
    tags = tags_of(names)

    def truth(labels: Tensor) -> Tensor:
        starts, _, _ = _spans(labels, labels != ignore_index, tags)
        return starts.sum(1).float()

    def score(outputs: Tensor, labels: Tensor) -> Tensor:
        counted = labels != ignore_index
        true_starts, true_ends, true_types = _spans(labels, counted, tags)
        starts, ends, types = _spans(outputs.argmax(-1), counted, tags)
        matched = starts & true_starts & (ends == true_ends) & (types == true_types)
        predicted = starts.sum(1)
        if bool((predicted >= SPANS).any()):
            raise SecateurError(f"span F1 holds fewer than {SPANS} spans of one text, got {int(predicted.max())}; cut "
                                "texts into shorter ones, or use token_accuracy()")  # fmt: skip
        return nan_where_outputs_are(packed(predicted.float(), matched.sum(1).float()), outputs)

    scale = Scale("span F1", "fraction", higher_is_better=True, low=0.0, high=1.0, aggregate="span_f1")
    loss = token_accuracy(ignore_index).loss
    return Metric(scale, score, truth=truth, loss=loss, logits=True,
                  reading=Reading("tokens", ignored=ignore_index, n_classes=len(tags)))  # fmt: skip


def _spans(classes: Tensor, counted: Tensor, tags: tuple[tuple[int, int], ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Where spans start, bool (n, length); there, where they end and of which type, int64 (n, length).

    Positions that do not count are taken out: the others move to the left.
    """
    order = (~counted).to(torch.uint8).argsort(dim=1, stable=True)
    what, type_of = torch.tensor(tags, device=classes.device).unbind(1)
    left = classes.clamp(min=0).gather(1, order)
    used = counted.gather(1, order)
    tag = torch.where(used, what[left], OUTSIDE)
    kind = torch.where(used, type_of[left], -1).where(tag != OUTSIDE, -1)
    nothing = tag.new_full((len(tag), 1), OUTSIDE)
    before, kind_before = torch.cat([nothing, tag[:, :-1]], 1), torch.cat([nothing - 1, kind[:, :-1]], 1)
    inside = tag != OUTSIDE
    fresh = (before == OUTSIDE) | (before == END) | (before == SINGLE) | (kind != kind_before)
    starts = inside & ((tag == BEGIN) | (tag == SINGLE) | fresh)
    # a span ends before the next one starts, or where nothing follows
    follows = torch.cat([starts[:, 1:] | ~inside[:, 1:], torch.ones_like(starts[:, :1])], 1)
    places = torch.arange(tag.shape[1], device=tag.device).expand_as(tag)
    ends = places.where(inside & follows, tag.shape[1])
    ends = ends.flip(1).cummin(1).values.flip(1)
    return starts, ends, kind
