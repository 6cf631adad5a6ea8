"""Outputs of the dense model and of cut ones on a batch, by full passes."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from core.pruning.skipping import skipping
from core.pruning.wearing import replaced
from core.workload.examples import tensor_bytes
from core.workload.kept_state import KeptState
from core.workload.outputs import tensors_of
from core.workload.target import SKIP

Names = frozenset[str]  # state-dict names of the tensors that a plan touches
Inputs = Callable[[int], tuple[Tensor, ...]]


@dataclass(frozen=True)
class CutPass:
    """How to get the outputs of a cut model on one batch.

    Attributes:
        run: `{name: cut tensor} -> outputs`.
        parallel: it may run beside others. A full pass may not: it lends the cut tensors to the model itself.
    """

    run: Callable[[Mapping[str, Tensor]], Any]
    parallel: bool


@dataclass
class OpenBatch:
    """A batch whose dense values are at hand.

    Attributes:
        dense: outputs of the dense model, if they were asked for.
        cuts: a pass for each set of tensors that was asked for.
    """

    dense: Any
    cuts: dict[Names, CutPass] = field(default_factory=dict)


class FullForwards:
    """Every pass is a pass through the whole model."""

    def __init__(self, model: nn.Module, kept: KeptState, inputs: Inputs) -> None:
        self._model, self._kept, self.inputs = model, kept, inputs

    def open(self, i: int, wanted: Sequence[Names], dense: bool) -> Iterator[OpenBatch]:
        """The batch `i`, once for all cuts in `wanted`; its dense outputs are computed if `dense`."""
        outputs = self.run(i, {}) if dense else None
        yield OpenBatch(outputs, {names: CutPass(lambda weights: self.run(i, weights), False) for names in wanted})

    def run(self, i: int, weights: Mapping[str, Tensor]) -> Any:
        """Outputs on batch `i` of the model with some of its tensors replaced."""
        return self.run_on(self.inputs(i), weights)

    def run_on(self, inputs: Sequence[Tensor], weights: Mapping[str, Tensor]) -> Any:
        """As `run`, on any inputs."""
        try:
            skipped = [name.removeprefix(SKIP) for name in weights if name.startswith(SKIP)]
            tensors = {name: tensor for name, tensor in weights.items() if not name.startswith(SKIP)}
            with torch.inference_mode(), replaced(self._model, tensors), skipping(self._model, skipped):
                outputs = self._model(*inputs)
                # a parameter that is returned would turn back into the dense one
                return pytree.tree_map_only(nn.Parameter, lambda parameter: parameter.detach(), outputs)
        finally:
            self._kept.restore_buffers()  # after an error too: what was written before it is not for the next cell


def digest(outputs: Any) -> bytes:
    """Hash of every tensor in a model's outputs, bit for bit."""
    hashed = hashlib.blake2b(digest_size=16)
    for tensor in tensors_of(outputs):
        hashed.update(tensor_bytes(tensor))
    return hashed.digest()
