"""Silero VAD, which tells speech from what is none, held against itself on recorded speech.

The sound that the package's source distribution brings has no labels: of every half second the metric asks whether the
cut model says of its last window what the dense one says. `packages/` beside this file holds the package's weights and
that sound: `python -m tests.real_models.run`.
"""

import re
import wave
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

import core

HERE = Path(__file__).parent
WINDOW, CONTEXT, WINDOWS, BINS = 512, 64, 16, 129  # samples of 16 kHz; half a second an example


class SileroVad(nn.Module):
    """Windows (n, 16, 576) -> the logit (n,) that there is speech in the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 2 * BINS, 256, stride=128, bias=False)
        self.conv1, self.conv2 = nn.Conv1d(BINS, 128, 3, padding=1), nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3, self.conv4 = nn.Conv1d(64, 64, 3, stride=2, padding=1), nn.Conv1d(64, 128, 3, padding=1)
        self.lstm = nn.LSTM(128, 128, batch_first=True)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        each = F.pad(x.flatten(0, 1), (0, CONTEXT), "reflect").unsqueeze(1)
        real, imaginary = self.stft_conv(each).split(BINS, 1)
        y = (real.square() + imaginary.square()).sqrt()
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            y = F.relu(layer(y))
        states, _ = self.lstm(y.view(-1, x.shape[1], 128))
        logit: Tensor = self.final_conv(F.relu(states[:, -1]).unsqueeze(2)).flatten()
        return logit


def windows(path: Path) -> Tensor:
    """Examples (n, 16, 576) that follow one another: every window with the 64 samples before it."""
    with wave.open(str(path)) as file:
        sound = torch.frombuffer(bytearray(file.readframes(file.getnframes())), dtype=torch.int16) / 32768
    each = F.pad(sound, (CONTEXT, 0)).unfold(0, WINDOW + CONTEXT, WINDOW)
    return each[: len(each) // WINDOWS * WINDOWS].reshape(-1, WINDOWS, WINDOW + CONTEXT)


def workload() -> core.Workload:
    """330 half seconds of one recording; 117 of another for criteria."""
    weights = load_file(HERE / "speech.safetensors")
    model = SileroVad()
    model.load_state_dict(
        {re.sub(r"^lstm_cell\.(.*)", r"lstm.\1_l0", name): tensor for name, tensor in weights.items()}
    )
    sounds = HERE / "packages/silero_vad-6.2.3"
    return core.Workload(
        "speech",
        model.eval(),
        core.Examples(windows(sounds / "examples/c++/aepyx.wav")),
        core.binary_agreement(),
        calibration=core.Examples(windows(sounds / "tests/data/test.wav")),
    )
