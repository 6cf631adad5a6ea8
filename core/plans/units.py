"""How many channels of a coupled group a sparsity removes. No torch."""

from math import lcm

from core.errors import SecateurError
from core.plans.checked import n_removed
from core.workload.target import Target


class CannotCutError(SecateurError):
    """A cut that would leave nothing, or that an alignment does not allow."""


def n_units_removed(target: Target, sparsity: float, align: int = 1) -> int:
    """How many of a group's channels a cut removes: `round(sparsity * n)`, or the next smaller number that is allowed.

    Args:
        target: a coupled group.
        sparsity: fraction of the channels, in [0, 1).
        align: the number of channels that stay is a multiple of this, and of the group's parts.

    Raises:
        CannotCutError: none would stay, or the group has fewer channels than the alignment.
    """
    n = target.n_units
    assert n is not None
    step = lcm(align, target.n_parts)
    if n < step:
        raise CannotCutError(f"{target.name} has {n} channels, fewer than the {step} in multiples of which they stay")
    kept = n - n_removed(sparsity, n)
    if kept == 0:
        raise CannotCutError(f"{sparsity:g} of the {n} channels of {target.name} would leave none; cut less")
    return max(0, n - -(-kept // step) * step)


def why_not(target: Target, sparsity: float, align: int = 1) -> str | None:
    """Why a cut removes nothing of a coupled group; `None` if it does remove something."""
    try:
        if n_units_removed(target, sparsity, align):
            return None
    except CannotCutError as error:
        return str(error)
    multiple = f" where a multiple of {step} has to stay" if (step := lcm(align, target.n_parts)) > 1 else ""
    return f"{sparsity:g} of the {target.n_units} channels of {target.name} rounds to none{multiple}"
