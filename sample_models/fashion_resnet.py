"""fashion-resnet: a residual CNN of 21 convolutions for 28x28 images.

He et al. 2015, arXiv:1512.03385 (the CIFAR shape: three stages of basic blocks, strided 1x1 shortcuts).
The stem strides at once, so that a whole sensitivity map takes minutes, not hours, on two cores.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from core import Workload
from sample_models.fashion_mnist import fashion_workload
from sample_models.weights import with_weights


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a strided 1x1 convolution where the shape changes."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class FashionResNet(nn.Module):
    """Images (n, 1, 28, 28) -> class logits (n, 10)."""

    def __init__(self, width: int = 16, blocks_per_stage: int = 3, n_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        n_in = width
        for stage, n_out in enumerate((width, 2 * width, 4 * width), start=1):
            first_stride = 1 if stage == 1 else 2
            blocks = [
                BasicBlock(n_in if i == 0 else n_out, n_out, first_stride if i == 0 else 1)
                for i in range(blocks_per_stage)
            ]
            self.add_module(f"stage{stage}", nn.Sequential(*blocks))
            n_in = n_out
        self.fc = nn.Linear(n_in, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn(self.stem(x)))
        for stage in ("stage1", "stage2", "stage3"):
            x = self.get_submodule(stage)(x)
        return self.fc(x.mean(dim=(2, 3)))


def workload() -> Workload:
    """The trained fashion-resnet with Fashion-MNIST."""
    return fashion_workload("fashion-resnet", with_weights(FashionResNet(), "fashion-resnet"))
