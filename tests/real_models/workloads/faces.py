"""The second network of MTCNN, as `facenet-pytorch` holds it, on scikit-image's crops of faces and of no faces.

`packages/` beside this file holds both packages, `faces.safetensors` the weights: `python -m tests.real_models.run`.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import core

HERE = Path(__file__).parent
N_CALIBRATION = 40


class RNet(nn.Module):
    """Images (n, 3, 24, 24) in [-1, 1] -> logits (n, 2) of no face and face; the branch of boxes is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1 = nn.Linear(128, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.pool2(self.prelu2(self.conv2(x)))
        x = self.prelu3(self.conv3(x)).permute(0, 3, 2, 1).flatten(1)
        logits: Tensor = self.dense5_1(self.prelu4(self.dense4(x)))
        return logits


def workload() -> core.Workload:
    """160 grey crops of Labeled Faces in the Wild, half of them faces; 40 others for criteria."""
    crops = torch.from_numpy(np.load(HERE / "packages/skimage/data/lfw_subset.npy", allow_pickle=False)).float()
    grey = (crops[:, None, :24, :24] * 255 - 127.5) / 128  # as the package scales
    x, labels = grey.expand(-1, 3, -1, -1).contiguous(), (torch.arange(200) < 100).long()
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    first, rest = order[:N_CALIBRATION], order[N_CALIBRATION:]
    model = RNet()
    weights = load_file(HERE / "faces.safetensors")
    model.load_state_dict({name: tensor for name, tensor in weights.items() if not name.startswith("dense5_2.")})
    return core.Workload(
        "faces",
        model.eval(),
        core.Examples(x[rest], labels[rest]),
        core.accuracy(),
        calibration=core.Examples(x[first], labels[first]),
        class_names=("no face", "face"),
    )
