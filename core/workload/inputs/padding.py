"""What of named inputs is padding, told by an attention mask by its name, and how much of it a batch can do without."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from core.workload.examples import Examples

MASK = "attention_mask"
DECODER = "decoder_"
# Lengths that batches are cut to, in parts of the longest: few, for a model is traced anew for each.
STEPS = (1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1)

Of = Literal["inputs", "labels"]


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
    name = mask_name("labels", examples.names or ())
    mask = None if name is None else _mask(examples, name)
    return mask if mask is not None and mask.dim() == 2 else None


def _mask(examples: Examples, name: str) -> Tensor | None:
    """(n, length), or (n, k, length) where k texts make an example: the two of a pair, the choices of a question."""
    assert examples.names is not None
    mask = examples.inputs[examples.names.index(name)]
    # one of floats to be added, or for each pair of positions, is not what is meant here
    of_texts = mask.dim() == 2 or (mask.dim() == 3 and mask.shape[1] != mask.shape[2])
    return mask.to(torch.bool) if of_texts and bool(((mask == 0) | (mask == 1)).all()) else None


@dataclass(frozen=True)
class Padding:
    """Positions at the end that no example of a batch needs.

    Attributes:
        used: by mask, up to which position each example has any: int64 (n,).
        whole: by mask, how many positions there are.
        columns: by mask, which inputs have its positions, in the same dimension.
        dims: by mask, in which.
        labels: the mask whose positions the labels have; `None` for labels without.
    """

    used: Mapping[str, Tensor]
    whole: Mapping[str, int]
    columns: Mapping[str, tuple[int, ...]]
    dims: Mapping[str, int]
    labels: str | None

    def longest(self, positions: Tensor) -> dict[str, int]:
        """By mask, how many positions the examples at `positions` need."""
        return {mask: max(1, int(used[positions].max())) for mask, used in self.used.items()}

    def length(self, positions: Tensor) -> dict[str, int]:
        """As `longest`, rounded up to one of `STEPS`."""
        return {
            mask: next(n for step in STEPS if (n := -int(-self.whole[mask] * step // 1)) >= needed)
            for mask, needed in self.longest(positions).items()
        }

    def inputs(self, inputs: Sequence[Tensor], length: Mapping[str, int]) -> tuple[Tensor, ...]:
        """Inputs of a batch without what lies behind `length`."""
        mask_of = {column: mask for mask, columns in self.columns.items() for column in columns}
        return tuple(
            x.narrow(self.dims[mask_of[i]], 0, length[mask_of[i]]).contiguous() if i in mask_of else x
            for i, x in enumerate(inputs)
        )

    def rows(self, values: Tensor, length: Mapping[str, int], mask: str | None) -> Tensor:
        """Labels, or a mask, of a batch without what lies behind `length`."""
        return values if mask is None else values[:, : length[mask]].contiguous()


def padding_of(examples: Examples, token_labels: bool) -> Padding | None:
    """The padding of examples whose inputs were given by name; `None` where nothing says what it is, or there is none.

    Args:
        examples: all that there are.
        token_labels: whether labels are of positions.
    """
    names = examples.names or ()
    used, whole, columns, dims = {}, {}, {}, {}
    for name in names:
        mask = _mask(examples, name) if name in (MASK, DECODER + MASK) else None
        if mask is None:
            continue
        length, dim = mask.shape[-1], mask.dim() - 1
        own = [i for i, one in enumerate(names) if mask_name(one, names) == name]
        at = {i: [d for d, size in enumerate(examples.inputs[i].shape) if d and size == length] for i in own}
        if any(found not in ([], [dim]) for found in at.values()):
            return None  # a bias for each pair of positions, say: what to cut of it nobody knows
        columns[name], dims[name] = tuple(i for i in own if at[i]), dim
        places = torch.arange(1, length + 1, device=mask.device)
        used[name], whole[name] = (mask * places).flatten(1).amax(1).cpu(), length
    of_labels = mask_name("labels", names) if token_labels else None
    if token_labels and (of_labels not in whole or examples.labels.shape[1:2] != (whole[of_labels],)):
        return None
    if not any(bool((used[name] < whole[name]).any()) for name in used):
        return None
    return Padding(used, whole, columns, dims, of_labels)
