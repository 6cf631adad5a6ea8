"""Metrics by hand."""

import functools
import math
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_accuracy

from core import (
    Examples,
    Metric,
    Scale,
    SecateurError,
    accuracy,
    agreement,
    cosine_to_dense,
    cross_entropy,
    f1,
    kl_from_dense,
    perplexity,
    spearman,
    top_k,
)
from core.sensitivity.statistics.intervals import metric_estimate
from tests import scales

EVERY = (
    accuracy, functools.partial(top_k, 1), functools.partial(top_k, 5), cross_entropy, perplexity,
    f1, spearman, agreement, kl_from_dense, cosine_to_dense,
)  # fmt: skip

SCALE = Scale("hits", "fraction", higher_is_better=True, low=0, high=1)


def test_the_scales_of_tests_without_torch_are_those_of_the_metrics():
    written = {scale for scale in vars(scales).values() if isinstance(scale, Scale)}
    assert written == {make().scale for make in EVERY} - {top_k(1).scale}


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


def test_top_k_by_hand():
    outputs = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.3, 0.2, 0.5]])
    labels = torch.tensor([1, 0, 2])
    assert top_k(1).score_batch(outputs, labels).tolist() == [0, 0, 1]
    assert top_k(2).score_batch(outputs, labels).tolist() == [1, 0, 1]
    with pytest.raises(SecateurError, match="k must be at least 1, got 0"):
        top_k(0)


@given(seed=st.integers(0, 999), k=st.integers(1, 5))
def test_top_k_is_torchmetrics_s(seed, k):
    generator = torch.Generator().manual_seed(seed)
    outputs, labels = torch.randn(20, 6, generator=generator), torch.randint(6, (20,), generator=generator)
    reference = multiclass_accuracy(outputs, labels, 6, average="micro", top_k=k)
    assert top_k(k).score_batch(outputs, labels).mean().item() == pytest.approx(reference.item())


@given(seed=st.integers(0, 999))
def test_top_1_is_accuracy_also_where_logits_are_equal(seed):
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randint(3, (20, 4), generator=generator).float()
    labels = torch.randint(4, (20,), generator=generator)
    assert top_k(1).score_batch(outputs, labels).equal(accuracy().score_batch(outputs, labels))


def test_top_k_of_logits_that_are_no_numbers_is_no_hit_and_no_miss():
    assert top_k(2).score_batch(torch.full((1, 3), math.nan), torch.tensor([0])).isnan().all()


@pytest.mark.parametrize("make", EVERY)
def test_every_metric_keeps_its_fingerprint_and_shares_it_with_no_other(make):
    assert make().fingerprint() == make().fingerprint()
    assert len({other().fingerprint() for other in EVERY}) == len(EVERY)


@pytest.mark.parametrize("make", EVERY)
def test_every_scale_says_where_its_range_and_its_better_end_are(make):
    scale = make().scale
    assert scale.name
    assert scale.unit
    best = scale.high if scale.higher_is_better else scale.low
    assert best is not None


@pytest.mark.parametrize("make", EVERY)
def test_a_loss_changes_no_fingerprint_and_what_a_score_is_held_against_does(make):
    metric = make()
    assert replace(metric, loss=over).fingerprint() == metric.fingerprint()
    other = "labels" if metric.against == "dense" else "dense"
    assert replace(metric, against=other).fingerprint() != metric.fingerprint()


def test_a_fingerprint_changes_with_the_truth_and_tells_it_from_weights():
    assert replace(f1(), truth=lambda labels: labels + 1).fingerprint() != f1().fingerprint()
    weighed = replace(accuracy(), weigh=over).fingerprint()
    assert weighed != accuracy().fingerprint()


@pytest.mark.parametrize("make", EVERY)
def test_a_loss_is_of_each_example_and_has_a_gradient(make):
    metric = make()
    if metric.loss is None:
        assert metric.against == "dense" or metric.scale.name == "Spearman"
        return
    shape = (4, 3, 5) if make is perplexity else (4, 5)
    outputs, labels = torch.randn(shape, requires_grad=True), torch.randint(5, shape[:-1])
    loss = metric.loss(outputs, labels)
    loss[0].backward()
    assert loss.shape == (4,)
    assert outputs.grad[0].any()
    assert not outputs.grad[1:].any()


@pytest.mark.parametrize("make", [accuracy, functools.partial(top_k, 5), cross_entropy, perplexity, f1, spearman])
def test_a_metric_that_needs_labels_says_that_there_are_none(make):
    labels = Examples(torch.zeros(3, 2)).labels
    with pytest.raises(SecateurError, match=rf"{make().scale.name}' compares with labels, and these examples have non"):
        make().score_batch(torch.zeros(3, 2), labels)


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


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="what a function reads is told by its bytecode")
def test_metrics_are_those_under_which_the_first_release_kept_its_evidence():
    """Names of modules and the text of what a metric uses are in its hash: moving one would measure all anew."""
    assert [make().fingerprint()[:12] for make in (accuracy, cross_entropy, perplexity)] == [
        "f9a64b8cb68c",
        "fd0ddb55e960",
        "9b6e08111876",
    ]
    losses = [make().loss_fingerprint()[:12] for make in (accuracy, cross_entropy, perplexity)]
    assert losses == ["dd2e8a978f1e", "dd2e8a978f1e", "b708e41ed2fd"]
