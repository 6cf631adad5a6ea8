"""Whether what a model says of an example depends on how much padding stands behind it."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from core.errors import first_line
from core.pruning.equality import distance, tolerance_of
from core.sensitivity.forwards.batches import Batches
from core.sensitivity.forwards.partners import is_rounding
from core.workload.metric import Metric

Run = Callable[[tuple[Tensor, ...]], Any]


def padding_matters(metric: Metric, run: Run, batches: Batches, device: torch.device) -> str | None:
    """How outputs change where padding is left out, in words; `None` if by no more than rounding.

    The shorter half of the first batch runs without what it does not need, and so does the first batch of each length
    that batches are cut to; positions that are padding themselves are not compared.

    Args:
        metric: that says which tensor of the outputs is judged.
        run: gives the outputs of the dense model, and leaves it as it was.
        batches: of examples with padding.
        device: of the model.
    """
    padding = batches.padding
    if padding is None:
        return None
    first = batches.positions[0]
    needs = torch.stack([used[first] / padding.whole[mask] for mask, used in padding.used.items()]).amax(0)
    shorter = first[needs.argsort(stable=True)[: (len(first) + 1) // 2]]
    tried = [(shorter, padding.longest(shorter))]
    seen: list[Mapping[str, int]] = []
    for positions in batches.positions:
        length = padding.length(positions)
        if length not in seen and length != padding.whole:
            seen.append(length)
            tried.append((positions, length))
    for positions, length in tried:
        if length == padding.whole:
            continue
        try:
            short = metric.read(run(padding.inputs(batches.inputs_at(positions, device), length)))
        except Exception as error:
            shown = ", ".join(str(n) for n in length.values())
            return f"it raises {type(error).__name__} at length {shown} ({first_line(error)[:100]})"
        mask = batches.counted_at(positions, device)
        whole = metric.read(run(batches.inputs_at(positions, device)))
        if (found := _apart(short, whole, mask)) is not None:
            return found
    return None


def _apart(short: Any, whole: Any, mask: Tensor | None) -> str | None:
    if not isinstance(short, Tensor) or not isinstance(whole, Tensor):
        return None
    if short.shape != whole.shape:
        n = short.shape[1] if short.dim() > 1 else 0
        if mask is None or short.dim() != whole.dim() or whole[:, :n].shape != short.shape:
            return f"its outputs are {tuple(short.shape)} of {tuple(whole.shape)}"
        short, whole = short[mask[:, :n]], whole[:, : mask.shape[1]][mask]
        if short.shape != whole.shape:
            return "its outputs have other positions than the mask"
    if is_rounding(short, whole):
        return None
    found = distance([whole], [short])
    return None if found is not None and found <= tolerance_of(whole) else f"up to {found:.2g} apart (relative)"
