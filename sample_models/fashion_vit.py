"""fashion-vit: a vision transformer of 4 layers x 4 heads on 4x4 patches.

Dosovitskiy et al. 2020, arXiv:2010.11929; mean pooling instead of a class token.
"""

import torch
from torch import Tensor, nn

from core import Workload
from sample_models.fashion_mnist import fashion_workload
from sample_models.transformer import Block
from sample_models.weights import with_weights


class FashionViT(nn.Module):
    """Images (n, 1, 28, 28) -> class logits (n, 10)."""

    def __init__(
        self, dim: int = 64, depth: int = 4, num_heads: int = 4, hidden: int = 128, n_classes: int = 10
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, dim, kernel_size=4, stride=4)
        self.positions = nn.Parameter(torch.empty(1, 49, dim))
        self.reset_parameters()
        self.blocks = nn.Sequential(*(Block(dim, num_heads, hidden, causal=False) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.classifier = nn.Linear(dim, n_classes)

    def reset_parameters(self) -> None:
        """Draw the positions, the only weights of no layer's own, as before training."""
        nn.init.normal_(self.positions, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        return self.classifier(self.norm(self.blocks(x)).mean(dim=1))


def workload() -> Workload:
    """The trained fashion-vit with Fashion-MNIST."""
    return fashion_workload("fashion-vit", with_weights(FashionViT(), "fashion-vit"))
