"""Models that the ways of delivery have in common."""

import torch
from torch import Tensor, nn


class Branching(nn.Module):
    """Two layers, and a branch on values, which no exporter can write down."""

    def __init__(self, n_inputs: int = 2) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(n_inputs, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.b(torch.relu(self.a(x)))
        return y if float(x.sum()) > 0 else -y
