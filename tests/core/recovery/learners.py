"""A small model that can be trained in moments, its data, and a recovery of it."""

import torch
from torch import nn

from core import Examples, Workload, accuracy
from core.recovery.rounds import Recovery
from core.sensitivity.measuring.measurement import Measurement


def classes(n, seed):
    """Points of three classes, by the largest of three sums: learnable, and not by chance."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 12, generator=generator)
    return Examples(x, x.view(n, 3, 4).sum(2).argmax(1))


def recover(workload, asked, folder=None, until=None, **told):
    """A recovery whose rounds are done, all or those until one."""
    with Measurement(workload, None, "all") as measurement:
        recovery = Recovery(measurement, asked, folder, **told)
        recovery.run(until)
    return recovery


class Trained(nn.Module):
    """With batch normalisation and dropout, which have a state and a chance of their own."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(12, 24)
        self.bn = nn.BatchNorm1d(24)
        self.drop = nn.Dropout(0.1)
        self.fc2 = nn.Linear(24, 3)

    def forward(self, x):
        return self.fc2(self.drop(torch.relu(self.bn(self.fc1(x)))))


def trained_state():
    """Parameters of `Trained` after 60 steps."""
    torch.manual_seed(0)
    model, data = Trained(), classes(400, 1)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(data.inputs[0]), data.labels).backward()
        optimiser.step()
    return model.eval().state_dict()


def learner(state):
    """A trained workload with data to evaluate, to calibrate and to train on."""
    model = Trained()
    model.load_state_dict(state)
    return Workload("learner", model.eval(), classes(300, 2), accuracy(), classes(50, 3), classes(400, 1))
