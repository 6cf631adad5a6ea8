"""Metrics of models that write a text: how much of it is in the text that was wanted, told by tokens."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from core.errors import SecateurError
from core.workload.metric import Metric, nan_where_outputs_are
from core.workload.metrics.positions import token_accuracy
from core.workload.metrics.reading import IGNORED, Reading
from core.workload.scale import Scale


def token_rouge(n: int | str = "l", ignore_index: int = IGNORED) -> Metric:
    """ROUGE of tokens, teacher-forced: logits (n, length, symbols), labels int64 (n, length). A fraction in [0, 1].

    Of each example the F-measure of runs of `n` tokens that the likeliest tokens and the labels have in common, or of
    their longest common subsequence; then the mean. We depart from the paper: nothing is generated, each token is
    chosen after the *right* ones before it, so that the number is higher than ROUGE of a generated text; and tokens of
    the tokenizer are compared, not words. Labels of `ignore_index` are left out, of both. An example of fewer than `n`
    tokens has 0, as in rouge_score.

    Args:
        n: 1, 2, … tokens in a run; `"l"` for the longest common subsequence.

    Raises:
        SecateurError: `n` is something else.

    Source: Lin 2004, ROUGE: A Package for Automatic Evaluation of Summaries (ACL W04-1013).
    """
    size = 0 if n in ("l", "L") else n
    if isinstance(size, bool) or not isinstance(size, int) or (size < 1 and n not in ("l", "L")):
        raise SecateurError(f"token_rouge expects a number of tokens, 1 or 2, or 'l'; got {n!r}")

    def score(outputs: Tensor, labels: Tensor) -> Tensor:
        chosen = outputs.argmax(-1).tolist()
        found = []
        for said, wanted in zip(chosen, labels.tolist(), strict=True):
            pairs = [(one, other) for one, other in zip(said, wanted, strict=True) if other != ignore_index]
            found.append(_f_measure([one for one, _ in pairs], [other for _, other in pairs], size))
        return nan_where_outputs_are(torch.tensor(found), outputs)

    scale = Scale(f"token ROUGE-{str(n).upper()}", "fraction", higher_is_better=True, low=0.0, high=1.0)
    reading = Reading("tokens", ignored=ignore_index)
    return Metric(scale, score, loss=token_accuracy(ignore_index).loss, logits=True, reading=reading)


def token_rouge_1() -> Metric:
    """`token_rouge(1)`."""
    return token_rouge(1)


def token_rouge_2() -> Metric:
    """`token_rouge(2)`."""
    return token_rouge(2)


def token_rouge_l() -> Metric:
    """`token_rouge("l")`."""
    return token_rouge("l")


def _f_measure(said: Sequence[int], wanted: Sequence[int], size: int) -> float:
    """Both are of one length, so that precision, recall and F-measure are the same share."""
    whole = len(said) - max(size, 1) + 1
    if whole < 1:
        return 0.0
    if size == 0:
        return _longest_common(said, wanted) / whole
    runs = [Counter(tuple(text[i : i + size]) for i in range(whole)) for text in (said, wanted)]
    return (runs[0] & runs[1]).total() / whole


def _longest_common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the longest common subsequence: a row of its table at a time, as bits of a number (Hyyrö 2004)."""
    places: dict[int, int] = {}
    for i, token in enumerate(one):
        places[token] = places.get(token, 0) | 1 << i
    every = row = (1 << len(one)) - 1
    for token in other:
        kept = row & places.get(token, 0)
        row = ((row + kept) | (row - kept)) & every
    return len(one) - row.bit_count()
