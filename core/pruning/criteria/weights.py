"""Criteria of weights: how much each entry matters, from the weights or from calibration data."""

from torch import Tensor

from core.pruning.criteria.calibration_sums import GradientSums
from core.pruning.criteria.views import LayerView, drawn


def magnitude(view: LayerView) -> Tensor:
    """Absolute value of each entry (L1). Source: Han et al. 2015, arXiv:1506.02626."""
    return view.weight.abs()


def l2(view: LayerView) -> Tensor:
    """Square of each entry, which adds up to the squared L2 norm. Source: Li et al. 2016, arXiv:1608.08710."""
    return view.weight.double().square()


def random(view: LayerView) -> Tensor:
    """Uniform in [0, 1), from the seed and the target's name alone: in whatever order, on whatever device."""
    return drawn(view.name, view.seed, view.weight.numel()).view_as(view.weight).to(view.weight.device)


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
    weight = view.outputs_first(view.weight.double())
    norms = view.sums("norms").sqrt()
    rows = norms.repeat_interleave(len(weight) // len(norms), 0)
    return view.outputs_first(weight.abs() * rows.view_as(weight))


def _gradients(view: LayerView) -> GradientSums:
    found: GradientSums = view.calibration.get("gradients", view.parameter)
    return found
