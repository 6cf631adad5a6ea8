"""Tiny models that one can hold in the head, and workloads made of them; `conftest.py` hands the workloads out."""

import torch
from torch import Tensor, nn

from core import Examples, Workload, accuracy, cross_entropy, perplexity


class TwoLayers(nn.Module):
    """fc1, ReLU, fc2, without biases; the weights are chosen so that every cut can be followed by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(2, 2, bias=False)
        self.fc2 = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.fc1.weight.copy_(torch.tensor([[3.0, 0.1], [-0.2, 2.0]]))
            self.fc2.weight.copy_(torch.tensor([[5.0, -0.5], [0.4, 4.0]]))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(torch.relu(self.fc1(x)))


class ConvNet(nn.Module):
    """Two convolutions with batch normalisation, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3, stride=2)
        self.bn2 = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return self.fc(x.mean((2, 3)))


class Attentive(nn.Module):
    """nn.MultiheadAttention of 2 heads with a residual, then a classifier of the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(8, 2, batch_first=True)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc((x + self.attn(x, x, x, need_weights=False)[0]).mean(1))


class Encoder(nn.Module):
    """Two nn.TransformerEncoderLayer of 2 heads, then a classifier of the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(2))
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.fc(x.mean(1))


class TiedLM(nn.Module):
    """A language model whose output layer is its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, 6)
        self.mix = nn.Linear(6, 6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, codes: Tensor) -> Tensor:
        return self.head(torch.tanh(self.mix(self.tokens(codes))))


def seeded(make: type[nn.Module], seed: int = 0) -> nn.Module:
    """A model of random weights, and of batch statistics that are not those of a fresh layer."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make()
        for name, buffer in model.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
            elif name.endswith("running_mean"):
                buffer.uniform_(-0.5, 0.5)  # of either sign, or every ReLU behind it is dead and no cut has an effect
        return model.eval()


def random_examples(shape: tuple[int, ...], n_classes: int, n: int, seed: int = 1) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    return Examples(torch.randn(n, *shape, generator=generator), torch.randint(n_classes, (n,), generator=generator))


def hand() -> Workload:
    """`TwoLayers` on four points: dense accuracy 1; 75 % off either layer loses the two points of class 1."""
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 3.0]])
    return Workload("hand", TwoLayers(), Examples(points, torch.tensor([0, 1, 0, 1])), accuracy(), batch_size=2)


def conv() -> Workload:
    """`ConvNet` on 24 random images, 10 a batch."""
    return Workload("conv", seeded(ConvNet), random_examples((1, 8, 8), 3, 24), cross_entropy(), batch_size=10)


def attentive() -> Workload:
    """`Attentive` on 20 random sequences."""
    return Workload("attentive", seeded(Attentive), random_examples((5, 8), 3, 20), cross_entropy(), batch_size=8)


def encoder() -> Workload:
    """`Encoder` on 20 random sequences."""
    return Workload("encoder", seeded(Encoder), random_examples((5, 8), 3, 20), cross_entropy(), batch_size=8)


def tied_lm() -> Workload:
    """`TiedLM` on 12 random texts, some of whose labels do not count."""
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(11, (12, 7), generator=generator)
    labels = codes.roll(-1, 1)
    labels[:, -1] = -100
    labels[0, 2:] = -100
    return Workload("tied-lm", seeded(TiedLM), Examples(codes, labels), perplexity(), batch_size=5)
