"""Statistics of batch normalisation after a cut."""

import torch
from torch import nn

from core import Examples
from core.recovery.training.recalibration import recalibrate


def test_data_in_the_order_of_their_classes_give_the_statistics_of_all():
    """The first 2,000 of 6,000 examples are of one class, whose mean is -1; that of all is 0."""
    values = torch.cat([torch.full((2000, 1), float(c)) for c in (-1, 0, 1)]) + 0.01 * torch.randn(6000, 1)
    model = nn.Sequential(nn.BatchNorm1d(1)).eval()
    assert recalibrate(model, Examples(values, torch.zeros(6000)), 100)
    assert abs(float(model[0].running_mean)) < 0.1
    assert abs(float(model[0].running_var) - 2 / 3) < 0.1
