"""Masks of a ticket, by state-dict name, True = kept: what is smallest goes, and a control has it at random places."""

import base64
import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from core.recovery.tickets.request import Scope
from core.workload.discovery import find_targets

Masks = dict[str, Tensor]


def weights_of(model: nn.Module) -> Masks:
    """Masks that keep everything, on the CPU: of free weights that `find_targets` would cut; tied ones once."""
    return {
        target.parameter: torch.ones(target.shape, dtype=torch.bool)
        for target in find_targets(model)[0]
        if target.granularity == "weight" and model.get_parameter(target.parameter).requires_grad
    }


def prune(state: Mapping[str, Tensor], masks: Masks, share: float, scope: Scope) -> Masks:
    """Take `share` of what is kept, the smallest magnitudes of all layers or of each; of equals the first go first."""
    if scope == "layer":
        return {name: prune(state, {name: mask}, share, "global")[name] for name, mask in masks.items()}
    kept = torch.cat([mask.flatten() for mask in masks.values()])
    sizes = torch.cat([state[name].detach().cpu().abs().flatten() for name in masks]).masked_fill(~kept, torch.inf)
    kept[sizes.sort(stable=True).indices[: round(share * int(kept.sum()))]] = False
    parts = kept.split([mask.numel() for mask in masks.values()])
    return {name: part.view_as(masks[name]) for name, part in zip(masks, parts, strict=True)}


def shuffled(masks: Masks, seed: int) -> Masks:
    """Masks with as many kept entries in each layer, at random places."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: mask.flatten()[torch.randperm(mask.numel(), generator=generator)].view_as(mask)
        for name, mask in masks.items()
    }


def packed(masks: Masks) -> str:
    """Masks as text."""
    bits = np.packbits(torch.cat([mask.flatten() for mask in masks.values()]).numpy())
    return base64.b64encode(zlib.compress(bits.tobytes())).decode()


def unpacked(text: str, like: Masks) -> Masks:
    """Reverse of `packed`."""
    sizes = [mask.numel() for mask in like.values()]
    raw = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    bits = torch.from_numpy(np.unpackbits(raw, count=sum(sizes)).astype(bool))
    return {name: part.view_as(like[name]) for name, part in zip(like, bits.split(sizes), strict=True)}
