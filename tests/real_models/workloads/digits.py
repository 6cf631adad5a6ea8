"""The CNN of `digit-recognizer-py`, trained on MNIST, on the digits of scikit-learn: other hands, 8x8 made larger.

`packages/` beside this file holds both packages, `digits.safetensors` the weights: `python -m tests.real_models.run`.
"""

import gzip
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

import core

HERE = Path(__file__).parent
N_CALIBRATION = 300


class Digits(nn.Module):
    """Images (n, 1, 28, 28) -> class logits (n, 10); modules named as the package names them."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n_in, n_out in ((1, 32), (32, 64), (64, 128)):
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.conv_layers = nn.Sequential(*layers)
        self.fc_layers = nn.Sequential(nn.Linear(128 * 3 * 3, 256), nn.ReLU(), nn.Linear(256, 10))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc_layers(self.conv_layers(x).flatten(1))
        return logits


def workload() -> core.Workload:
    """1,497 digits that people wrote; 300 others for criteria."""
    with gzip.open(HERE / "packages/sklearn/datasets/data/digits.csv.gz", "rt") as file:
        rows = torch.tensor([[float(value) for value in line.split(",")] for line in file])
    images, labels = rows[:, :64].view(-1, 1, 8, 8) / 16, rows[:, 64].long()
    # MNIST's digits fill 20 of 28 pixels; its mean and deviation are what the package normalises with
    large = F.interpolate(images, size=(20, 20), mode="bicubic", align_corners=False).clamp(0, 1)
    x = (F.pad(large, (4, 4, 4, 4)) - 0.1307) / 0.3081
    model = Digits()
    model.load_state_dict(load_file(HERE / "digits.safetensors"))
    first, rest = slice(N_CALIBRATION), slice(N_CALIBRATION, None)
    return core.Workload(
        "digits",
        model.eval(),
        core.Examples(x[rest], labels[rest]),
        core.accuracy(),
        calibration=core.Examples(x[first], labels[first]),
    )
