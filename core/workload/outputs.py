"""Outputs of a model, whatever holds them."""

from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree


def tensors_of(outputs: Any) -> list[Tensor]:
    """Every tensor in a model's outputs, in order."""
    found = []
    for leaf in pytree.tree_leaves(outputs):
        # a class that pytree does not know is a leaf, and its tensors are its attributes
        parts = [leaf] if isinstance(leaf, Tensor) else pytree.tree_leaves(getattr(leaf, "__dict__", None))
        found += [part for part in parts if isinstance(part, Tensor)]
    return found
