"""What an engine is, and what all of them share. An engine is believed only where its outputs are those of torch."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from core.pruning.equality import distance

TOLERANCE = 1e-4  # between an engine's outputs and eager ones, in parts of the largest of these

Forward = Callable[[], Any]  # one forward pass on fixed inputs -> outputs
Build = Callable[[int], Forward]  # number of threads -> forward pass


class EngineUnavailable(Exception):  # noqa: N818 - not an error: it is told
    """An engine cannot run this model here; the message says why."""


@dataclass(frozen=True)
class Engine:
    """What can run a model.

    Attributes:
        load: model, inputs of one batch, a folder for its files -> what builds a forward pass for a number of threads.
        renewed: whether a model is copied anew for every turn; engines that translate it, which takes seconds, keep it.
        around: entered before the engine's passes are built and left after the last, whatever they raised.
    """

    load: Callable[[nn.Module, tuple[Tensor, ...], Path], Build]
    renewed: bool = False
    around: Callable[[], AbstractContextManager[None]] = nullcontext


def trusted(forward: Forward, expected: Sequence[Tensor]) -> Forward:
    """The forward pass, after one of which the outputs were compared with those of torch.

    Raises:
        EngineUnavailable: they differ by more than `TOLERANCE`, in number or in shape.
    """
    found = tensors_of(forward())
    if [tuple(tensor.shape) for tensor in found] != [tuple(tensor.shape) for tensor in expected]:
        raise EngineUnavailable("its outputs have other shapes than those of torch")
    apart = distance(list(expected), found)
    if apart is None or not apart <= TOLERANCE:  # a NaN is not either
        raise EngineUnavailable(f"its outputs differ from those of torch by {apart or 0:.2g} of the largest of these")
    return forward


def tensors_of(outputs: Any) -> list[Tensor]:
    """Every tensor or array in a model's outputs, whatever holds them, as double precision on the CPU."""
    leaves = [torch.as_tensor(leaf) for leaf in tree_leaves(outputs) if hasattr(leaf, "shape")]
    return [leaf.detach().cpu().double() for leaf in leaves]


def reason_of(error: BaseException) -> str:
    """One line that says why: the first of the error at the bottom, since exporters wrap theirs several times."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else "no message"
    return text if isinstance(error, EngineUnavailable) else f"{type(error).__name__}: {text[:200]}"


@contextmanager
def quiet() -> Iterator[None]:
    """Warnings and notes of exporters and compilers are not for the user: what counts is whether it works."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch._dynamo", "torch._inductor", "onnxscript")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
