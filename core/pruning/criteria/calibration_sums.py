"""Sums over calibration examples while they are made, batch by batch, and what is left of them. In float64."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.pruning.criteria.layer_inputs import input_channels

Sum = Literal["gradients", "squares", "columns", "norms", "hessians", "non_zeros", "means", "moments"]
MAX_EXAMPLES = 500
# held for a weight while its sums are made; of Hessians also what is made of them
BYTES: Mapping[Sum, Callable[[Tensor], int]] = {
    "gradients": lambda weight: 24 * weight.numel(),
    "squares": lambda weight: 8 * weight.numel(),
    "columns": lambda weight: 8 * MAX_EXAMPLES * weight.shape[1],
    "norms": lambda weight: 8 * weight[0].numel(),
    "hessians": lambda weight: 16 * weight[0].numel() ** 2,
    "non_zeros": lambda weight: 8 * len(weight),
    "means": lambda weight: 8 * (1 + weight[0].numel() + weight.numel()),
    "moments": lambda weight: 24 * (1 + weight[0].numel()) ** 2 + 8 * weight.numel(),
}


@dataclass(frozen=True)
class GradientSums:
    """Of one parameter w, with g the gradient of the mean loss of a batch.

    Attributes:
        squares: (g w)², averaged over batches, each weighing as much as it has examples; shape of w.
        total: g, averaged likewise: the gradient of the mean loss of all examples.
        by_dim: of each dimension the squares of what g w adds up to along all others, averaged likewise.
    """

    squares: Tensor
    total: Tensor
    by_dim: tuple[Tensor, ...]


class _Gradients:
    def __init__(self, weight: Tensor) -> None:
        self._weight = weight.double()
        self._squares, self._total = torch.zeros_like(self._weight), torch.zeros_like(self._weight)
        self._by_dim = [torch.zeros(n, dtype=torch.float64) for n in weight.shape]
        self._reached = False

    def add(self, gradient: Tensor, n: int) -> None:
        gradient = gradient.double()
        product = gradient * self._weight
        self._squares += n * product.square()
        self._total += n * gradient
        for dim, sums in enumerate(self._by_dim):
            sums += n * product.movedim(dim, 0).flatten(1).sum(1).square()
        self._reached = True

    def result(self, n: int, name: str) -> Any:
        if not self._reached:
            return _unreached(name)
        found = GradientSums(self._squares / n, self._total / n, tuple(sums / n for sums in self._by_dim))
        return found if found.squares.isfinite().all() else _not_finite(name)


class _Squares:
    def __init__(self, weight: Tensor) -> None:
        self._sum, self._reached = torch.zeros(weight.shape, dtype=torch.float64), False

    def add(self, gradient: Tensor, n: int) -> None:
        self._sum += n * gradient.double().square()
        self._reached = True

    def result(self, n: int, name: str) -> Any:
        if not self._reached:
            return _unreached(name)
        return self._sum / n if self._sum.isfinite().all() else _not_finite(name)


class _Columns:
    def __init__(self, weight: Tensor) -> None:
        self._weight = weight.double()
        self._rows: list[Tensor] = []

    def add(self, gradient: Tensor, n: int) -> None:
        self._rows.append((gradient.double() * self._weight).sum(0))

    def result(self, n: int, name: str) -> Any:
        if not self._rows:
            return _unreached(name)
        found = torch.stack(self._rows)
        return found if found.isfinite().all() else _not_finite(name)


# each adds the gradient of the mean loss of n examples, and results in an average over examples, n in all
OF_GRADIENTS: Mapping[Sum, Callable[[Tensor], Any]] = {
    "gradients": _Gradients,
    "squares": _Squares,
    "columns": _Columns,
}


class InputSum:
    """What a weight is multiplied with, summed up.

    Args:
        kind: of sum.
        weight: of `"means"` and `"moments"` the weight, (rows, columns) with outputs first: an input counts the less
            the larger its output is. In many transformers some tokens give outputs a hundred times as large as all
            others (Sun et al. 2024, arXiv:2402.17762): squared errors would be of those alone, and a norm behind makes
            them small again.
    """

    def __init__(self, kind: Sum, weight: Tensor | None = None) -> None:
        self._kind, self._sum, self._n = kind, None, 0
        self._weight = None if weight is None else weight.detach().double()

    _sum: Tensor | None
    counted: Tensor | None = None  # bool (n,): which inputs of the batch that runs are no padding; `None`: all

    def add(self, inputs: Tensor) -> None:
        """Inputs (blocks, n, columns); of those that are padding, `counted` says so."""
        if self.counted is not None and self.counted.numel() == inputs.shape[1]:
            inputs = inputs[:, self.counted]
        if not inputs.shape[1]:  # an expert that no token of this batch was sent to
            return
        if self._kind == "norms":
            found = inputs.double().square().sum(1)
        elif self._kind == "means":
            found = (F.pad(inputs.double(), (0, 1), value=1.0) * self._weights(inputs.double())).sum(1)
        elif self._kind == "moments":
            weights = self._weights(inputs.double())
            inputs = F.pad(inputs.double(), (0, 1), value=1.0)
            found = (inputs * weights).transpose(1, 2) @ inputs
        else:
            inputs = inputs.double()
            found = inputs.transpose(1, 2) @ inputs
        self._sum = found if self._sum is None else self._sum + found

    def _weights(self, inputs: Tensor) -> Tensor:
        """Of each input, (blocks, n, 1), in (0, 1]: a half where its output is as large as the median one.

        Outputs of zero, as of the black rim of a picture, say nothing of what is usual.
        """
        assert self._weight is not None
        rows = self._weight.view(len(inputs), -1, self._weight.shape[1])
        squares = (inputs @ rows.transpose(1, 2)).square().sum(2, keepdim=True)
        usual = torch.where(squares > 0, squares, torch.nan).nanmedian(1, keepdim=True).values
        return torch.where(usual.isfinite(), usual / (squares + usual), 1.0)

    def count(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Pre-hook that counts what is not zero."""
        channels = input_channels(module, [*args, *kwargs.values()][0])
        if channels is not None:
            found = (channels != 0).double().sum(0)
            self._sum = found if self._sum is None else self._sum + found
            self._n += len(channels)

    def result(self, name: str) -> Any:
        """The sum, or a sentence that says why there is none."""
        if self._sum is None:
            return (
                f"{name} was not multiplied with anything by a layer of its own while the model ran (does the model "
                "hand it to a function?), so nobody saw its inputs"
            )
        if not self._sum.isfinite().all():
            return f"the inputs of {name} are NaN or infinite on the calibration data"
        return self._sum / self._n if self._kind == "non_zeros" else self._sum


def _unreached(name: str) -> str:
    return f"the loss does not depend on {name}, so there is no gradient"


def _not_finite(name: str) -> str:
    return f"gradients of {name} are NaN or infinite on the calibration data"
