"""Skipping blocks: what goes into one comes out of it unchanged. The question is how deep a network has to be."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import SecateurError


class CannotSkip(Exception):  # noqa: N818 - not an error of anybody: some blocks change the shape
    """Why a block cannot be skipped."""


@contextmanager
def skipping(model: nn.Module, blocks: Iterable[str]) -> Iterator[None]:
    """The model passes the inputs of these modules on in place of their outputs, inside the block.

    The modules still run: what they do beside their output (buffers, say) is done. Source: layer drop at test time as
    in Veit et al. 2016, arXiv:1605.06431.

    Raises:
        CannotSkip: from the forward pass, when an output has another shape or type than the input.
    """
    with ExitStack() as stack:
        for name in blocks:
            handle = model.get_submodule(name).register_forward_hook(_pass_on(name), with_kwargs=True)
            stack.callback(handle.remove)
        yield


def outputs_in_tuples(model: nn.Module, blocks: Iterable[str], inputs: Sequence[Tensor]) -> dict[str, bool]:
    """For every block, whether it gives its output in a tuple.

    Args:
        model: a copy of it runs.
        blocks: paths of modules.
        inputs: of a small batch.

    Raises:
        SecateurError: one cannot be skipped, because it does not give what it takes, or does not run at all.
    """
    twin, found = copy.deepcopy(model).eval(), dict[str, bool]()
    for name in blocks:

        def note(_module: nn.Module, _args: Any, output: Any, name: str = name) -> None:
            found[name] = isinstance(output, tuple)
            if isinstance(output, tuple) and len(output) > 1:
                raise CannotSkip(f"{name} gives {len(output)} values, and what stands in for it can only give one")

        twin.get_submodule(name).register_forward_hook(note)
    try:
        with torch.inference_mode(), skipping(twin, blocks):
            twin(*inputs)
    except CannotSkip as error:
        raise SecateurError(f"{error}; leave it out of the plan") from None
    missing = [name for name in blocks if name not in found]
    if missing:
        raise SecateurError(f"{missing[0]} is never called in a forward pass, so it cannot be skipped; leave it out")
    return found


def _pass_on(name: str) -> Any:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        came = next((value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)), None)
        first = output[0] if isinstance(output, tuple) and output else output
        if came is None or not isinstance(first, Tensor) or (came.shape, came.dtype) != (first.shape, first.dtype):
            shapes = [tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__ for x in (came, first)]
            raise CannotSkip(f"{name} cannot be skipped: it makes {shapes[1]} of {shapes[0]}")
        return (came, *output[1:]) if isinstance(output, tuple) else came

    return hook
