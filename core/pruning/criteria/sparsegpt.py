"""SparseGPT: weights go column by column, and those not yet reached make up for each that went.

Source: Frantar & Alistarh 2023, arXiv:2301.00774, algorithm 1; the optimal brain surgeon of Hassibi & Stork 1993 for
every row at once. One departure: inputs are the dense model's and not those behind layers that were cut before, since
every cut starts from the dense weights.
"""

import torch
from torch import Tensor

from core.plans.checked import n_removed
from core.plans.patterns import Pattern
from core.pruning.criteria.one_thread import one_thread

BLOCK = 128  # columns whose mask is chosen together, by weights that have made up for all columns before
DAMPING = 0.01  # of the mean of the diagonal, added to it


def factors(hessians: Tensor) -> tuple[Tensor, Tensor]:
    """What the update needs of the inputs.

    Args:
        hessians: float64 (blocks, columns, columns), sums of products of inputs. Not modified.

    Returns:
        Upper triangular U with UᵀU = (H + damping)⁻¹, of the same shape; and which columns have no input but zeros,
        bool (blocks, columns).
    """
    diagonal = hessians.diagonal(dim1=1, dim2=2)
    dead = diagonal == 0
    damped = hessians.clone()
    places = damped.diagonal(dim1=1, dim2=2)
    places[dead] = 1
    places += DAMPING * places.mean(1, keepdim=True)
    with one_thread():
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
        return torch.linalg.cholesky(inverse, upper=True), dead


def cut_and_updated(
    weight: Tensor, upper: Tensor, dead: Tensor, sparsity: float, pattern: Pattern | None = None
) -> tuple[Tensor, Tensor]:
    """A weight's mask, and the weight after those that stay made up for those that go.

    Args:
        weight: (out, in, *kernel); not modified. Rows in as many blocks as `upper` has.
        upper, dead: from `factors`; columns as in `weight.flatten(1)`.
        sparsity: fraction removed, in [0, 1): exactly `round(sparsity * n)` entries go, in each block of columns as
            many as make the sum of all blocks so far exact.
        pattern: an `N:M` along the inputs; `sparsity` is its own.

    Returns:
        Mask, bool, True = kept; and the new weight with zeros where it is False; both of the weight's shape, the
        second of its dtype. A weight whose inputs are all zero keeps its value, if it is kept.
    """
    if not n_removed(sparsity, weight.numel()):
        return torch.ones_like(weight, dtype=torch.bool), weight.clone()
    n_blocks, n_columns = dead.shape
    device = weight.device
    moved = weight.movedim(1, -1) if pattern else weight  # consecutive are the inputs, at each place of the kernel
    matrix = moved.reshape(len(weight), n_columns).double().cpu()
    if pattern:
        order = torch.arange(n_columns).view(weight.shape[1:]).movedim(0, -1).flatten()
        if not torch.equal(order, torch.arange(n_columns)):
            # a factor of a permuted Hessian is no permuted factor
            inverse = upper.transpose(1, 2) @ upper
            upper, dead = torch.linalg.cholesky(inverse[:, order][:, :, order], upper=True), dead[:, order]
    kept = torch.ones_like(matrix, dtype=torch.bool)
    found = matrix.clone()
    per_block = len(matrix) // n_blocks
    before = 0
    with one_thread():
        for b in range(n_blocks):
            rows = slice(b * per_block, (b + 1) * per_block)
            before = _one_block(found[rows], kept[rows], upper[b], dead[b], sparsity, pattern, before)
    stays = kept & dead.repeat_interleave(per_block, 0)
    found = torch.where(stays, matrix, found)
    shape = moved.shape
    mask, new = kept.view(shape), found.view(shape)
    if pattern:
        mask, new = mask.movedim(-1, 1).contiguous(), new.movedim(-1, 1).contiguous()
    return mask.to(device), torch.where(mask, new, torch.zeros((), dtype=new.dtype)).to(weight.dtype).to(device)


def _one_block(
    weight: Tensor, kept: Tensor, upper: Tensor, dead: Tensor, sparsity: float, pattern: Pattern | None, before: int
) -> int:
    """Cut rows that share their inputs, in place; takes and returns how many entries came before in the layer."""
    n_rows, n_columns = weight.shape
    weight[:, dead] = 0
    width = BLOCK if pattern is None else BLOCK // pattern.b * pattern.b
    for start in range(0, n_columns, width):
        end = min(start + width, n_columns)
        block, own = weight[:, start:end], upper[start:end, start:end]
        scale = own.diagonal().square()
        errors = torch.zeros_like(block)
        if pattern is None:
            seen = before + n_rows * (end - start)
            n_gone = n_removed(sparsity, seen) - n_removed(sparsity, before)
            least_first = (block.square() / scale).flatten().argsort(stable=True)
            gone = torch.zeros(block.numel(), dtype=torch.bool)
            gone[least_first[:n_gone]] = True
            kept[:, start:end] = ~gone.view_as(block)
            before = seen
        for i in range(end - start):
            if pattern is not None and i % pattern.b == 0:
                group = slice(i, i + pattern.b)
                places = (block[:, group].square() / scale[group]).argsort(dim=1, stable=True).argsort(dim=1)
                kept[:, start + i : start + i + pattern.b] = places >= pattern.b - pattern.a
            column = block[:, i].clone()
            error = torch.where(kept[:, start + i], torch.zeros_like(column), column) / own[i, i]
            block[:, i:] -= error[:, None] * own[i, i:]
            block[:, i] = torch.where(kept[:, start + i], column, torch.zeros_like(column))
            errors[:, i] = error
        weight[:, end:] -= errors @ upper[start:end, end:]
    return before
