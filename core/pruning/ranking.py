"""From saliency to what stays: ranks, and masks by rank."""

import torch
from torch import Tensor

from core.plans.checked import n_removed


def keep_largest(saliency: Tensor, sparsity: float) -> Tensor:
    """Mask that removes the least salient entries of one tensor.

    Args:
        saliency: any shape, higher = more important. Not modified.
        sparsity: fraction of entries to remove, in [0, 1). Unitless.

    Returns:
        Bool tensor, shape and device of `saliency`, True = kept. Exactly `round(sparsity * saliency.numel())`
        entries are False; of equal scores the earlier position goes first.

    Source: Han et al. 2015, arXiv:1506.02626 (layer-wise, one-shot).
    """
    return keep_ranked(ranks(saliency), sparsity)


def least_first(saliency: Tensor) -> Tensor:
    """Positions of a flattened tensor from least to most salient, ties by position: int64 (n,)."""
    return saliency.flatten().argsort(stable=True)


def ranks(saliency: Tensor) -> Tensor:
    """Place of each entry when they stand from least to most salient, ties by position: int32, same shape."""
    return _places(least_first(saliency)).view_as(saliency)


def ranks_by_row(saliency: Tensor) -> Tensor:
    """Place of each entry, as `ranks`, when every row loses its least before any loses its second: int32, same shape.

    So every row loses the same share at any sparsity, to one entry; of those that stand equally in their rows the less
    salient goes first. Source: Sun et al. 2023, arXiv:2306.11695, who compare the weights of one output.
    """
    rows = saliency.flatten(1)
    in_row = rows.argsort(dim=1, stable=True).argsort(dim=1).flatten()
    order = least_first(saliency)
    return _places(order[in_row[order].argsort(stable=True)]).view_as(saliency)


def _places(order: Tensor) -> Tensor:
    places = torch.empty(len(order), dtype=torch.int32, device=order.device)
    places[order] = torch.arange(len(order), dtype=torch.int32, device=order.device)
    return places


def keep_ranked(places: Tensor, sparsity: float) -> Tensor:
    """Bool mask, shape of `places`, without the `round(sparsity * n)` entries of lowest rank.

    Ranked once, a target serves all its sparsities. A rank and not a threshold: equal scores would all fall below
    a threshold together, and a fresh LayerNorm is nothing but equal scores.
    """
    return places >= n_removed(sparsity, places.numel())
