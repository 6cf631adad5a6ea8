"""Random small networks with residuals, concatenations, grouped and depthwise convolutions and attention."""

import random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sample_models.transformer import Block

ACTIVATIONS = (torch.relu, F.gelu, torch.sigmoid, F.elu, torch.tanh, torch.cos)  # of some f(0) is not 0


class RandomConvNet(nn.Module):
    """A convolutional network drawn by a seed: images (n, 3, 6, 6) to logits (n, 4)."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = random.Random(seed)
        self.steps: list[tuple[str, int, object]] = []
        self.layers = nn.ModuleList()
        n = 2 * draw.randint(1, 5)
        self.stem = nn.Conv2d(3, n, 3, padding=1)
        for _ in range(draw.randint(1, 4)):
            kind = draw.choice(("conv", "residual", "concat", "grouped", "depthwise", "gate", "prelu"))
            f = draw.choice(ACTIVATIONS)
            first = len(self.layers)
            if kind == "conv":
                m = 2 * draw.randint(1, 5)
                self.layers.append(nn.Conv2d(n, m, 3, padding=1))
                n = m
            elif kind == "residual":
                inner = 2 * draw.randint(1, 4)
                self.layers.append(nn.Conv2d(n, inner, 3, padding=1))
                self.layers.append(nn.BatchNorm2d(inner))
                self.layers.append(nn.Conv2d(inner, n, 1, bias=False))
            elif kind == "concat":
                a, b = 2 * draw.randint(1, 3), 2 * draw.randint(1, 3)
                self.layers.append(nn.Conv2d(n, a, 1))
                self.layers.append(nn.Conv2d(n, b, 3, padding=1))
                self.layers.append(nn.BatchNorm2d(a + b))
                n = a + b
            elif kind == "grouped":
                groups = draw.choice([g for g in (1, 2, 3, 4) if n % g == 0])
                m = groups * draw.randint(1, 3)
                self.layers.append(nn.Conv2d(n, m, 3, padding=1, groups=groups))
                n = m
            elif kind == "depthwise":
                self.layers.append(nn.Conv2d(n, n, 3, padding=1, groups=n))
                self.layers.append(nn.Conv2d(n, n + 2, 1))
                n += 2
            elif kind == "gate":
                m = 2 * draw.randint(1, 4)
                self.layers.append(nn.Conv2d(n, m, 1))
                self.layers.append(nn.Conv2d(n, m, 1))
                n = m
            else:
                self.layers.append(nn.PReLU(n))
            self.steps.append((kind, first, f))
        self.norm = nn.BatchNorm2d(n)
        self.is_flat = draw.random() < 0.5
        self.fc = nn.Linear(n * 36 if self.is_flat else n, 5)
        self.out = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for kind, i, f in self.steps:
            layer = self.layers
            if kind == "residual":
                x = f(x + layer[i + 2](f(layer[i + 1](layer[i](x)))))
            elif kind == "concat":
                x = f(layer[i + 2](torch.cat([layer[i](x), layer[i + 1](x)], 1)))
            elif kind == "depthwise":
                x = f(layer[i + 1](f(layer[i](x))))
            elif kind == "gate":
                x = f(layer[i](x)) * layer[i + 1](x)
            else:
                x = f(layer[i](x))
        x = f_mean(self.norm(x), self.is_flat)
        return self.out(torch.sigmoid(self.fc(x)))


def f_mean(x: Tensor, is_flat: bool) -> Tensor:
    """All pixels side by side, or their mean."""
    return x.flatten(1) if is_flat else x.mean((2, 3))


class RandomTransformer(nn.Module):
    """Blocks of attention and a perceptron drawn by a seed: sequences (n, 5, 6) to logits (n, 4)."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = random.Random(seed)
        heads, head_dim = draw.randint(1, 4), draw.randint(1, 4)
        dim = heads * head_dim
        self.embed = nn.Linear(6, dim)
        causal = draw.random() < 0.5
        self.blocks = nn.Sequential(
            *(Block(dim, heads, draw.randint(2, 12), causal) for _ in range(draw.randint(1, 3)))
        )
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.norm(self.blocks(self.embed(x))).mean(1))


def random_network(seed: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A network with statistics that are not those of a fresh one, and a batch for it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        is_conv = seed % 3 != 0
        model: nn.Module = RandomConvNet(seed) if is_conv else RandomTransformer(seed)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias)
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 1.5)
        inputs = torch.randn(4, 3, 6, 6) if is_conv else torch.randn(4, 5, 6)
    return model.eval(), (inputs,)
