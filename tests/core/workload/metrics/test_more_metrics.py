"""Metrics of regression, areas, rankings and several labels, beside loops in plain Python and torchmetrics."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from core import (
    Examples,
    SecateurError,
    Workload,
    absolute_error,
    dice,
    iou,
    label_f1,
    label_match,
    ndcg,
    r2,
    sweep,
)
from core.sensitivity.statistics.bootstrap import drop_estimate, metric_estimate

GENERATOR = torch.Generator().manual_seed(0)


def _random(*shape):
    return torch.randn(*shape, generator=GENERATOR)


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_absolute_error_is_what_it_says(shape):
    outputs, labels = torch.tensor([1.0, -2.0, 0.0, 3.0]), torch.tensor([2, -2, 4, 0])
    found = absolute_error().score_batch(outputs.view(shape), labels.view(shape))
    assert found.tolist() == [1, 0, 4, 3]


def _areas(outputs, labels, worth):
    """The mean over classes that occur, image by image, pixel by pixel."""
    found = []
    for logits, label in zip(outputs, labels, strict=True):
        said = logits.argmax(0)[label != -100].tolist()
        true = label[label != -100].tolist()
        of = []
        for c in sorted({*said, *true}):
            both = sum(a == b == c for a, b in zip(said, true, strict=True))
            of.append(worth(both, said.count(c), true.count(c)))
        found.append(sum(of) / len(of))
    return found


AREAS = {
    iou: lambda both, said, true: both / (said + true - both),
    dice: lambda both, said, true: 2 * both / (said + true),
}


@pytest.mark.parametrize("make", AREAS)
def test_areas_of_classes_are_compared_image_by_image(make):
    outputs = _random(6, 4, 3, 5)
    labels = torch.randint(0, 3, (6, 3, 5), generator=GENERATOR)  # class 3 is never true, and said here and there
    labels[2, :2] = -100
    labels[3] = outputs[3].argmax(0)
    outputs[4, 0] = 9.0  # one class throughout
    labels[4] = 0
    found = make().score_batch(outputs, labels)
    assert found.tolist() == pytest.approx(_areas(outputs, labels, AREAS[make]), abs=1e-6)
    assert found[3] == found[4] == 1
    outputs[5, 0, 0, 0] = math.nan
    assert make().score_batch(outputs, labels)[5].isnan()


def _ndcg(scores, relevance, k):
    """Items in every order that equal scores allow, averaged."""
    place_gain = [1 / math.log2(2 + i) if k is None or i < k else 0.0 for i in range(len(scores))]
    best = sum(r * g for r, g in zip(sorted(relevance, reverse=True), place_gain, strict=True))
    total = 0.0
    for value in set(scores):
        first = sum(s > value for s in scores)
        same = [r for s, r in zip(scores, relevance, strict=True) if s == value]
        total += sum(same) / len(same) * sum(place_gain[first : first + len(same)])
    return total / best if best else 0.0


@pytest.mark.parametrize("k", [None, 1, 3])
def test_ndcg_is_that_of_a_loop_ties_shared(k):
    outputs = _random(8, 5)
    outputs[1] = 0.0
    outputs[2, :3] = 1.0
    labels = torch.randint(0, 4, (8, 5), generator=GENERATOR)
    labels[3] = 0
    found = ndcg(k).score_batch(outputs, labels)
    by_hand = [_ndcg(o, r, k) for o, r in zip(outputs.tolist(), labels.tolist(), strict=True)]
    assert found.tolist() == pytest.approx(by_hand, abs=1e-6)


def test_ndcg_is_that_of_torchmetrics():
    functional = pytest.importorskip("torchmetrics.functional.retrieval")
    outputs, labels = _random(9, 6), torch.randint(0, 3, (9, 6), generator=GENERATOR)
    labels[:, 0] = 1
    for k in (None, 2):
        theirs = [
            functional.retrieval_normalized_dcg(o, r, top_k=k).item() for o, r in zip(outputs, labels, strict=True)
        ]
        assert ndcg(k).score_batch(outputs, labels).tolist() == pytest.approx(theirs, abs=1e-5)


def test_labels_of_an_example_together():
    outputs = torch.tensor([[1.0, -1.0, 2.0], [-1.0, -1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 3.0]])
    labels = torch.tensor([[1, 0, 1], [0, 0, 0], [0, 1, 1], [1, 0, 0]])
    assert label_f1().score_batch(outputs, labels).tolist() == pytest.approx([1, 1, 2 * 1 / 4, 0])
    assert label_match().score_batch(outputs, labels).tolist() == [1, 1, 0, 0]


def _r2(predictions, truth):
    return 1 - ((predictions - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_r2_is_one_less_errors_over_spread(offset):
    truth = _random(50).double().numpy() + offset
    predictions = truth + 0.5 * _random(50).double().numpy()
    other = truth + _random(50).double().numpy()
    dense = metric_estimate(r2().scale, predictions, truth)
    assert dense.value == pytest.approx(_r2(predictions, truth), abs=1e-6)
    assert dense.low < dense.value < dense.high <= 1
    drop = drop_estimate(r2().scale, predictions, other, truth)
    assert drop.value == pytest.approx(_r2(predictions, truth) - _r2(other, truth), abs=1e-6)
    same = drop_estimate(r2().scale, predictions, predictions, truth)
    assert (same.value, same.low, same.high) == (0, pytest.approx(-6 / 50), pytest.approx(6 / 50))
    torchmetrics = pytest.importorskip("torchmetrics.functional")
    theirs = torchmetrics.r2_score(torch.tensor(predictions), torch.tensor(truth)).item()
    assert dense.value == pytest.approx(theirs, abs=1e-6)


def test_r2_of_equal_predictions_is_a_number_and_of_equal_labels_none():
    truth = np.array([1.0, 2.0, 3.0, 4.0])
    assert metric_estimate(r2().scale, np.full(4, 2.5), truth).value == pytest.approx(0)
    with pytest.raises(SecateurError, match="R² is undefined: all 4 labels are equal"):
        metric_estimate(r2().scale, np.full(4, 2.5), np.ones(4))


def test_intervals_of_r2_hold_the_truth_as_often_as_they_say():
    rng, hits, n = np.random.default_rng(0), 0, 200
    for _ in range(100):
        truth = rng.normal(size=n)
        found = metric_estimate(r2().scale, truth + 0.6 * rng.normal(size=n), truth)
        hits += found.low <= 1 - 0.36 <= found.high
    assert hits >= 89  # of 95 expected: four standard errors would be 86


def test_a_sweep_of_a_regression_is_what_plain_torch_says(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    x = _random(60, 4)
    with torch.no_grad():
        labels = model(x) + 0.1 * _random(60, 1)
    for i, (make, by_hand) in enumerate(
        ((r2, lambda p: _r2(p, labels)), (absolute_error, lambda p: (p - labels).abs().mean()))
    ):
        workload = Workload("line", model, Examples(x, labels), make())
        report = sweep(workload, workspace=tmp_path / str(i), sparsities=(0.5,))
        cell = next(cell for cell in report.cells if cell.cut.target == "2")
        kept = model[2].weight.detach().clone()
        with torch.no_grad():
            assert report.dense.value == pytest.approx(by_hand(model(x)).item(), rel=1e-5)
            model[2].weight.view(-1)[kept.abs().flatten().argsort(stable=True)[:4]] = 0
            assert cell.metric.value == pytest.approx(by_hand(model(x)).item(), rel=1e-4)
            model[2].weight.copy_(kept)


WRONG = {
    "relevance below 0": (
        lambda: ndcg().score_batch(_random(2, 3), torch.tensor([[0, 1, -1], [0, 0, 1]])),
        "at least 0",
    ),
    "relevance of one item": (lambda: ndcg().score_batch(_random(2, 3), torch.tensor([0, 1])), r"shape \(2,\)"),
    "other items": (
        lambda: ndcg().score_batch(_random(2, 4), torch.ones(2, 3)),
        "a score for each of at least two items",
    ),
    "k": (lambda: ndcg(0), "k must be at least 1"),
    "pixels of another size": (
        lambda: iou().score_batch(_random(2, 3, 4, 4), torch.zeros(2, 4, 5).long()),
        "scale the logits up",
    ),
    "several numbers": (lambda: r2().score_batch(_random(2, 3), torch.zeros(2)), "one number per example"),
}


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG)
def test_what_is_not_theirs_is_refused(make, message):
    with pytest.raises(SecateurError, match=message):
        make()


def test_areas_of_many_classes_and_ranks_of_many_items_fit_into_memory():
    outputs, labels = torch.zeros(1, 600, 128, 128), torch.randint(0, 600, (1, 128, 128))
    rank, relevance = torch.rand(2, 50_000), torch.randint(0, 3, (2, 50_000))  # each with each: 5 GB
    with torch.autograd.profiler.profile(profile_memory=True) as seen:
        for metric, one, other in ((iou(), outputs, labels), (ndcg(), rank, relevance)):
            metric.score_batch(one, other)
    assert max(event.cpu_memory_usage for event in seen.function_events) < 2 * outputs.nbytes
