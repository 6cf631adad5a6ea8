"""What an architecture of the contract is made of: a tiny model, what it is judged on, and how its heads go by hand."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

N = 12  # examples of each; an interval needs two, several batches more
CLASSES = 4
ZeroHead = Callable[[nn.Module, str, int], AbstractContextManager[None]]


@dataclass(frozen=True)
class Case:
    """One architecture, ready to be measured.

    Attributes:
        model: in evaluation mode, of random weights.
        inputs: each (N, ...).
        judge: a name in `tests.contract.by_hand.JUDGES`.
        labels: (N, ...), or `None` where the dense model's outputs are compared with.
        zero_head: `(model, path of the attention, head)` → a context in which that head's output is zero before the
            heads are joined, written for this architecture and without anything of Secateur's; `None` where there are
            no heads.
        n_heads: query heads that the whole model has.
        pick: from a model's outputs the tensor that is judged.
    """

    model: nn.Module
    inputs: tuple[Tensor, ...]
    judge: str
    labels: Tensor | None = None
    zero_head: ZeroHead | None = None
    n_heads: int = 0
    pick: Callable[[Any], Tensor] = lambda outputs: outputs


class Made(nn.Module):
    """Parts and a function that joins them: `run(self, x)`."""

    def __init__(self, run: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.run = run

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


class Made2(Made):
    """As `Made`, of two inputs."""

    def forward(self, x: Tensor, y: Tensor) -> Any:
        return self.run(self, x, y)


def stirred(model: nn.Module) -> nn.Module:
    """The model in evaluation mode without anything that a fresh one has by chance: no zero bias, no unit scale."""
    for module in model.modules():
        own = dict(module.named_parameters(recurse=False))
        is_norm = "Norm" in type(module).__name__
        for name, parameter in own.items():
            if not parameter.is_floating_point():
                continue
            with torch.no_grad():
                if "bias" in name:
                    parameter.normal_(0, 0.3)
                elif is_norm and name == "weight":
                    parameter.uniform_(0.5, 1.5)
        for name, buffer in module.named_buffers(recurse=False):
            if name == "running_mean":
                buffer.normal_(0, 0.3)
            elif name == "running_var":
                buffer.uniform_(0.5, 1.5)
    return model.eval()


def images(channels: int = 3, size: int = 8) -> Tensor:
    return torch.randn(N, channels, size, size)


def tokens(length: int = 6, symbols: int = 40) -> Tensor:
    return torch.randint(symbols, (N, length))


def classes(n: int = CLASSES) -> Tensor:
    return torch.arange(N) % n


def of_images(model: nn.Module, channels: int = 3, size: int = 8) -> Case:
    """A classifier of images under cross-entropy."""
    return Case(model, (images(channels, size),), "cross entropy", classes())


def of_features(model: nn.Module, width: int = 6) -> Case:
    """A classifier of vectors under cross-entropy."""
    return Case(model, (torch.randn(N, width),), "cross entropy", classes())


def of_sequences(model: nn.Module, width: int = 16, length: int = 6, **more: Any) -> Case:
    """A classifier of sequences of vectors under cross-entropy."""
    return Case(model, (torch.randn(N, length, width),), "cross entropy", classes(), **more)


def of_tokens(model: nn.Module, **more: Any) -> Case:
    """A classifier of token sequences under cross-entropy."""
    return Case(model, (tokens(),), "cross entropy", classes(), **more)


def of_language(model: nn.Module, symbols: int = 40, **more: Any) -> Case:
    """A language model under perplexity; a few labels do not count."""
    ids = tokens(symbols=symbols)
    labels = ids.roll(-1, 1)
    labels[:, -1] = -100
    return Case(model, (ids,), "perplexity", labels, **more)
