"""SparseGPT, held against the optimal brain surgeon of every column in NumPy, slow and without its tricks."""

import numpy as np
import pytest
import torch
from torch import nn

from core import Cut, SecateurError, SparsityPlan
from core.plans.patterns import parse_pattern
from core.pruning.criteria.calibration import Calibration
from core.pruning.criteria.sparsegpt import BLOCK, DAMPING, cut_and_updated, factors
from core.pruning.masks import MaskMaker
from core.workload.discovery import find_targets
from tests.tiny_models import random_examples


def surgeon(weight, hessian, sparsity, m=None):
    """Algorithm 1 with the inverse of the remaining Hessian computed anew for each column. Rows share the inputs.

    Args:
        weight: (rows, columns).
        hessian: (columns, columns), damped.
        m: for 2:4, 4; else `None`.
    """
    w = weight.astype(np.float64).copy()
    rows, columns = w.shape
    inverse_at = [np.linalg.inv(hessian[i:, i:]) for i in range(columns)]
    kept = np.ones(w.shape, bool)
    for i in range(columns):
        if m is None and i % BLOCK == 0:
            end = min(i + BLOCK, columns)
            scores = np.stack([w[:, j] ** 2 / inverse_at[j][0, 0] for j in range(i, end)], 1)
            n = round(sparsity * rows * end) - round(sparsity * rows * i)
            flat = np.ones(scores.size, bool)
            flat[np.argsort(scores.ravel(), kind="stable")[:n]] = False
            kept[:, i:end] = flat.reshape(scores.shape)
        if m is not None and i % m == 0:
            scores = np.stack([w[:, j] ** 2 / inverse_at[j][0, 0] for j in range(i, i + m)], 1)
            for row, order in enumerate(np.argsort(scores, 1, kind="stable")):
                kept[row, i + order[: m // 2]] = False
        error = np.where(kept[:, i], 0, w[:, i]) / inverse_at[i][0, 0]
        w[:, i:] -= error[:, None] * inverse_at[i][0]
        w[~kept[:, i], i] = 0
    return kept, w


def inputs_and_weight(rows, columns, n=400, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(n, columns, generator=generator) @ torch.randn(columns, columns, generator=generator)
    return mixed.double(), torch.randn(rows, columns, generator=generator)


def damped(hessian):
    return hessian + DAMPING * np.diag(hessian).mean() * np.eye(len(hessian))


@pytest.mark.parametrize("columns", [12, BLOCK + 40])
@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.9])
def test_it_is_the_surgeon_column_by_column(columns, sparsity):
    x, weight = inputs_and_weight(6, columns)
    hessian = (x.T @ x)[None]
    mask, new = cut_and_updated(weight, *factors(hessian), sparsity)
    kept, expected = surgeon(weight.numpy(), damped(hessian[0].numpy()), sparsity)
    assert np.array_equal(mask.numpy(), kept)
    np.testing.assert_allclose(new.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert int((~mask).sum()) == round(sparsity * mask.numel())


def test_two_of_four_by_the_surgeon():
    x, weight = inputs_and_weight(5, 16)
    hessian = (x.T @ x)[None]
    mask, new = cut_and_updated(weight, *factors(hessian), 0.5, parse_pattern("2:4"))
    kept, expected = surgeon(weight.numpy(), damped(hessian[0].numpy()), 0.5, m=4)
    assert np.array_equal(mask.numpy(), kept)
    np.testing.assert_allclose(new.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_convolutions_groups_of_four_are_inputs_at_one_place_of_the_kernel():
    x, weight = inputs_and_weight(5, 8 * 3)
    conv = weight.view(5, 8, 3)
    hessian = (x.T @ x)[None]
    mask, new = cut_and_updated(conv, *factors(hessian), 0.5, parse_pattern("2:4"))
    assert bool((mask.movedim(1, -1).unflatten(-1, (2, 4)).sum(-1) == 2).all())
    order = np.arange(24).reshape(8, 3).T.ravel()  # inputs fastest
    h = damped(hessian[0].numpy())[np.ix_(order, order)]
    kept, expected = surgeon(weight.numpy()[:, order], h, 0.5, m=4)
    assert np.array_equal(mask.movedim(1, -1).flatten(1).numpy(), kept)
    np.testing.assert_allclose(new.movedim(1, -1).flatten(1).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_rows_with_inputs_of_their_own_are_cut_by_their_own():
    x, weight = inputs_and_weight(6, 10)
    y, _ = inputs_and_weight(6, 10, seed=1)
    hessians = torch.stack([x.T @ x, y.T @ y])
    mask, new = cut_and_updated(weight, *factors(hessians), 0.5)
    for b, rows in enumerate((slice(0, 3), slice(3, 6))):
        kept, expected = surgeon(weight[rows].numpy(), damped(hessians[b].numpy()), 0.5)
        assert np.array_equal(mask[rows].numpy(), kept)
        np.testing.assert_allclose(new[rows].numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sparsity", [0.01, 0.123, 0.5, 0.777, 0.99])
def test_the_count_is_exact_over_blocks_and_groups(sparsity):
    weight = torch.randn(6, 150, generator=torch.Generator().manual_seed(0))
    x = torch.randn(2, 300, 150, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mask, new = cut_and_updated(weight, *factors(x.transpose(1, 2) @ x), sparsity)
    assert int((~mask).sum()) == round(sparsity * 900)
    assert int(new[~mask].count_nonzero()) == 0


def test_what_stays_makes_up_for_what_goes():
    x, weight = inputs_and_weight(8, 32)
    mask, new = cut_and_updated(weight, *factors((x.T @ x)[None]), 0.5)
    dense = x @ weight.double().T

    def error(w):
        return float((x @ w.double().T - dense).square().sum())

    assert error(new) < 0.75 * error(torch.where(mask, weight, 0.0))


def test_weights_whose_inputs_are_all_zero_go_first_and_keep_their_value_if_they_stay():
    x, weight = inputs_and_weight(4, 8)
    x[:, 2] = x[:, 5] = 0
    mask, new = cut_and_updated(weight, *factors((x.T @ x)[None]), 0.25)
    assert (~mask).sum(0).tolist() == [0, 0, 4, 0, 0, 4, 0, 0]
    mask, new = cut_and_updated(weight, *factors((x.T @ x)[None]), 3 / 32)
    assert torch.nonzero(~mask).tolist() == [[0, 2], [0, 5], [1, 2]]  # of equal scores the earlier position
    assert torch.equal(new[1:, 5], weight[1:, 5])


def test_cut_by_nothing_it_is_the_dense_weight_bit_for_bit():
    x, weight = inputs_and_weight(4, 8)
    mask, new = cut_and_updated(weight, *factors((x.T @ x)[None]), 0.01)
    assert bool(mask.all())
    assert torch.equal(new, weight)


def test_where_cuts_meet_an_entry_stays_only_if_all_keep_it_and_values_are_the_updated_ones():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 6))
    maker = MaskMaker(model, find_targets(model)[0], calibration=Calibration(model, random_examples((8,), 6, 40)))
    updated, other = Cut("0", "weight", 0.5, "sparsegpt"), Cut("0", "2:4", None, "magnitude")
    (found,) = maker.cut_tensors(SparsityPlan((updated, other))).values()
    (alone,) = maker.cut_tensors(SparsityPlan((updated,))).values()
    mask = maker.masks_of(updated)["0.weight"] & maker.masks_of(other)["0.weight"]
    assert torch.equal(found, torch.where(mask, alone, 0.0))
    assert not torch.equal(alone[mask], model[0].weight[mask])
    with pytest.raises(SecateurError, match="twice by sparsegpt"):
        maker.cut_tensors(SparsityPlan((updated, Cut("0", "2:4", None, "sparsegpt"))))
