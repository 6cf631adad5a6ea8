"""Margins: how far an output may move before its example is scored otherwise, worked out by hand."""

import pytest
import torch

from core import accuracy, agreement, cross_entropy, f1, kl_from_dense, label_match, perplexity, token_accuracy, top_k
from core.workload.metrics.binary import binary_accuracy, binary_agreement
from core.workload.metrics.margins import margins_of

LOGITS = torch.tensor([[3.0, 1.0, 0.5], [0.0, 2.0, 1.5], [1.0, 4.0, 2.0]])


def test_of_a_class_it_is_the_distance_to_the_best_other_one_right_or_wrong():
    assert margins_of(accuracy())(LOGITS, torch.tensor([0, 1, 2])).tolist() == [2.0, 0.5, 2.0]


def test_of_the_best_k_it_is_the_distance_to_the_last_place_among_them():
    assert margins_of(top_k(2))(LOGITS, torch.tensor([0, 0, 2])).tolist() == [2.5, 1.5, 1.0]


def test_of_agreement_it_is_the_lead_of_the_chosen_class_and_of_positions_there_is_none():
    margin = margins_of(agreement())
    assert margin(LOGITS, LOGITS).tolist() == [2.0, 0.5, 2.0]
    assert margin(LOGITS[None], LOGITS[None]) is None


def test_of_one_logit_it_is_its_size_and_of_several_labels_that_of_the_smallest():
    logits = torch.tensor([[0.5], [-2.0]])
    for metric in (binary_accuracy(), binary_agreement()):
        assert margins_of(metric)(logits, torch.tensor([1, 0])).tolist() == [0.5, 2.0]
    assert margins_of(label_match())(torch.tensor([[3.0, -0.25]]), torch.tensor([[1, 1]])).tolist() == [0.25]


@pytest.mark.parametrize("metric", [accuracy(), top_k(2)], ids=lambda one: one.scale.name)
def test_a_smaller_move_than_the_margin_changes_no_score(metric):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, 5, generator=generator)
    labels = torch.randint(5, (200,), generator=generator)
    margins = margins_of(metric)(logits, labels)
    moved = logits + 0.49 * margins[:, None] * (torch.rand(200, 5, generator=generator) * 2 - 1)
    assert torch.equal(metric.score_batch(logits, labels), metric.score_batch(moved, labels))


@pytest.mark.parametrize(
    "metric",
    [cross_entropy(), perplexity(), kl_from_dense(), f1(), token_accuracy(), binary_accuracy(threshold=0.5)],
    ids=lambda one: one.scale.name,
)
def test_metrics_that_are_no_hits_have_none(metric):
    assert margins_of(metric) is None
