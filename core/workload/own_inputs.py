"""A model that writes into what it is called with gets copies: what it is judged on must stay what it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree


@contextmanager
def given_copies(model: nn.Module) -> Iterator[None]:
    """Call a model, and copies that are made of it meanwhile, with copies of the tensors that it is given.

    A normalisation in place, or `x.mul_(2)`, would otherwise be done once more with every pass over the same examples.
    """
    handle = model.register_forward_pre_hook(_copied, with_kwargs=True, prepend=True)
    try:
        yield
    finally:
        handle.remove()


def _copied(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    found: tuple[tuple[Any, ...], dict[str, Any]] = pytree.tree_map_only(Tensor, Tensor.clone, (args, kwargs))
    return found
