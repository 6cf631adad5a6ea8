"""Columns: what is known of each evaluation example, so that a drop can be looked at group by group."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from torch import Tensor

from core.errors import SecateurError

CLASS = "class"
FEW = 100  # different integer labels; more of them are hardly classes unless somebody has named them

Value = str | int


def checked_columns(given: Any, n: int, whose: str) -> dict[str, tuple[Value, ...]]:
    """Columns as plain values.

    Args:
        given: by name, a sequence, array or tensor of `n` strings or integers; a flag becomes "True" or "False".
        n: evaluation examples.
        whose: name of the workload, for the error.

    Raises:
        SecateurError: a column of another length, or of other values.
    """
    if not isinstance(given, Mapping) or not all(isinstance(name, str) and name for name in given):
        raise SecateurError(
            f'columns of {whose} must be a dictionary, {{"name": one value per example}}; got {given!r}'
        )
    return {name: _checked(name, values, n, whose) for name, values in given.items()}


def _checked(name: str, values: Any, n: int, whose: str) -> tuple[Value, ...]:
    found = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(found, Sequence) or isinstance(found, str | bytes):
        raise SecateurError(f"column {name!r} of {whose} must hold one value per example; got {type(values).__name__}")
    if len(found) != n:
        raise SecateurError(f"column {name!r} of {whose} has {len(found):,} values for {n:,} evaluation examples")
    odd = next((value for value in found if not isinstance(value, str | Integral)), None)
    if odd is not None or None in found:
        raise SecateurError(
            f"column {name!r} of {whose} must hold strings or integers, got {odd!r}; "
            "put numbers into ranges with names, and name what is missing"
        )
    return tuple(str(value) if isinstance(value, str | bool) else int(value) for value in found)


def class_column(labels: Tensor, class_names: Sequence[str]) -> dict[str, tuple[Value, ...]]:
    """The column "class", where labels say it: one integer per example, with names, or of few different values.

    A label without a name is called by its number.
    """
    if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex():
        return {}
    codes = labels.tolist()
    if not class_names and len(set(codes)) > FEW:
        return {}
    return {CLASS: tuple(_class_name(int(code), class_names) for code in codes)}


def _class_name(code: int, class_names: Sequence[str]) -> Value:
    if not class_names:
        return code
    return class_names[code] if 0 <= code < len(class_names) else str(code)
