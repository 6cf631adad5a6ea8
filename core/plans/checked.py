"""Numbers and names of a plan as a person may give them: checked, or refused in words."""

import math
import re
from numbers import Real
from typing import Any, Literal

from core.errors import SecateurError, shortened


def n_removed(sparsity: float, n: int) -> int:
    """How many of `n` entries a sparsity removes: `round(sparsity * n)`, halves to even as Python rounds."""
    return round(sparsity * n)


def as_float(number: Any) -> float:
    """A number as a float; NaN, which lies in no range, for what is none and for whole numbers beyond all floats."""
    if isinstance(number, bool) or not isinstance(number, Real):
        return math.nan
    try:
        return float(number)
    except OverflowError:
        return math.nan


def checked_sparsity(sparsity: Any, whose: str = "") -> float:
    """`sparsity` as a float.

    Raises:
        SecateurError: it is not a number in [0, 1).
    """
    if not 0 <= as_float(sparsity) < 1:
        got = repr(sparsity) if isinstance(sparsity, str) else sparsity
        raise SecateurError(
            f"sparsity{whose} must be a fraction in [0, 1), got {got}. Given a percentage? Divide by 100."
        )
    return float(sparsity)


Align = int | Literal["auto"]


def checked_steps(align: Any) -> Align | None:
    """A number of which what stays is a multiple, `"auto"` for measured steps, or `None`.

    Raises:
        SecateurError: another text, or no whole number of at least 1.
    """
    if align is None or align == "auto":
        return align
    return checked_align(align)


def checked_align(align: Any, whose: str = "") -> int:
    """`align` as given.

    Raises:
        SecateurError: it is not a whole number of at least 1.
    """
    if isinstance(align, bool) or not isinstance(align, int) or align < 1:
        raise SecateurError(f"align{whose} must be a whole number of at least 1, such as 8; got {align!r}")
    return align


def checked_pattern(layers: str, whose: str = "--layers ") -> str:
    """A regular expression for names of targets, as given; `whose` begins what is said of one that is none.

    Raises:
        SecateurError: it is none.
    """
    try:
        re.compile(layers)
    except (re.error, OverflowError) as error:  # a repetition may be larger than any whole number of the machine
        raise SecateurError(f"{whose}{shortened(layers)!r} is not a regular expression: {error}") from None
    except (RecursionError, MemoryError):
        raise SecateurError(f"{whose}{shortened(layers)!r} is nested too deeply for a regular expression") from None
    return layers
