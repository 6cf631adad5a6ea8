"""What an engine is, and what all of them share. An engine is believed only where its outputs are those of torch."""

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from core.pruning.equality import Terms, distance
from core.sensitivity.forwards.exported import is_of_packing
from core.workload.discovery import quantized_layers
from core.workload.outputs import tensors_of as held_tensors

TOLERANCE = 1e-4  # between an engine's outputs and eager ones, as `core.pruning.equality.Difference`

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
        base: what runs the model that others are compared with, where it is another; `None`: the engine itself.
        around: entered before the engine's passes are built and left after the last, whatever they raised.
    """

    load: Callable[[nn.Module, tuple[Tensor, ...], Path], Build]
    renewed: bool = False
    base: "Engine | None" = None
    around: Callable[[], AbstractContextManager[None]] = nullcontext


def trusted(forward: Forward, expected: Sequence[Tensor], terms: Terms = None) -> Forward:
    """The forward pass, after one of which the outputs were compared with those of torch.

    Args:
        forward: of the engine.
        expected: outputs of torch, as `tensors_of` gives them.
        terms: how large the numbers are that are added up in each, as `core.pruning.equality.terms_of`.

    Raises:
        EngineUnavailable: they differ by more than `TOLERANCE`, in number or in shape.
    """
    found = tensors_of(forward())
    if [tuple(tensor.shape) for tensor in found] != [tuple(tensor.shape) for tensor in expected]:
        raise EngineUnavailable("its outputs have other shapes than those of torch")
    apart = distance(list(expected), found, terms)
    if apart is None or not apart <= TOLERANCE:  # a NaN is not either
        raise EngineUnavailable(f"its outputs differ from those of torch by {apart or 0:.2g} (relative)")
    return forward


def tensors_of(outputs: Any) -> list[Tensor]:
    """Every tensor or array in a model's outputs, whatever holds them, on the CPU; all but whole numbers as doubles."""
    leaves: list[Tensor] = []
    for leaf in tree_leaves(outputs):
        leaves += [torch.as_tensor(leaf)] if hasattr(leaf, "shape") else held_tensors(leaf)
    return [leaf.detach().cpu().to(torch.promote_types(leaf.dtype, torch.float64)) if leaf.is_floating_point() or
            leaf.is_complex() else leaf.detach().cpu() for leaf in leaves]  # fmt: skip


_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CALL = re.compile(r'The following call raised this error:\s+File "([^"]+)", line (\d+), in (\w+)\s+(.*)')
_REPORT = ("Failed to", "This is step", "Next steps")  # begin the lines that say how to file a report, not why


def reason_of(error: BaseException) -> str:
    """One line that says why: the first of the error at the bottom, since exporters wrap theirs several times.

    Where torch tells which line of the model's code it stopped at, that is told too.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    report = _COLOURS.sub("", str(error))
    lines = [line.strip() for line in report.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(_REPORT)] or lines
    text = said[0] if said else "no message"
    call = _CALL.search(report)
    where = f" (at {Path(call[1]).name}:{call[2]}: {call[4].strip()[:80]})" if call else ""
    return text if isinstance(error, EngineUnavailable) else f"{type(error).__name__}: {text[:200]}{where}"


def export_reason(model: nn.Module, error: BaseException) -> str:
    """Why an exporter cannot write a model, and what helps: one line, of `torch.export` and of ONNX."""
    packed = quantized_layers(model)
    if packed:
        path, kind = packed[0]
        return (
            f"{path} ({kind}) is quantized already, and its packed weights are no tensors that could be written; "
            "export the float model, and quantize it with --format onnx-int8 or `secateur quantize`"
        )
    reason = reason_of(error)
    if "data-dependent" in reason or "data dependent" in reason:
        where = re.search(r" \(at .+?:\d+: .*\)$", reason)
        place = where[0] if where else ""
        return f"its code chooses by values{place}: write the choice with torch.where, or leave it outside the model"
    if is_of_packing(error):
        return (
            "it packs sequences by lengths that are read from values, which torch.export does not follow; leave the "
            "packing out, or outside the model, and pick the last step of each sequence by its length"
        )
    return reason


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
