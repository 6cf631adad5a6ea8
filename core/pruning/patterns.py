"""Masks of patterns: N of every M consecutive weights stay, or whole tiles of a weight go."""

import torch
from torch import Tensor

from core.plans.patterns import Pattern
from core.pruning.ranking import keep_ranked, ranks


def pattern_places(saliency: Tensor, pattern: Pattern) -> Tensor:
    """What a pattern ranks, from least to most salient, ties by position; `pattern_mask` makes masks of it.

    `N:M`: groups of M consecutive entries along dimension 1, the inputs; of a convolution (out, in, *kernel) that is
    along the input channels for each kernel position. So does NVIDIA's ASP (`create_mask` in
    apex/contrib/sparsity/sparse_masklib.py): a convolution is computed as a product whose summed dimension runs over
    the channels fastest (channels last), and the hardware takes its groups along the summed dimension.
    Tiles: those of `weight.flatten(1)`, outputs x (inputs, kernel).

    Args:
        saliency: (out, in, ...), higher = more important, of a weight that the pattern divides. Not modified.
        pattern: `N:M` or tiles.

    Returns:
        `N:M`: place of each entry within its group, from 0: int8, shape of `saliency`. Tiles: place of each tile, which
        is as important as its entries together: int32 (out / rows, in / columns).

    Source: Mishra et al. 2021, arXiv:2104.08378, for N:M with magnitudes as saliency.
    """
    if not pattern.is_tiles:
        groups = saliency.movedim(1, -1).unflatten(-1, (-1, pattern.b))
        places = groups.argsort(dim=-1, stable=True).argsort(dim=-1).to(torch.int8)
        return places.flatten(-2).movedim(-1, 1).contiguous()
    # in float64, where the order of adding up hardly ever decides between two tiles
    matrix = saliency.double().flatten(1)
    sums = matrix.unflatten(1, (-1, pattern.b)).unflatten(0, (-1, pattern.a)).sum((1, 3))
    return ranks(sums)


def pattern_mask(places: Tensor, pattern: Pattern, shape: torch.Size, sparsity: float) -> Tensor:
    """Mask of a weight, True = kept, from the places that `pattern_places` gives.

    `N:M`: exactly M - N of each group go. Tiles: exactly `round(sparsity * n_tiles)` tiles go.
    """
    if not pattern.is_tiles:
        return places >= pattern.b - pattern.a
    kept = keep_ranked(places, sparsity)
    return kept.repeat_interleave(pattern.a, 0).repeat_interleave(pattern.b, 1).view(shape)
