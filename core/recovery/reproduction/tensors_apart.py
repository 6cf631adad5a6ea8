"""How far tensors of a bundle are from the same ones made again."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from core.recovery.reproduction.parting import Parting


def parting_of(written: Mapping[str, Tensor], again: Mapping[str, Tensor], at: str) -> Parting | None:
    """How far tensors that were made again are from those that were written.

    Args:
        written, again: by name.
        at: where they part, if they do.

    Returns:
        `None` if names, shapes, types and all bits are the same; a zero of the other sign is another.
    """
    first: tuple[str, str | None] | None = None
    n_tensors, n_entries, largest = 0, 0, 0.0
    for name in dict.fromkeys((*again, *written)):
        difference, others = None, 0
        one, two = written.get(name), again.get(name)
        if one is None or two is None:
            difference = "it is missing from the bundle" if one is None else "only the bundle has it"
        elif one.shape != two.shape or one.dtype != two.dtype:
            difference = f"{_kind(one)} in the bundle, {_kind(two)} when made again"
        else:
            others, apart = _apart(one, two)
            largest = max(largest, apart)
        if difference or others:
            first = first or (name, difference)
            n_tensors, n_entries = n_tensors + 1, n_entries + others
    if first is None:
        return None
    finite = n_entries > 0 and math.isfinite(largest)
    return Parting(at, *first, n_tensors, n_entries, largest if finite else None)


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"


def _apart(one: Tensor, two: Tensor) -> tuple[int, float]:
    """Entries of which a bit is another, and the largest difference among them; infinite if that is no number."""
    if one.numel() == 0:
        return 0, 0.0
    bits = [tensor.flatten().view(torch.uint8).view(one.numel(), -1) for tensor in (one, two)]
    others = (bits[0] != bits[1]).any(1)
    n = int(others.sum())
    if n == 0:
        return 0, 0.0
    wide = torch.complex128 if one.is_complex() else torch.float64
    gap = (one.flatten()[others].to(wide) - two.flatten()[others].to(wide)).abs()
    return n, float(gap.nan_to_num(nan=math.inf, posinf=math.inf).max())
