"""Criteria: how much each entry of a weight matters. A new one is a function and a line in `CRITERIA`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor

from core.errors import SecateurError

Criterion = Callable[[Tensor], Tensor]  # weight, any shape -> saliency, same shape, higher = keep


def magnitude(weight: Tensor) -> Tensor:
    """Absolute value of each entry (L1). Source: Han et al. 2015, arXiv:1506.02626."""
    return weight.detach().abs()


CRITERIA: Mapping[str, Criterion] = MappingProxyType({"magnitude": magnitude})


def get_criterion(name: str) -> Criterion:
    """The criterion of that name.

    Raises:
        SecateurError: there is none.
    """
    if name not in CRITERIA:
        raise SecateurError(f"no criterion {name!r}; choose one of {sorted(CRITERIA)}")
    return CRITERIA[name]
