"""Metrics by hand."""

import functools
import math
from dataclasses import replace

import pytest
import torch

from core import Metric, Scale, accuracy, cross_entropy, perplexity
from core.sensitivity.intervals import metric_estimate

SCALE = Scale("hits", "fraction", higher_is_better=True, low=0, high=1)


def test_accuracy_is_one_for_a_hit_and_zero_for_a_miss():
    scores = accuracy().score_batch(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1]))
    assert scores.tolist() == [1.0, 0.0]


def test_cross_entropy_of_even_odds_is_the_logarithm_of_the_classes():
    scores = cross_entropy().score_batch(torch.zeros(2, 4), torch.tensor([1, 3]))
    assert scores.tolist() == pytest.approx([math.log(4)] * 2)


def test_perplexity_counts_tokens_not_passages():
    # passage 1: three tokens of probability 1/2; passage 2: one token of probability 1/16, two that do not count.
    # By tokens: exp((3 ln 2 + ln 16) / 4) = 2 ** (7 / 4). By passages it would be 2 ** (5 / 2).
    logits = torch.full((2, 3, 2), 0.0)
    logits[1, 0] = torch.tensor([0.0, math.log(15.0)])
    labels = torch.tensor([[0, 1, 0], [0, -100, -100]])
    metric = perplexity()
    scores, weights = metric.score_batch(logits, labels), metric.weigh(labels)
    assert scores.tolist() == pytest.approx([math.log(2), math.log(16)])
    assert weights.tolist() == [3, 1]
    estimate = metric_estimate(metric.scale, scores.double().numpy(), weights.double().numpy())
    assert estimate.value == pytest.approx(2 ** (7 / 4))


@pytest.mark.parametrize("make", [accuracy, cross_entropy, perplexity])
def test_every_metric_keeps_its_fingerprint_and_shares_it_with_no_other(make):
    assert make().fingerprint() == make().fingerprint()
    assert len({other().fingerprint() for other in (accuracy, cross_entropy, perplexity)}) == 3


def test_a_fingerprint_changes_with_what_a_metric_encloses():
    assert perplexity(0).fingerprint() != perplexity(1).fingerprint()


@pytest.mark.parametrize("make", [accuracy, cross_entropy, perplexity])
def test_a_loss_is_the_cross_entropy_of_each_example_and_no_part_of_the_fingerprint(make):
    metric = make()
    logits = torch.zeros((2, 3, 4) if make is perplexity else (2, 4), requires_grad=True)
    losses = metric.loss(logits, torch.ones(logits.shape[:-1], dtype=torch.int64))
    assert losses.tolist() == pytest.approx([math.log(4)] * 2)
    assert losses.requires_grad
    assert replace(metric, loss=None).fingerprint() == metric.fingerprint()


THRESHOLD = 0.5


def over(outputs, labels):
    return (outputs > THRESHOLD).float()


def test_a_fingerprint_changes_with_a_constant_that_the_score_reads(monkeypatch):
    before = Metric(SCALE, over).fingerprint()
    monkeypatch.setitem(globals(), "THRESHOLD", 0.7)
    assert Metric(SCALE, over).fingerprint() != before


def above(outputs, labels, level):
    return (outputs > level).float()


class Above:
    def __init__(self, level):
        self.level = level

    def __call__(self, outputs, labels):
        return (outputs > self.level).float()


@pytest.mark.parametrize(
    "make",
    [lambda level: functools.partial(above, level=level), Above, lambda level: Above(level).__call__],
    ids=["partial", "object", "method"],
)
def test_a_score_that_is_no_plain_function_has_a_fingerprint_of_its_content(make):
    assert Metric(SCALE, make(0.5)).fingerprint() == Metric(SCALE, make(0.5)).fingerprint()
    assert Metric(SCALE, make(0.5)).fingerprint() != Metric(SCALE, make(0.7)).fingerprint()


def test_a_drop_is_positive_when_the_model_became_worse():
    assert accuracy().scale.drop(0.9, 0.8) == pytest.approx(0.1)
    assert perplexity().scale.drop(5.0, 6.0) == 1.0
