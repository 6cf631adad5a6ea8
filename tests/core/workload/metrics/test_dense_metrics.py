"""Metrics against the dense model, by hand and against torchmetrics."""

import math
from dataclasses import replace

import pytest
import torch
from torchmetrics.functional import cosine_similarity, kl_divergence

from core import SecateurError, agreement, cosine_to_dense, kl_from_dense

METRICS = (agreement, kl_from_dense, cosine_to_dense)
BEST = {"agreement": 1.0, "KL from dense": 0.0, "cosine to dense": 1.0}


def logits(*shape, seed=0):
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("make", METRICS)
@pytest.mark.parametrize("shape", [(5, 7), (5, 3, 7)])
def test_the_dense_model_against_itself_is_as_good_as_can_be(make, shape):
    dense, metric = logits(*shape), make()
    assert metric.against == "dense"
    assert metric.score_batch(dense, dense.clone()).tolist() == [BEST[metric.scale.name]] * 5


def test_agreement_is_the_share_of_positions_with_the_same_first_class():
    dense = torch.tensor([[[2.0, 1.0], [0.0, 1.0]], [[2.0, 1.0], [0.0, 1.0]]])
    pruned = torch.tensor([[[9.0, 1.0], [5.0, 1.0]], [[1.0, 2.0], [5.0, 1.0]]])
    assert agreement().score_batch(pruned, dense).tolist() == [0.5, 0.0]
    assert agreement().score_batch(pruned[:, 0], dense[:, 0]).tolist() == [1.0, 0.0]


def test_kl_by_hand():
    # (1/2, 1/2) against (1/4, 3/4): 1/2 ln 2 + 1/2 ln 2/3 = 1/2 ln 4/3; the other way round it would be another number
    dense, pruned = torch.zeros(1, 2), torch.tensor([[0.0, math.log(3)]])
    assert kl_from_dense().score_batch(pruned, dense).tolist() == pytest.approx([math.log(4 / 3) / 2])


def test_kl_is_torchmetrics_s_and_of_positions_their_mean():
    dense, pruned = logits(20, 6, seed=1), logits(20, 6, seed=2)
    reference = kl_divergence(dense.log_softmax(-1), pruned.log_softmax(-1), log_prob=True, reduction="none")
    scores = kl_from_dense().score_batch(pruned, dense)
    assert scores.tolist() == pytest.approx(reference.tolist(), rel=1e-4)
    passages = kl_from_dense().score_batch(pruned.view(5, 4, 6), dense.view(5, 4, 6))
    assert passages.tolist() == pytest.approx(scores.view(5, 4).mean(1).tolist())


def test_kl_takes_a_class_ruled_out_by_both_for_nothing_and_by_the_pruned_model_alone_for_infinite():
    dense, out = torch.tensor([[0.0, 0.0, -math.inf], [0.0, 0.0, 0.0]]), -math.inf
    pruned = torch.tensor([[0.0, 0.0, out], [0.0, 0.0, out]])
    assert kl_from_dense().score_batch(pruned, dense).tolist() == [0.0, math.inf]


def test_cosine_is_torchmetrics_s_and_of_positions_their_mean():
    dense, pruned = logits(20, 6, seed=1), logits(20, 6, seed=2)
    scores = cosine_to_dense().score_batch(pruned, dense)
    assert scores.tolist() == pytest.approx(cosine_similarity(pruned, dense, reduction="none").tolist(), abs=1e-6)
    passages = cosine_to_dense().score_batch(pruned.view(5, 4, 6), dense.view(5, 4, 6))
    assert passages.tolist() == pytest.approx(scores.view(5, 4).mean(1).tolist(), abs=1e-6)


def test_a_vector_of_no_length_is_like_itself_and_like_no_other():
    dense, pruned = torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.zeros(2, 2)
    assert cosine_to_dense().score_batch(pruned, dense).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("make", METRICS)
def test_outputs_that_are_no_numbers_have_no_score(make):
    dense, pruned = logits(2, 3), logits(2, 3)
    pruned[1, 0] = math.nan
    assert make().score_batch(pruned, dense).isnan().tolist() == [False, True]


def test_half_precision_is_scored_in_single():
    dense, pruned = logits(4, 50, seed=1), logits(4, 50, seed=2)
    exact = kl_from_dense().score_batch(pruned, dense)
    assert kl_from_dense().score_batch(pruned.bfloat16(), dense.bfloat16()).tolist() == pytest.approx(
        exact.tolist(), rel=0.05
    )


def test_the_number_of_examples_is_the_reference_s_or_as_told():
    wrong = replace(agreement(), score=lambda outputs, dense: torch.zeros(3))
    with pytest.raises(SecateurError, match=r"shape \(2,\), got \(3,\)"):
        wrong.score_batch(logits(2, 4), logits(2, 4))
    boxed = {"logits": logits(2, 4)}
    with pytest.raises(SecateurError, match=r"shape \(2,\), got \(3,\)"):
        wrong.score_batch(boxed, boxed, n=2)
    unboxed = replace(
        agreement(), reading=None, score=lambda outputs, dense: outputs["logits"][:, 0] - dense["logits"][:, 0]
    )
    assert unboxed.score_batch(boxed, boxed).tolist() == [0, 0]
    assert unboxed.score_batch(boxed, boxed, n=2).tolist() == [0, 0]


def test_labels_are_not_asked_for():
    for make in METRICS:
        make().check_labels(torch.empty(4, 0))
        assert make().beside_scores(torch.empty(4, 0)) is None
