"""Fashion-MNIST as tensors: the test split and 20,000 training images lie in this package.

Source: Xiao et al. 2017, arXiv:1708.07747 (MIT licence, beside the data).
"""

import gzip
import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import Examples, Workload, accuracy

CLASSES = (
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
FOLDER = Path(__file__).parent / "data" / "fashion-mnist"
MEAN, STD = 0.2860, 0.3530  # of the 60,000 training images
N_CALIBRATION = 2_000  # first images of the bundled training subset; the rest is for training


def read_idx(path: Path) -> Tensor:
    """Tensor of a gzipped IDX file (the format of MNIST: big-endian header, then bytes).

    Returns:
        uint8 tensor, shape as the header says, e.g. (10000, 28, 28) or (10000,).

    Raises:
        ValueError: the file is not a gzipped IDX file of unsigned bytes, or it is cut short.
    """
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} is not a complete gzip file ({error}); restore it from the repository") from error
    if raw[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path} is not an IDX file of unsigned bytes; restore it from the repository")
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    body = raw[4 + 4 * len(shape) :]
    if len(body) != math.prod(shape):
        raise ValueError(f"{path} should hold {math.prod(shape)} bytes, holds {len(body)}; restore it")
    return torch.frombuffer(bytearray(body), dtype=torch.uint8).reshape(shape)


def images_and_labels(split: str, folder: Path = FOLDER) -> tuple[Tensor, Tensor]:
    """Normalised images and labels of one split.

    Args:
        split: `"t10k"` (test), or `"train"`: 20,000 images in this package, 60,000 in the original folder.
        folder: where the IDX files lie.

    Returns:
        float32 images (n, 1, 28, 28), zero mean and unit variance over the training set; int64 labels (n,).
    """
    pixels = read_idx(folder / f"{split}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{split}-labels-idx1-ubyte.gz")
    return ((pixels.float() / 255 - MEAN) / STD).unsqueeze(1), labels.long()


def shifted_and_mirrored(images: Tensor, generator: torch.Generator) -> Tensor:
    """One random shift of up to 2 pixels for the batch, each image mirrored with probability 1/2."""
    dx, dy = torch.randint(-2, 3, (2,), generator=generator).tolist()
    padded = F.pad(images, (2, 2, 2, 2), value=-MEAN / STD)
    images = padded[:, :, 2 + dy : 30 + dy, 2 + dx : 30 + dx]
    mirror = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
    return torch.where(mirror, images.flip(3), images)


def fashion_workload(name: str, model: nn.Module) -> Workload:
    """A trained image classifier with the bundled data: 10,000 test images, 2,000 to calibrate, 18,000 to train."""
    images, labels = images_and_labels("train")
    return Workload(
        name=name,
        model=model,
        evaluation=Examples(*images_and_labels("t10k")),
        metric=accuracy(),
        calibration=Examples(images[:N_CALIBRATION], labels[:N_CALIBRATION]),
        training=Examples(images[N_CALIBRATION:], labels[N_CALIBRATION:]),
        class_names=CLASSES,
        sweep_examples=2_000,
        augment=shifted_and_mirrored,
    )
