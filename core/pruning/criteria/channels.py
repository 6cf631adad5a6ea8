"""Criteria of channels: how much each unit of a coupled group matters."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from core.pruning.coupling.groups import Slice
from core.pruning.criteria.calibration import CannotScoreError
from core.pruning.criteria.calibration_sums import GradientSums
from core.pruning.criteria.views import ChannelCriterion, Criterion, GroupView, LayerView, drawn


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
    return drawn(f"channels of {view.group.target.name}", view.seed, len(view.group.parts))


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
