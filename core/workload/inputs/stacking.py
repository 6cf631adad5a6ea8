"""Single items as one tensor each: numbers of any kind, of one shape or padded where a mask says what is padding."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core.errors import SecateurError
from core.workload.examples import Examples
from core.workload.inputs.padding import mask_name
from core.workload.inputs.spilled import Column, Columns, rewritten
from core.workload.metrics.reading import IGNORED


def tensor_of(value: Any, what: str, i: int) -> Tensor:
    """A number, an array, or a list of numbers as a tensor; Python's floats in torch's default dtype.

    Args:
        value: one input or label of an item.
        what: it is, for the error.
        i: number of the item.

    Raises:
        SecateurError: it is something else.
    """
    if isinstance(value, Tensor):
        return value.detach().clone()  # some loaders fill one buffer again and again
    if isinstance(value, bool | int | float | np.number | np.bool_):
        return torch.as_tensor(value)
    if isinstance(value, np.ndarray | list | tuple):
        try:
            return torch.as_tensor(value).clone()
        except (TypeError, ValueError, RuntimeError):
            pass
    shown = repr(value) if isinstance(value, str | None) and len(repr(value)) < 30 else type(value).__name__
    if "label" in what:
        mend = "give labels as numbers, classes as 0, 1, 2, …"
    elif hasattr(value, "getpixel"):
        mend = "give the dataset a transform that makes tensors (torchvision.transforms.ToTensor())"
    else:
        mend = "tokenize text and leave out what is no number (inputs=('input_ids', 'attention_mask') takes only these)"
    raise SecateurError(f"{what} of item {i} of the data must be a number or a tensor, got {shown}; {mend}")


def joined(
    inputs: Sequence[Mapping[str, Tensor]],
    labels: Sequence[Tensor | None],
    batched: bool,
    by_name: bool,
    kept: Columns,
) -> Examples:
    """Items, one example or one batch each, as examples; `kept`: the columns that hold them, labels under `None`.

    Raises:
        SecateurError: they have other inputs or shapes, and nothing says what is padding.
    """
    names = list(inputs[0])
    for i, one in enumerate(inputs):
        if list(one) != names and set(one) != set(names):
            theirs, ours = (", ".join(keys) if by_name else f"{len(keys)} input(s)" for keys in (one, names))
            raise SecateurError(f"item {i} of the data has {theirs}, item 0 has {ours}; give all items the same inputs")
    with_label = [i for i, label in enumerate(labels) if label is not None]
    if 0 < len(with_label) < len(labels):
        bare = next(i for i, label in enumerate(labels) if label is None)
        raise SecateurError(
            f"item {bare} of the data has no label, and item {with_label[0]} has one; label all or none"
        )
    if batched:
        _check_batches(inputs, labels)
    lengths = _lengths(inputs, names, batched, by_name)
    columns = {name: _column(kept.by_name[name], f"{name!r}" if by_name else f"input {name}", batched,
                             lengths.get(mask_name(name, names)), 0) for name in names}  # fmt: skip
    found: Any = columns if by_name else tuple(columns.values())
    padded = any(len(set(lengths_of)) > 1 for lengths_of in lengths.values())
    if not with_label:
        return Examples(found, padded=padded, on_disk=kept.on_disk)
    label = _column(kept.by_name[None], "the label", batched, lengths.get(mask_name("labels", names)), IGNORED)
    return Examples(found, label, padded=padded, on_disk=kept.on_disk)


def _check_batches(inputs: Sequence[Mapping[str, Tensor]], labels: Sequence[Tensor | None]) -> None:
    for i, (one, label) in enumerate(zip(inputs, labels, strict=True)):
        tensors = [*one.values(), *([] if label is None else [label])]
        if any(not tensor.dim() for tensor in tensors) or len({len(tensor) for tensor in tensors}) > 1:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
            raise SecateurError(
                f"batch {i} of the data has {shapes}; the first dimension of each tensor counts examples, and they "
                "must be as many (or say batched=False: each item is one example)"
            )


def _lengths(
    inputs: Sequence[Mapping[str, Tensor]], names: Sequence[str], batched: bool, by_name: bool
) -> dict[str | None, list[int]]:
    """Of every mask the length of each item."""
    if not by_name:
        return {}
    dim = int(batched)
    masks = {mask for name in names if (mask := mask_name(name, names)) is not None}
    return {mask: [one[mask].shape[dim] if one[mask].dim() > dim else 0 for one in inputs] for mask in masks}


def _column(column: Column, what: str, batched: bool, lengths: Sequence[int] | None, fill: int) -> Tensor:
    """Parts as one tensor, padded with `fill`; whole numbers of labels, whose fill is `IGNORED`, as int64."""
    dim, parts, longest = int(batched), column.parts, 0
    shapes = [tuple(part.shape[dim:]) for part in parts]
    if len(set(shapes)) > 1:
        odd = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
        own = [shape[0] if shape else 0 for shape in shapes]
        if lengths is None or own != list(lengths) or len({shape[1:] for shape in shapes}) > 1:
            raise SecateurError(
                f"{what} of item {odd} of the data has shape {shapes[odd]}, of item 0 {shapes[0]}: give all one shape, "
                "or, where lengths vary, inputs by name with an attention_mask of the same lengths, whose zeros are "
                "padding"
            )
        longest = max(own)
    kinds = {part.dtype for part in parts}
    if torch.bool in kinds and len(kinds) > 1:
        raise SecateurError(f"{what} is True or False in some items of the data and a number in others; give one kind")
    dtype = functools.reduce(torch.promote_types, kinds)
    if fill == IGNORED and not (dtype.is_floating_point or dtype.is_complex or dtype == torch.bool):
        dtype = torch.int64
    return column_of(column, batched, dtype, longest, fill)


def column_of(column: Column, batched: bool, dtype: torch.dtype, longest: int = 0, fill: int = 0) -> Tensor:
    """Parts as one tensor of a type, padded to `longest` with `fill` where that is not 0; on disk if they are."""
    dim, parts = int(batched), column.parts
    if not longest and all(part.dtype == dtype for part in parts):
        return column.whole(batched)
    made = (
        (F.pad(part, (*[0, 0] * (part.dim() - dim - 1), 0, longest - part.shape[dim]), value=fill) if longest else part)
        .to(dtype)
        for part in parts
    )  # fmt: skip
    if column.on_disk:
        return rewritten(made).whole(batched)
    return torch.cat(list(made)) if batched else torch.stack(list(made))
