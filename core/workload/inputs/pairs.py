"""Which input of a model each tensor is, as plain values. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Paired:
    """One tensor and the parameter of the model's `forward` that it is given as.

    Attributes:
        parameter: its name; `"*name"` where forward takes any number by position.
        shape: of the tensor, the number of examples first.
        dtype: of the tensor, e.g. `"int64"`.
        by_name: whether it was given by that name; else its place alone decided.
    """

    parameter: str
    shape: tuple[int, ...]
    dtype: str
    by_name: bool


def pairing_text(paired: Sequence[Paired]) -> str:
    """One line: `inputs by position: input_ids (32, 16) int64, token_type_ids (32, 16) int64`."""
    how = "by name" if all(one.by_name for one in paired) else "by position"
    return f"inputs {how}: " + ", ".join(f"{one.parameter} {one.shape} {one.dtype}" for one in paired)
