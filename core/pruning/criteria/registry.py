"""Criteria: how much each weight, channel or head matters. A new one is a function and a line in a registry here, and
its facts in `core.plans.criteria`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from core.plans.criteria import FACTS, Kind, checked_criterion
from core.pruning.coupling.groups import Group, Slice
from core.pruning.criteria.calibration import Calibration, CannotScoreError
from core.pruning.criteria.calibration_sums import GradientSums, Sum


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


def magnitude(view: LayerView) -> Tensor:
    """Absolute value of each entry (L1). Source: Han et al. 2015, arXiv:1506.02626."""
    return view.weight.abs()


def l2(view: LayerView) -> Tensor:
    """Square of each entry, which adds up to the squared L2 norm. Source: Li et al. 2016, arXiv:1608.08710."""
    return view.weight.double().square()


def random(view: LayerView) -> Tensor:
    """Uniform in [0, 1), from the seed and the target's name alone: in whatever order, on whatever device."""
    return _drawn(view.name, view.seed, view.weight.numel()).view_as(view.weight).to(view.weight.device)


def taylor(view: LayerView) -> Tensor:
    """(g w)² of each small batch, averaged over examples. Source: Molchanov et al. 2019, arXiv:1906.10771, eq. 8."""
    return _gradients(view).squares.to(view.weight.device)


def snip(view: LayerView) -> Tensor:
    """|g w|, g the gradient of the mean loss of all calibration data. Source: Lee et al. 2019, arXiv:1810.02340.

    Theirs is for networks before training, and divided by its sum over the network, which changes no order in a layer.
    """
    return (_gradients(view).total.to(view.weight.device) * view.weight.double()).abs()


def fisher(view: LayerView) -> Tensor:
    """½ F w², F the mean of g² over single examples.

    Source: LeCun et al. 1990, Optimal Brain Damage, with the empirical Fisher information in place of the Hessian's
    diagonal as in Theis et al. 2018, arXiv:1801.05787.
    """
    return 0.5 * view.sums("squares") * view.weight.double().square()


def wanda(view: LayerView) -> Tensor:
    """|W_ij| ‖X_j‖₂, X_j what the column is multiplied with. Source: Sun et al. 2023, arXiv:2306.11695.

    Convolutions by what their filters are laid on, each column an input and a place of the kernel. That every output
    loses the same share is for the ranking to see to.
    """
    weight = view.weight.double()
    norms = view.sums("norms").sqrt()
    rows = norms.repeat_interleave(len(weight) // len(norms), 0)
    return weight.abs() * rows.view_as(weight)


CRITERIA: Mapping[str, Criterion] = MappingProxyType(
    {
        "magnitude": magnitude,
        "l2": l2,
        "random": random,
        "taylor": taylor,
        "snip": snip,
        "fisher": fisher,
        "wanda": wanda,
    }
)


def _over_outputs(view: GroupView, rows: Callable[[Slice, Tensor], Tensor]) -> Tensor:
    """Scores of the rows that make each unit, summed over coupled layers: (units,).

    Source: Li et al. 2016, arXiv:1608.08710, where a filter is as important as its weights are large; summed over a
    group as in Fang et al. 2023, arXiv:2301.12900.
    """
    total = torch.zeros(len(view.group.parts), dtype=torch.float64)
    for made in view.group.slices:
        tensor = view.model.get_parameter(made.tensor).detach() if made.role == "outputs" else None
        if tensor is None or tensor.ndim < 2:  # a bias alone makes no channel
            continue
        scores = rows(made, tensor).double().cpu()
        total += torch.stack([scores[list(positions)].sum() for positions in made.positions])
    return total


def summed(criterion: Criterion) -> ChannelCriterion:
    """Channels by what a criterion gives the weights that make them, added up."""

    def score(view: GroupView) -> Tensor:
        def rows(made: Slice, tensor: Tensor) -> Tensor:
            layer = LayerView(made.tensor, made.tensor, view.model, view.calibration, view.seed)
            return criterion(layer).double().movedim(made.dim, 0).flatten(1).sum(1)

        return _over_outputs(view, rows)

    return score


def random_channels(view: GroupView) -> Tensor:
    """Uniform in [0, 1), from the seed and the group's name alone."""
    return _drawn(f"channels of {view.group.target.name}", view.seed, len(view.group.parts))


def taylor_channels(view: GroupView) -> Tensor:
    """The square of what g w adds up to over a filter, averaged over small batches: removing it removes all of it.

    Source: Molchanov et al. 2019, arXiv:1906.10771, eq. 9; summed over coupled layers.
    """

    def rows(made: Slice, tensor: Tensor) -> Tensor:
        found: GradientSums = view.calibration.get("gradients", made.tensor)
        return found.by_dim[made.dim]

    return _over_outputs(view, rows)


def bn_scale(view: GroupView) -> Tensor:
    """|γ| of the batch normalisations behind a channel, summed. Source: Liu et al. 2017, arXiv:1708.06519.

    They train with an L1 penalty on γ first, which is not for a criterion to do.
    """
    total, n_found = torch.zeros(len(view.group.parts), dtype=torch.float64), 0
    for one in view.group.slices:
        path, _, attribute = one.tensor.rpartition(".")
        module = view.model.get_submodule(path)
        if attribute == "weight" and isinstance(module, nn.modules.batchnorm._BatchNorm):
            scale = module.weight.detach().abs().double().cpu()
            total += torch.stack([scale[list(positions)].sum() for positions in one.positions])
            n_found += 1
    if not n_found:
        raise CannotScoreError(f"no batch normalisation scales the channels of {view.group.target.name}")
    return total


def fpgm(view: GroupView) -> Tensor:
    """Sum of a filter's distances from all filters of its layer. Source: He et al. 2019, arXiv:1811.00250, eq. 7."""

    def rows(made: Slice, tensor: Tensor) -> Tensor:
        filters = tensor.double().cpu().movedim(made.dim, 0).flatten(1)
        return torch.cdist(filters, filters, compute_mode="donot_use_mm_for_euclid_dist").sum(1)

    return _over_outputs(view, rows)


def apoz(view: GroupView) -> Tensor:
    """Share of activations that are not zero, averaged over the layers that read a channel: 1 - APoZ.

    Source: Hu et al. 2016, arXiv:1607.03250.
    """
    total, n_readers = torch.zeros(len(view.group.parts), dtype=torch.float64), 0
    name = view.group.target.name
    reason = f"no layer reads the channels of {name}, so nobody sees its activations"
    for read in view.group.slices:
        if read.role != "inputs":
            continue
        try:
            shares: Tensor = view.calibration.get("non_zeros", read.tensor)
        except CannotScoreError as error:
            reason = str(error)
            continue
        if max(max(positions, default=0) for positions in read.positions) < len(shares):
            units = [shares[list(places)].mean() if places else shares.new_zeros(()) for places in read.positions]
            total += torch.stack(units)
            n_readers += 1
    if not n_readers:
        raise CannotScoreError(reason)
    if bool((total == n_readers).all()):
        raise CannotScoreError(
            f"no activation of the channels of {name} was zero where they are read (after GELU or SiLU none ever is), "
            "so apoz tells none from another"
        )
    return total / n_readers


CHANNEL_CRITERIA: Mapping[str, ChannelCriterion] = MappingProxyType(
    {
        "magnitude": summed(magnitude),
        "l2": summed(l2),
        "random": random_channels,
        "taylor": taylor_channels,
        "snip": summed(snip),
        "fisher": summed(fisher),
        "bn_scale": bn_scale,
        "fpgm": fpgm,
        "apoz": apoz,
    }
)


def head_scores(name: str, view: LayerView, columns: Sequence[Tensor]) -> Tensor:
    """How much each head of an attention matters: float64 (heads,).

    Args:
        name: of the criterion.
        view: of the output projection (n_out, n_in).
        columns: of each head the columns that read it, as bool (n_in,).

    `head_gradient`: mean over examples of |Σ A ∂L/∂A|, A what the head gives the projection. Of one example that is
    |Σ W ∂L/∂W| over the head's columns, whether or not the projection is called as a module. Source: Michel et al.
    2019, arXiv:1905.10650, eq. 2. All others: the scores of the columns, summed.
    """
    if name == "head_gradient":
        of_examples = view.sums("columns").cpu()
        return torch.stack([of_examples[:, own].sum(1).abs().mean() for own in columns])
    scores = CRITERIA[name](view).double().cpu()
    return torch.stack([scores[:, own].sum() for own in columns])


# which sums a criterion needs; `None` for what looks at the weights alone
SUMS: Mapping[str, Sum] = MappingProxyType(
    {
        "taylor": "gradients",
        "snip": "gradients",
        "fisher": "squares",
        "wanda": "norms",
        "sparsegpt": "hessians",
        "head_gradient": "columns",
        "apoz": "non_zeros",
    }
)


def get_criterion(name: str, kind: Kind = "weights") -> Criterion | ChannelCriterion:
    """The function that scores weights or channels.

    Raises:
        SecateurError: there is no such criterion.
        CannotScoreError: it has no scores of this kind.
    """
    known: Mapping[str, Criterion | ChannelCriterion] = CHANNEL_CRITERIA if kind == "channels" else CRITERIA
    if checked_criterion(name) not in known:
        raise CannotScoreError(f"{name} is a criterion for {' and '.join(FACTS[name].scores)}, not for {kind}")
    return known[name]


def _gradients(view: LayerView) -> GradientSums:
    found: GradientSums = view.calibration.get("gradients", view.parameter)
    return found


def _drawn(name: str, seed: int, n: int) -> Tensor:
    own = int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "big", signed=True)
    return torch.rand(n, generator=torch.Generator().manual_seed(own), dtype=torch.float64)
