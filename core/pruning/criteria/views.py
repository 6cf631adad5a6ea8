"""What criteria see: of one weight, and of a coupled group."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.pruning.coupling.groups import Group
from core.pruning.criteria.calibration import Calibration
from core.pruning.criteria.calibration_sums import Sum
from core.workload.layers.linear import oriented


@dataclass(frozen=True)
class LayerView:
    """What a criterion sees of one weight.

    Attributes:
        name: of the target.
        parameter: state-dict name of the weight.
        model: dense; never modified.
        calibration: what it may look at besides.
        seed: for what is drawn.
    """

    name: str
    parameter: str
    model: nn.Module
    calibration: Calibration
    seed: int = 0

    @property
    def weight(self) -> Tensor:
        """Any shape."""
        return self.model.get_parameter(self.parameter).detach()

    def outputs_first(self, tensor: Tensor) -> Tensor:
        """A tensor of the weight's shape, transposed where the layer stores its weight so; its own inverse."""
        return oriented(self.model, self.parameter, tensor)

    def sums(self, kind: Sum) -> Tensor:
        """A sum over the calibration data, on the weight's device."""
        found: Tensor = self.calibration.get(kind, self.parameter)
        return found.to(self.weight.device)


@dataclass(frozen=True)
class GroupView:
    """What a criterion sees of a coupled group; attributes as in `LayerView`."""

    group: Group
    model: nn.Module
    calibration: Calibration
    seed: int = 0


Criterion = Callable[[LayerView], Tensor]  # -> saliency, shape of the weight, higher = keep; never modifies it
ChannelCriterion = Callable[[GroupView], Tensor]  # -> saliency (units,), float64 on the CPU


def drawn(name: str, seed: int, n: int) -> Tensor:
    """Uniform in [0, 1), from the seed and a name alone: float64 (n,)."""
    own = int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "big", signed=True)
    return torch.rand(n, generator=torch.Generator().manual_seed(own), dtype=torch.float64)
