"""Least squares: weights that stay, moved so that a layer gives for calibration inputs what it gave before.

For a row w of which the entries G go and K stay, the change d of what stays solves
min ‖w_G x_G - d x_K‖² + L‖d‖² over calibration inputs: d = w_G C[G, K] (C[K, K] + L)⁻¹ with C the sums of their
products. He et al. 2017, arXiv:1707.06168, for channels; for single weights Hassibi & Stork 1993. Two departures: L
draws to the dense weights and not to zero, as the damping of SparseGPT does; and where the layer has a bias, C is that
of inputs without their mean, for the bias takes over what is lost on average.

Where all rows lose the same columns, that is one solution. Else each row would need its own, so weights are made up for
column by column by those to the right, with the mask given: SparseGPT, arXiv:2301.00774, of which another criterion
chose the mask.
"""

import torch
from torch import Tensor

from core.pruning.criteria.one_thread import one_thread

DAMPING = 0.01  # L in parts of the mean square of an input, as SparseGPT's
BLOCK = 128  # columns that are swept before the others hear of it


def means_of(sums: Tensor) -> Tensor:
    """Mean of each column: float64 (blocks, columns), of sums with the number of inputs behind the last column."""
    return sums[:, :-1] / sums[:, -1:]


def products_of(moments: Tensor, centred: bool) -> Tensor:
    """Sums of products of inputs, float64 (blocks, columns, columns), without their mean if `centred`.

    Args:
        moments: float64 (blocks, columns + 1, columns + 1), with a 1 behind every input. Not modified.
        centred: of the inputs less their means.
    """
    products = moments[:, :-1, :-1]
    if not centred:
        return products.clone()
    sums = moments[:, -1, :-1]
    found = products - sums[:, :, None] * sums[:, None, :] / moments[:, -1:, -1:]
    places = found.diagonal(dim1=1, dim2=2)
    # what is left of a constant input is rounding, and no variance
    places[places < 1e-12 * products.diagonal(dim1=1, dim2=2)] = 0
    return found


def damped(products: Tensor) -> Tensor:
    """With L on the diagonal, and 1 where a column has no input but zeros."""
    found = products.clone()
    places = found.diagonal(dim1=1, dim2=2)
    dead = places <= 0
    alive = (~dead).sum(1, keepdim=True).clamp(min=1)
    penalty = DAMPING * places.clamp(min=0).sum(1, keepdim=True) / alive
    found.masked_fill_(dead[:, :, None] | dead[:, None, :], 0)
    found.diagonal(dim1=1, dim2=2)[dead] = 1
    found.diagonal(dim1=1, dim2=2).add_(penalty)
    return found


def swept_factors(products: Tensor) -> Tensor:
    """What a sweep needs of `products`: upper triangular U with UᵀU = (C + L)⁻¹, of the same shape."""
    with one_thread():
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped(products)))
        return torch.linalg.cholesky(inverse, upper=True)


def shares_columns(mask: Tensor, n_blocks: int) -> bool:
    """Whether all rows of a block that keep anything lose the same columns. Mask (rows, columns)."""
    for own in mask.unflatten(0, (n_blocks, -1)):
        kept = own[own.any(1)]
        if len(kept) and not bool((kept == kept[0]).all()):
            return False
    return True


def made_up_for(weight: Tensor, mask: Tensor, products: Tensor, upper: Tensor | None = None) -> Tensor:
    """A weight of which what stays makes up for what goes.

    Args:
        weight: float64 (rows, columns), rows in as many blocks as `products` has. Not modified.
        mask: bool, of its shape, True = kept.
        products: float64 (blocks, columns, columns), of `products_of`.
        upper: of `swept_factors`; only where rows lose different columns.

    Returns:
        Of the weight's shape; what goes is not zero yet.
    """
    found = weight.clone()
    per_block = len(weight) // len(products)
    with one_thread():
        penalised = None if upper is not None else damped(products)
        for b in range(len(products)):
            rows = slice(b * per_block, (b + 1) * per_block)
            own, kept = found[rows], mask[rows]
            alive = kept.any(1)
            if not bool(alive.any()) or bool(kept.all()):
                continue
            if penalised is None:
                assert upper is not None
                _sweep(own, kept, upper[b])
            else:
                stays = kept[alive][0]
                lost = own[:, ~stays] @ penalised[b][~stays][:, stays]
                root = torch.linalg.cholesky(penalised[b][stays][:, stays])
                own[:, stays] += torch.cholesky_solve(lost.T, root).T
    return found


def _sweep(weight: Tensor, kept: Tensor, upper: Tensor) -> None:
    """Make up for each entry that goes by those to its right, in place."""
    n_columns = weight.shape[1]
    for start in range(0, n_columns, BLOCK):
        end = min(start + BLOCK, n_columns)
        block, own = weight[:, start:end], upper[start:end, start:end]
        errors = torch.zeros_like(block)
        for i in range(end - start):
            gone = torch.where(kept[:, start + i], 0.0, block[:, i]) / own[i, i]
            block[:, i:] -= gone[:, None] * own[i, i:]
            errors[:, i] = gone
        weight[:, end:] -= errors @ upper[start:end, end:]
