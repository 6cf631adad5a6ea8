"""Metrics of models that rank several items for each query."""

import torch
from torch import Tensor

from core.errors import SecateurError
from core.workload.metric import Metric, nan_where_outputs_are
from core.workload.metrics.reading import Reading
from core.workload.scale import Scale


def ndcg(k: int | None = None) -> Metric:
    """Normalised discounted cumulative gain: outputs (n, items), labels the relevance of each, at least 0. In [0, 1].

    An item of relevance r gains r / log2(1 + its place), places by output. Items with equal outputs share the mean of
    the discounts of their places. A query without a relevant item has 0, as in scikit-learn.

    Args:
        k: only the first `k` places count; `None` for all.

    Raises:
        SecateurError: `k` is less than 1.

    Source: Järvelin & Kekäläinen 2002, ACM Transactions on Information Systems 20:422; ties as McSherry & Najork 2008.
    """
    if k is not None and k < 1:
        raise SecateurError(f"k must be at least 1, got {k}")

    def score(outputs: Tensor, labels: Tensor) -> Tensor:
        n_items = outputs.shape[1]
        gains = labels.double()
        discounts = 1 / torch.arange(2, n_items + 2, device=outputs.device).double().log2()
        if k is not None:
            discounts[k:] = 0
        worst_first, values = outputs.sort(dim=1).values, outputs.contiguous()
        beyond = torch.searchsorted(worst_first, values, right=True)
        before = n_items - beyond  # items that surely stand before
        ties = beyond - torch.searchsorted(worst_first, values)
        ends = torch.cat([discounts.new_zeros(1), discounts.cumsum(0)])
        shared = (ends[before + ties.clamp(min=1)] - ends[before]) / ties.clamp(min=1)
        best = (gains.sort(dim=1, descending=True).values * discounts).sum(1)
        found = torch.where(best > 0, (gains * shared).sum(1) / best.where(best > 0, 1.0), 0.0)
        return nan_where_outputs_are(found.float(), outputs)

    name = "nDCG" if k is None else f"nDCG@{k}"
    scale = Scale(name, "fraction", higher_is_better=True, low=0.0, high=1.0)
    return Metric(scale, score, reading=Reading("relevance"))
