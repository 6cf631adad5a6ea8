"""What of named inputs is padding: told by an attention mask, by its name."""

from collections.abc import Sequence

import torch
from torch import Tensor

from core.workload.examples import Examples

MASK = "attention_mask"
DECODER = "decoder_"


def mask_name(name: str, names: Sequence[str]) -> str | None:
    """The mask that says which positions of an input count; `None` where no input is one.

    Of `decoder_…` it is `decoder_attention_mask`, of all else, and of labels of a model without a decoder,
    `attention_mask`.
    """
    has_decoder = any(one.startswith(DECODER) for one in names)
    prefix = DECODER if name.startswith(DECODER) or (name == "labels" and has_decoder) else ""
    return prefix + MASK if prefix + MASK in names else None


def counted(examples: Examples) -> Tensor | None:
    """Which positions of a model's outputs are no padding: bool (n, length); `None` where nothing says so.

    Outputs of a decoder have the positions of its own mask.
    """
    names = examples.names or ()
    name = mask_name("labels", names)
    if name is None:
        return None
    mask = examples.inputs[names.index(name)]
    if mask.dim() != 2 or not bool(((mask == 0) | (mask == 1)).all()):
        return None  # added to scores, or for each pair of positions: not what is meant here
    return mask.to(torch.bool)
