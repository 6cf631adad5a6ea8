"""Examples set aside for certificates: nothing chooses by them.

They are the end of the order that seed 0 draws, so that what was measured on the first of that order stays what it was,
and are left out of the orders of all other seeds too. A workload that names a `holdout` sets nothing of its evaluation
data aside.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from core.workload.workload import Workload

# open: what may be chosen by. whole: as open, but a larger number than that takes what is set aside as well, last.
# held: what is set aside, alone.
Part = Literal["open", "whole", "held"]


def order_of(workload: Workload, seed: int, part: Part) -> Tensor:
    """Positions of a part in the evaluation data, int64 (n,), in the order that a seed draws."""
    n = len(workload.evaluation)
    order, first = _drawn(n, seed), workload.n_open
    if first == n:
        return order[:0] if part == "held" else order
    held = _drawn(n, 0)[first:]
    if part == "held":
        return held
    is_held = torch.zeros(n, dtype=torch.bool)
    is_held[held] = True
    free = order[~is_held[order]]
    return torch.cat([free, held]) if part == "whole" else free


def certified_on(workload: Workload) -> Workload:
    """The workload whose evaluation data hold what is set aside: the `holdout` if one is named, else itself.

    Measured on it with the part `"held"`, or with all of a named one, no example comes that was chosen by.
    """
    if workload.holdout is None:
        return workload
    named = f"{workload.name}, holdout"
    return replace(workload, name=named, evaluation=workload.holdout, holdout=None, columns={}, sweep_examples=None)


def set_aside_note(workload: Workload) -> str | None:
    """What is set aside, in words; `None` where it is nothing."""
    if workload.holdout is not None:
        return f"The workload's holdout of {len(workload.holdout):,} examples is kept for certificates."
    held, n = workload.n_held, len(workload.evaluation)
    if not held:
        return None
    return f"{held:,} of the {n:,} evaluation examples are set aside for certificates, and not looked at here."


def _drawn(n: int, seed: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))
