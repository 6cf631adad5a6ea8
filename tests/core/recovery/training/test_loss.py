"""What training makes small, against numbers worked out by hand."""

from dataclasses import replace
from math import log

import pytest
import torch
from torch import nn

from core import Examples, FineTuning, Workload, accuracy, cross_entropy, perplexity
from core.recovery.training.loss import Loss
from core.workload.metric import Metric


class Fixed(nn.Module):
    """Gives the same logits of two classes for every example, `length` times if there is one."""

    def __init__(self, *logits, length=None):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits, dtype=torch.float32))
        self.length = length

    def forward(self, x):
        shape = (len(x), 2) if self.length is None else (len(x), self.length, 2)
        return self.logits.expand(shape)


def distilled(metric, labels, length=None, temperature=1.0):
    """Of equal chances against a teacher's three to one; nothing but the teacher counts."""
    ours, dense = Fixed(0.0, 0.0, length=length), Fixed(log(3.0), 0.0, length=length)
    data = Examples(torch.zeros(len(labels), 1), labels)
    settings = FineTuning(distillation=1.0, temperature=temperature)
    return float(Loss(Workload("fixed", ours, data, metric, training=data), dense, settings)(ours, data).detach())


CLASSES, TOKENS = torch.tensor([0, 1, 1]), torch.tensor([[0, 1], [1, 1], [0, 0]])
# the sum over classes of p log(p / q), p the teacher's 3/4 and 1/4, q one half each
DIVERGENCE = 0.75 * log(0.75 / 0.5) + 0.25 * log(0.25 / 0.5)


@pytest.mark.parametrize("metric", [accuracy(), cross_entropy()], ids=lambda metric: metric.scale.name)
def test_classes_are_learned_from_the_teacher_as_chances(metric):
    assert distilled(metric, CLASSES) == pytest.approx(DIVERGENCE, abs=1e-6)


def test_so_are_the_tokens_of_a_language_model_whose_metric_is_its_loss():
    assert distilled(perplexity(), TOKENS, length=2) == pytest.approx(DIVERGENCE, abs=1e-6)


def test_a_temperature_softens_both_and_keeps_the_size_of_gradients():
    soft = 3**0.5 / (1 + 3**0.5)  # of the teacher's logits halved
    divergence = soft * log(soft / 0.5) + (1 - soft) * log((1 - soft) / 0.5)
    assert distilled(perplexity(), TOKENS, 2, temperature=2.0) == pytest.approx(4 * divergence, abs=1e-6)


def test_outputs_that_are_no_classes_are_held_against_the_teachers_by_squared_distance():
    regression: Metric = replace(cross_entropy(), logits=False)
    assert distilled(regression, CLASSES) == pytest.approx(log(3.0) ** 2 / 2, abs=1e-6)
