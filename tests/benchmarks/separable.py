"""A second CNN of Fashion-MNIST, on which no constant of a search was chosen: depthwise separable, 10 convolutions.

Howard et al. 2017, arXiv:1704.04861 (a narrow MobileNet for 28x28 images). Nothing of it is in the repository: the
first that asks trains it, two minutes of one core, and keeps the weights in the folder for temporary files. Seeds and
threads are fixed, so that one machine makes the same weights again; `--examples` of a benchmark may be up to 8,000.
"""

import hashlib
import os
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from core import Workload
from sample_models.fashion_mnist import N_CALIBRATION, fashion_workload, images_and_labels, shifted_and_mirrored

STEM, BLOCKS = 32, ((64, 2), (64, 1), (128, 2), (128, 1))  # channels; channels and stride of each block
EPOCHS, BATCH, RATE, SEED = 10, 64, 4e-3, 18


class Separable(nn.Module):
    """Images (n, 1, 28, 28) -> class logits (n, 10)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, STEM, 3, 2, padding=1, bias=False), nn.BatchNorm2d(STEM), nn.ReLU()]
        n_in = STEM
        for n_out, stride in BLOCKS:
            layers += [nn.Conv2d(n_in, n_in, 3, stride, padding=1, groups=n_in, bias=False), nn.BatchNorm2d(n_in)]
            layers += [nn.ReLU(), nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]
            n_in = n_out
        layers += [nn.Conv2d(n_in, 2 * n_in, 1, bias=False), nn.BatchNorm2d(2 * n_in), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.fc = nn.Linear(2 * n_in, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.body(x).mean(dim=(2, 3)))
        return logits


def trained() -> Separable:
    """A net of fixed seeds, on the training images that the samples bring but for those that calibrate."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        net, draw = Separable().train(), torch.Generator().manual_seed(SEED)
        x, labels = (tensor[N_CALIBRATION:] for tensor in images_and_labels("train"))
        steps = EPOCHS * (len(x) // BATCH)
        optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(x), generator=draw)[: len(x) // BATCH * BATCH].split(BATCH):
                optimiser.zero_grad()
                F.cross_entropy(net(shifted_and_mirrored(x[rows], draw)), labels[rows]).backward()
                optimiser.step()
                schedule.step()
    torch.set_num_threads(threads)
    return net.eval()


def kept() -> Path:
    """Where the weights of this very file lie."""
    made_by = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"secateur-benchmark-separable-{made_by}.safetensors"


def workload() -> Workload:
    """10,000 test images, of which a fifth is set aside; 2,000 others to calibrate."""
    path, net = kept(), Separable()
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}")
        save_file(trained().state_dict(), part)
        part.replace(path)
    net.load_state_dict(load_file(path))
    return fashion_workload("fashion-separable", net.eval())
