"""Metrics of the set: what is kept of each example. The numbers made of it: test_bootstrap.py."""

import math
from dataclasses import replace

import pytest
import torch

from core import Metric, SecateurError, accuracy, f1, perplexity, spearman


def test_f1_keeps_the_class_that_is_predicted_and_the_one_that_is_true():
    outputs, labels = torch.tensor([[0.1, 0.9, 0.0], [0.8, 0.2, 0.0], [0.0, math.nan, 0.0]]), torch.tensor([1, 2, 0])
    scores = f1().score_batch(outputs, labels)
    assert scores[:2].tolist() == [1, 0]
    assert scores[2].isnan()
    assert f1().beside_scores(labels).tolist() == [1, 2, 0]


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_spearman_keeps_the_numbers_predicted_and_true(shape):
    outputs, labels = torch.tensor([0.5, -1.0, 2.0]).reshape(shape), torch.tensor([3, 1, 5]).reshape(shape)
    assert spearman().score_batch(outputs, labels).tolist() == [0.5, -1, 2]
    assert spearman().beside_scores(labels).tolist() == [3, 1, 5]


def test_several_numbers_for_an_example_are_refused():
    with pytest.raises(SecateurError, match="one number per example"):
        spearman().score_batch(torch.zeros(3, 2), torch.zeros(3))
    with pytest.raises(SecateurError, match=r"labels that are one finite number per example, got shape \(3, 2\)"):
        f1().beside_scores(torch.zeros(3, 2))
    with pytest.raises(SecateurError, match="one finite number"):
        spearman().beside_scores(torch.tensor([0.0, math.nan]))


def test_weights_are_kept_beside_scores_as_they_are():
    assert perplexity().beside_scores(torch.tensor([[0, 1], [0, -100]])).tolist() == [2, 1]
    assert accuracy().beside_scores(torch.tensor([0, 1])) is None


def test_truth_belongs_to_metrics_of_the_set_and_to_no_other():
    for wrong in (
        lambda: Metric(f1().scale, f1().score),
        lambda: replace(accuracy(), truth=f1().truth),
        lambda: replace(f1(), weigh=lambda labels: labels),
    ):
        with pytest.raises(SecateurError, match="macro_f1, r2, spearman and span_f1 need `truth` and no `weigh`"):
            wrong()
    with pytest.raises(SecateurError, match="against 'labels' or 'dense', got 'teacher'"):
        replace(accuracy(), against="teacher")
