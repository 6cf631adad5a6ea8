"""An example's score is its own, or nothing is measured: whatever depends on the batch is refused with its place."""

import re

import pytest
import torch
from torch import nn

from core import Examples, Metric, SecateurError, Workload, accuracy, cosine_to_dense, cross_entropy
from core.sensitivity.measuring.measurement import Measurement
from core.workload.scale import Scale


class Centred(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.head = nn.Linear(8, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.mixed(self.fc(x)))

    def mixed(self, x):
        return x - x.mean(0)


class Scaled(Centred):
    def mixed(self, x):
        return x / x.abs().max()


class Running(Centred):
    """Each example sees those before it."""

    def mixed(self, x):
        return x.cumsum(0)


class AmongOthers(Centred):
    """Attention over the batch, where the length was meant."""

    def mixed(self, x):
        return torch.softmax(x @ x.T, -1) @ x


class Negatives(nn.Module):
    """Similarities of each example with all of its batch."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 6)

    def forward(self, x):
        return self.fc(x) @ self.fc(x).T


def workload(model, metric=None, n=60, batch_size=50):
    torch.manual_seed(0)
    x = torch.randn(n, 8)
    model = model() if isinstance(model, type) else model
    return Workload(
        "mixing", model.eval(), Examples(x, torch.arange(n) % 3), metric or cross_entropy(), batch_size=batch_size
    )


def measured(given):
    with Measurement(given, None) as measurement:
        return measurement.dense()


def norm(kind, *shape):
    first = [nn.Unflatten(1, shape)] if shape else []
    return nn.Sequential(*first, kind, nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))


@pytest.mark.parametrize(
    ("model", "where"),
    [
        (norm(nn.BatchNorm1d(8, track_running_stats=False)), r"the first module that differs is 0 \(BatchNorm1d\)"),
        (norm(nn.BatchNorm2d(2, track_running_stats=False), 2, 2, 2),
         r"the first module that differs is 1 \(BatchNorm2d\)"),
        (Centred, r"what goes into head \(Linear\) differs already"),
        (Scaled, r"what goes into head \(Linear\) differs already"),
        (Running, r"what goes into head \(Linear\) differs already"),
        (AmongOthers, r"what goes into head \(Linear\) differs already"),
    ],
    ids=["batch norm", "batch norm of images", "centred", "scaled", "running", "attention over the batch"],
)  # fmt: skip
def test_a_model_that_mixes_examples_is_refused_with_its_place(model, where):
    given = workload(model)
    x, other = given.evaluation.inputs[0][:10], given.evaluation.inputs[0][8:10]
    with torch.no_grad():
        assert not torch.allclose(given.model(x)[8:], given.model(other), atol=1e-3)  # it is so
    with pytest.raises(SecateurError, match=rf"depends on the others in its batch.*apart.*{where}"):
        measured(given)


def test_batch_norm_is_told_how_to_mend_it():
    with pytest.raises(SecateurError, match=r"has no running statistics: give it some \(track_running_stats=True"):
        measured(workload(norm(nn.BatchNorm1d(8, track_running_stats=False))))


def test_similarities_within_a_batch_have_another_shape_in_another():
    own = Metric(
        Scale("rank", "rank", False, 0.0, None), lambda out, labels: (out > out.diag()[:, None]).sum(1).float()
    )
    with pytest.raises(SecateurError, match="has another shape in another batch"):
        measured(workload(Negatives, own))


def test_a_metric_that_takes_its_negatives_from_the_batch_is_refused():
    def score(outputs, labels):
        return nn.functional.cross_entropy(outputs @ outputs.T, torch.arange(len(outputs)), reduction="none")

    own = Metric(Scale("retrieval", "nats", False, 0.0, None), score)
    with pytest.raises(SecateurError, match="apart when other examples are scored with it; let the metric score each"):
        measured(workload(nn.Linear(8, 6), own))


def test_one_at_a_time_nothing_can_be_mixed():
    given = workload(Centred, batch_size=1)
    with torch.no_grad():
        right = torch.stack([
            nn.functional.cross_entropy(given.model(x[None]), y[None])
            for x, y in zip(given.evaluation.inputs[0], given.evaluation.labels, strict=True)
        ]).mean().item()  # fmt: skip
    assert measured(given).value == pytest.approx(right, rel=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        norm(nn.BatchNorm1d(8)),
        norm(nn.InstanceNorm1d(2), 2, 4),  # without running statistics, too, and of each example alone
        norm(nn.GroupNorm(2, 8)),
        nn.Sequential(nn.Linear(8, 512), *[nn.Linear(512, 512) for _ in range(12)], nn.GELU(), nn.Linear(512, 3)),
        nn.Sequential(nn.Linear(8, 3), nn.Threshold(0.5, -1e9)),  # a masking constant
        norm(nn.TransformerEncoderLayer(2, 1, 8, batch_first=True), 4, 2),
    ],
    ids=["running statistics", "instance norm", "group norm", "deep", "masked", "attention"],
)  # fmt: skip
@pytest.mark.parametrize("metric", [accuracy, cosine_to_dense])
def test_rounding_of_another_batch_size_is_no_dependence(model, metric):
    given = workload(model, metric(), n=203, batch_size=100)
    assert measured(given).n == 203


def test_it_is_looked_for_in_both_precisions():
    torch.manual_seed(1)
    half = workload(nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 3)).bfloat16())
    x = Examples(half.evaluation.inputs[0].bfloat16(), half.evaluation.labels)
    assert measured(Workload("short", half.model, x, accuracy(), batch_size=50)).n == 60
    mixing = Workload("short", Centred().bfloat16().eval(), x, accuracy(), batch_size=50)
    with pytest.raises(SecateurError, match=re.escape("depends on the others in its batch")):
        measured(mixing)
