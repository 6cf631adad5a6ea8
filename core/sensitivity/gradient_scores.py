"""Gradient scores: what removing weights or heads should cost, summed up batch by batch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from core.plans.patterns import looked_up_as
from core.plans.plan import HEADS, Cut
from core.pruning.masks import MaskMaker

Gradients = Mapping[int, Tensor | None]  # by id of the tensor; `None` where the loss does not depend on it


class WeightScores:
    """The cuts of one target by one criterion in one granularity, sparsity ascending: of a weight, or of all that
    reads the channels of a coupled group, whose products of gradient and weight add up before they are squared
    (Molchanov et al. 2019, arXiv:1906.10771).

    Where a model was trained to the end, the gradients of examples average to about 0, so the square of a batch's sum
    is on average the sum of the examples' squares, whatever the size of the batch.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], cuts: Sequence[Cut], maker: MaskMaker) -> None:
        self.parameters = tuple(parameters.values())
        self.inputs: list[Tensor] = []
        self._cuts = sorted(cuts, key=lambda cut: cut.sparsity or 0.0)
        # Masks of one ranking lie inside each other, so how many of the cuts keep an entry is also the position of
        # the first cut that removes it: one pass over an entry serves all sparsities, in two bytes per weight.
        self._kept_by = [torch.zeros(p.numel(), dtype=torch.int16, device=p.device) for p in self.parameters]
        for cut in self._cuts:
            masks = maker.masks_of(cut, reading=True)
            for name, kept_by in zip(parameters, self._kept_by, strict=True):
                kept_by += masks[name].flatten()
        self._squares: Tensor | None = None

    def add(self, gradients: Gradients, n: int) -> None:
        """Take in a batch of n examples, whose losses were summed."""
        removed = None
        for parameter, kept_by in zip(self.parameters, self._kept_by, strict=True):
            gradient = gradients[id(parameter)]
            if gradient is not None:
                products = (gradient.double() * parameter.detach().double()).flatten()
                here = torch.bincount(kept_by, products, len(self._cuts) + 1).cumsum(0)[:-1]
                removed = here if removed is None else removed + here
        if removed is None:
            return
        self._squares = removed**2 if self._squares is None else self._squares + removed**2

    def estimates(self, n: int) -> dict[Cut, float]:
        """Of n examples in all; empty if no gradient ever reached the weight."""
        if self._squares is None:
            return {}
        # running maximum: what is added to a cut may cancel it in the sum, but hardly ever undoes its harm
        values = (0.5 / n * self._squares).cummax(0).values
        return dict(zip(self._cuts, values.tolist(), strict=True))


class HeadScores:
    """The heads of one attention layer that are cut.

    `inputs` is what its output projection was called with in this batch; empty if it was not called as a module.
    """

    def __init__(self, projection: nn.Module, cuts: dict[int, Cut], head_dim: int) -> None:
        self.projection, self.parameters = projection, (projection.get_parameter("weight"),)
        self.inputs: list[Tensor] = []
        self._cuts, self._head_dim = cuts, head_dim
        self._sum: Tensor | None = None

    def watch(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Pre-hook of the projection."""
        if args and args[0].requires_grad:
            self.inputs.append(args[0])

    def add(self, gradients: Gradients, n: int) -> None:
        """Take in a batch of n examples, whose losses were summed."""
        seen = [(x.detach(), g) for x in self.inputs if (g := gradients[id(x)]) is not None]
        weight = gradients[id(self.parameters[0])]
        if seen and all(len(x) == n for x, _ in seen):
            # summed over calls (a layer that is used twice) before the absolute value: it is removed from both
            per_example = sum(self._per_head((x.double() * g.double()).reshape(n, -1, x.shape[-1])) for x, g in seen)
            assert isinstance(per_example, Tensor)
            found = per_example.abs().sum(0)
        elif weight is not None:
            # nn.MultiheadAttention hands the weight of its projection to a function, and others flatten the examples.
            # Σ A·∂L/∂A over a batch is Σ W·∂L/∂W over the head's columns of the projection; √n makes of the
            # absolute sum of n terms around 0 the size of a sum of n absolute terms.
            products = weight.double() * self.parameters[0].detach().double()
            columns = products if isinstance(self.projection, nn.Linear) else products.T
            found = self._per_head(columns[None])[0].abs() * n**0.5
        else:
            return
        self._sum = found if self._sum is None else self._sum + found

    def _per_head(self, products: Tensor) -> Tensor:
        """(n, m, heads * head_dim) -> (n, heads), summed."""
        return products.sum(1).unflatten(-1, (-1, self._head_dim)).sum(-1)

    def estimates(self, n: int) -> dict[Cut, float]:
        """Of n examples in all; empty if no gradient ever reached the heads."""
        if self._sum is None:
            return {}
        return {cut: float(self._sum[head]) / n for head, cut in self._cuts.items()}


def weight_scores(model: nn.Module, maker: MaskMaker, cuts: Iterable[Cut]) -> Iterator[WeightScores]:
    """One for each target, criterion and granularity among the cuts of which a fraction goes."""
    groups: dict[tuple[str, str | None], list[Cut]] = {}
    for cut in cuts:
        if looked_up_as(cut.granularity) in ("weight", "channel"):
            groups.setdefault((cut.curve, cut.criterion), []).append(cut)
    for group in groups.values():
        names = sorted(maker.masks_of(group[0], reading=True))
        yield WeightScores({name: model.get_parameter(name) for name in names}, group, maker)


def head_scores(model: nn.Module, maker: MaskMaker, cuts: Iterable[Cut]) -> Iterator[HeadScores]:
    """One for each attention layer among the cuts; of key/value groups another, in which each counts as a wide head."""
    layers: dict[tuple[str, int], dict[int, Cut]] = {}
    for cut in cuts:
        if cut.granularity in HEADS:
            target = maker.target_of(cut)
            assert target.head is not None
            path = target.parameter.removesuffix(".weight")
            layers.setdefault((path, target.n_weights // target.n_outputs), {})[target.head] = cut
    for (path, head_dim), heads in layers.items():
        projection = model.get_submodule(path)
        yield HeadScores(projection, heads, head_dim)
