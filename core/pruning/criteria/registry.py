"""The registries of criteria. A new one is a function and a line here, and its facts in `core.plans.criteria`."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from core.pruning.criteria.calibration_sums import Sum
from core.pruning.criteria.channels import apoz, bn_scale, fpgm, random_channels, summed, taylor_channels
from core.pruning.criteria.views import ChannelCriterion, Criterion, LayerView
from core.pruning.criteria.weights import fisher, l2, magnitude, random, snip, taylor, wanda

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
    scores = view.outputs_first(CRITERIA[name](view)).double().cpu()
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
