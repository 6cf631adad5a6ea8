"""Coupled groups: channels of several layers that go together, and where each lies in the tensors of the model.

A channel is made by rows of some tensors (a convolution's filters, a bias, a BatchNorm's scale), and read by columns
of others. Whatever is added to it makes part of it, so a residual stream is one group. Fang et al. 2023, DepGraph,
arXiv:2301.12900.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod

import torch
from torch import Tensor

from core.plans.units import CannotCutError as CannotCutError
from core.plans.units import n_units_removed as n_units_removed
from core.workload.target import Role, Target


@dataclass(frozen=True)
class Slice:
    """Where a group's units lie in one tensor.

    Attributes:
        tensor: state-dict name.
        dim: along which they lie.
        positions: of each unit, in units' order; empty for one that does not touch this tensor.
        role: of the layer in the group; `"inputs"`: what reads the units.
        groups: of a grouped convolution whose inputs these are: its weight (groups * o, i, ...) holds the columns of
            channel `g * i + j` at `[g * o : (g + 1) * o, j]`. 1 for all else.
    """

    tensor: str
    dim: int
    positions: tuple[tuple[int, ...], ...]
    role: Role
    groups: int = 1

    def of(self, units: Sequence[int]) -> list[int]:
        """Positions of some units, ascending."""
        return sorted({position for unit in units for position in self.positions[unit]})


@dataclass(frozen=True)
class Group:
    """A coupled group.

    Attributes:
        target: how it is called; `n_units` and `n_parts` are those of `parts`.
        slices: where its units lie.
        parts: for every unit the part that it belongs to, from 0; all parts are of one size.
        readers_decide: what reads the units decides alone what their cut does to the outputs, so that a channel which
            nobody reads may hold anything. Not so where an operation on the way adds channels up, e.g. for a norm.
    """

    target: Target
    slices: tuple[Slice, ...]
    parts: tuple[int, ...]
    readers_decide: bool = True

    def fingerprint(self) -> str:
        """Hash of where the units lie: what a cut of this name and sparsity means."""
        return hashlib.sha256(repr((self.slices, self.parts)).encode()).hexdigest()

    @property
    def deciding(self) -> tuple[Slice, ...]:
        """The slices that decide what a cut does to the outputs."""
        return tuple(one for one in self.slices if one.role == "inputs" or not self.readers_decide)

    def removed(self, saliency: Tensor, sparsity: float, align: int = 1) -> list[int]:
        """Units that a cut removes: the least salient of every part, ties by position.

        Args:
            saliency: (units,), higher = more important.
            sparsity: fraction of the units, in [0, 1).
            align: the number of units that stay is a multiple of this.

        Returns:
            Units, ascending: `n_units_removed` of them.

        Raises:
            CannotCutError: as `n_units_removed`.
        """
        n_parts = self.target.n_parts
        per_part = n_units_removed(self.target, sparsity, align) // n_parts
        order = saliency.argsort(stable=True).tolist()
        left = [per_part] * n_parts
        units = []
        for unit in order:
            if left[self.parts[unit]]:
                left[self.parts[unit]] -= 1
                units.append(unit)
        return sorted(units)

    def n_entries(self, model_shapes: dict[str, tuple[int, ...]]) -> int:
        """Entries of all tensors that the group's units take up; where rows and columns meet, once."""
        by_tensor: dict[str, dict[int, Fraction]] = {}
        for one in self.slices:
            share = Fraction(sum(map(len, one.positions)), model_shapes[one.tensor][one.dim] * one.groups)
            own = by_tensor.setdefault(one.tensor, {})
            own[one.dim] = own.get(one.dim, Fraction(0)) + share
        left = {name: prod((1 - share for share in own.values()), start=Fraction(1)) for name, own in by_tensor.items()}
        return sum(int(prod(model_shapes[name]) * (1 - share)) for name, share in left.items())


def slice_mask(shape: Sequence[int], one: Slice, units: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Mask of a whole tensor, True = kept, that is False where these units lie."""
    gone = torch.zeros(shape[one.dim] * one.groups, dtype=torch.bool, device=device)
    gone[one.of(units)] = True
    if one.groups == 1:
        view = [1] * len(shape)
        view[one.dim] = shape[one.dim]
        return (~gone).view(view).expand(tuple(shape)).clone()
    rows = (~gone).view(one.groups, 1, shape[1]).expand(one.groups, shape[0] // one.groups, shape[1])
    return rows.reshape(shape[0], shape[1], *[1] * (len(shape) - 2)).expand(tuple(shape)).clone()


def without(tensor: Tensor, one: Slice, positions: Sequence[int]) -> Tensor:
    """A copy of a tensor without some positions of a slice.

    Of a grouped convolution's inputs, each convolution group must lose equally many.
    """
    size = tensor.shape[one.dim] * one.groups
    gone = set(positions)
    kept = torch.tensor([i for i in range(size) if i not in gone], dtype=torch.long, device=tensor.device)
    if one.groups == 1:
        return tensor.index_select(one.dim, kept)
    n_out, n_in, *rest = tensor.shape
    columns = tensor.view(one.groups, n_out // one.groups, n_in, *rest).transpose(1, 2).flatten(0, 1)
    fewer = columns.index_select(0, kept).view(one.groups, -1, n_out // one.groups, *rest)
    return fewer.transpose(1, 2).reshape(n_out, -1, *rest)
