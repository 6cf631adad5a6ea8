"""What is written and compared: a model in memory with inputs to try it on."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

import torch
from torch import Tensor, nn

from core.errors import SecateurError
from core.pruning.equality import Terms, terms_of
from core.sensitivity.measuring.measurement import Measurement
from core.workload.outputs import tensors_of

Batch = tuple[Tensor, ...]
NOWHERE: Mapping[str, str] = MappingProxyType({})
FEWEST = 4  # size of a dimension that may be a length; below it is one of channels, or of classes
FEW = 3  # examples of the second batch: none that was traced with, and no power of two


class CannotHoldError(SecateurError):
    """A format that cannot hold a model, with the reason."""


def _never() -> None:
    pass


@dataclass(frozen=True)
class Subject:
    """A pruned model on the CPU, and batches of at least two sizes.

    Attributes:
        model: in evaluation mode; writers must leave it as it is.
        batches: inputs to compare outputs on.
        opset: of ONNX, `None` for what the exporter thinks best.
        check: called now and then while a fresh process is at work; raises to stop it.
        free: of each input the dimensions besides the first that a file shall take in other sizes; `()`: none.
        dense: what the model was made from, for what a file says of the difference; `None` if it is not known.
        pythons: of engines the interpreters that have them; of others it is the one that runs us.
    """

    model: nn.Module
    batches: tuple[Batch, ...]
    opset: int | None = None
    check: Callable[[], None] = field(default=_never, compare=False)
    free: tuple[tuple[int, ...], ...] = ()
    dense: nn.Module | None = field(default=None, compare=False)
    pythons: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def example(self) -> Batch:
        """Inputs of two examples to trace with: of one, exporters would fix the size of a batch."""
        return tuple(tensor[:2].clone() for tensor in self.batches[0])

    @property
    def dynamic(self) -> tuple[tuple[int, ...], ...]:
        """Of each input every dimension that is free: the batch, and what `free` says."""
        free = self.free or ((),) * len(self.batches[0])
        return tuple((0, *dims) for dims in free)

    def freed(self) -> "Subject | None":
        """The subject with every dimension free that the model in memory takes in another size; `None` if none is.

        Dimensions of one size are changed together, in all inputs: height and width of square images, ids and mask of a
        text. What was tried is one batch more to compare outputs on.
        """
        first = self.batches[-1]
        sizes = sorted({size for tensor in first for size in tensor.shape[1:] if size >= FEWEST})
        found: set[int] = set()
        shorter = first
        with torch.inference_mode():
            for size in sizes:
                tried = tuple(_narrowed(tensor, size) for tensor in shorter)
                try:
                    given = tensors_of(self.model(*tried))
                except Exception:
                    continue
                if given and all(bool(out.isfinite().all()) for out in given if out.is_floating_point()):
                    found.add(size)
                    shorter = tried
        if not found:
            return None
        free = tuple(tuple(d for d, size in enumerate(x.shape) if d and size in found) for x in first)
        return replace(self, free=free, batches=(*self.batches, shorter))

    @cached_property
    def terms(self) -> Terms:
        """Of each output how large the numbers are that are added up, as `core.pruning.equality.terms_of`."""
        return terms_of(self.model, self.batches[0])

    def outputs(self) -> list[list[Tensor]]:
        """Every tensor that the model in memory gives for each batch."""
        with torch.inference_mode():
            return [[tensor.clone() for tensor in tensors_of(self.model(*batch))] for batch in self.batches]


def _narrowed(tensor: Tensor, size: int) -> Tensor:
    """Every dimension of that size but the first cut to about two thirds."""
    for dim in range(1, tensor.dim()):
        if tensor.shape[dim] == size:
            tensor = tensor.narrow(dim, 0, max(2, 2 * size // 3))
    return tensor.contiguous()


def subject_of(
    measurement: Measurement, model: nn.Module, opset: int | None = None, pythons: Mapping[str, str] = NOWHERE
) -> Subject:
    """A model and the first examples of a measurement; brought to the CPU if they are elsewhere.

    Args:
        measurement: entered.
        model: masked or shrunk, in evaluation mode; a copy of it is taken unless it is on the CPU.
        opset, pythons: as in `Subject`.
    """
    tensors = (*model.parameters(), *model.buffers())
    here = model if all(tensor.device.type == "cpu" for tensor in tensors) else copy.deepcopy(model).cpu()
    first = _some(measurement)
    few = FEW if len(first[0]) > FEW else max(1, len(first[0]) - 1)
    batches = (first, tuple(tensor[:few] for tensor in first))
    return Subject(here.eval(), batches, opset, measurement.check, (), measurement.workload.model, pythons)


def _some(measurement: Measurement) -> Batch:
    """The first batch, with the next ones if it is so small that no other size could be tried."""
    some = tuple(tensor.cpu() for tensor in measurement.inputs(0))
    for i in range(1, len(measurement.batches)):
        more = tuple(tensor.cpu() for tensor in measurement.inputs(i))
        if len(some[0]) > FEW or [x.shape[1:] for x in more] != [x.shape[1:] for x in some]:
            break
        some = tuple(torch.cat(pair) for pair in zip(some, more, strict=True))
    return some
