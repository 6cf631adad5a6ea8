"""Parts of a model alone, each called with what the model calls it with: a cut inside one is tried there, not in all.

A model of hundreds of blocks in each of which a cut fails would be passed hundreds of times, and a pass costs as many
blocks again.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree


class _Given:
    """What a part was called with; copies of the part are called with the same."""

    def __init__(self, given: Any) -> None:
        leaves, self._spec = pytree.tree_flatten(given)
        self._places = tuple(i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor))
        self.tensors = tuple(leaves[i] for i in self._places)
        self._leaves = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Given":
        return self

    def with_tensors(self, tensors: Sequence[Tensor]) -> Any:
        """Arguments by position and by name, with other tensors."""
        leaves = list(self._leaves)
        for i, tensor in zip(self._places, tensors, strict=True):
            leaves[i] = tensor
        return pytree.tree_unflatten(leaves, self._spec)


class Alone(nn.Module):
    """A part of a model under its own path, so that names of tensors and targets stay what they are.

    Args:
        path: of the part.
        part: itself, not a copy.
        given: arguments that the model gave it, tensors and others, by position and by name.
    """

    def __init__(self, path: str, part: nn.Module, given: Any) -> None:
        super().__init__()
        self._path, self._given = path, _Given(given)
        *above, name = path.split(".")
        holder: nn.Module = self
        for one in above:
            holder.add_module(one, nn.Module())
            holder = holder.get_submodule(one)
        holder.add_module(name, part)
        self.train(part.training)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Tensors that the model gave it."""
        return self._given.tensors

    def forward(self, *inputs: Tensor) -> Any:
        """What the part gives, for tensors in the order of `inputs`."""
        args, kwargs = self._given.with_tensors(inputs)
        return self.get_submodule(self._path)(*args, **kwargs)


def alone(model: nn.Module, inputs: Sequence[Tensor], touched: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """Cuts by the smallest part of a model that all of it lies in and that one pass calls once.

    Args:
        model: in evaluation mode; passed once.
        inputs: of a small batch.
        touched: by the name of a cut the paths of the modules that it touches.

    Returns:
        Names of cuts by the path of the part; those that lie in no part but the whole model are not there.
    """
    calls: Counter[str] = Counter()
    handles = [
        module.register_forward_pre_hook(lambda *_, path=path: calls.update((path,)))
        for path, module in model.named_modules()
        if path
    ]
    try:
        with torch.inference_mode():
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    found: dict[str, list[str]] = {}
    for name, paths in touched.items():
        path = _shared(paths)
        while path and calls[path] != 1:
            path = path.rpartition(".")[0]
        if path:
            found.setdefault(path, []).append(name)
    return found


def parts_alone(model: nn.Module, inputs: Sequence[Tensor], paths: Collection[str]) -> dict[str, Alone]:
    """Parts of a model with what it gives them in one pass, by path; one that is given no tensor is left out."""
    given: dict[str, Any] = {}

    def keep(path: str) -> Any:
        def hook(_: nn.Module, args: Any, kwargs: Any) -> None:  # copies: a part may write into what it is given
            given[path] = pytree.tree_map_only(Tensor, Tensor.clone, (args, kwargs))

        return hook

    handles = [
        model.get_submodule(path).register_forward_pre_hook(keep(path), with_kwargs=True, prepend=True)
        for path in paths
    ]
    try:
        with torch.no_grad():  # not inference mode: of its tensors no copy for gradients could be made later
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    made = {path: Alone(path, model.get_submodule(path), one) for path, one in given.items()}
    return {path: one for path, one in made.items() if one.inputs}


def _shared(paths: Collection[str]) -> str:
    """The path that all of these begin with; empty for the whole model."""
    split = [path.split(".") for path in paths]
    shared: list[str] = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)
