"""Keys and values that a language model keeps of every position of a text, so that the next word costs one step."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from core.pruning.coupling.head_layouts import head_layouts
from core.pruning.structure import Structure
from core.workload.attention import attention_modules
from core.workload.description import Cached
from core.workload.outputs import tensors_of

SAME = 1e-4  # of the largest output: what a later word may move earlier ones by, which is rounding


def cached(model: nn.Module, structure: Structure, inputs: Sequence[Tensor]) -> tuple[tuple[Cached, ...], str | None]:
    """Of every attention of a causal language model what it keeps of a position; or why there is no such thing.

    A model is one if it takes whole numbers, gives something for each of them, and what it gives for the first ones
    stays the same whatever comes after: tried, whatever the model is called.

    Args:
        model: in evaluation mode; run twice.
        structure: of it.
        inputs: of a small batch.
    """
    why = _not_causal(model, inputs)
    if why is not None:
        return (), why
    layouts, opaque = head_layouts(model)
    layouts |= {path: (layout,) for path, layout in structure.heads.items()}
    refused = {path: declared.reason for path, _, declared in attention_modules(model) if declared.reason}
    if opaque or refused:
        name, reason = next(iter(refused.items()), None) or (opaque[0].name, opaque[0].reason)
        return (), f"what an attention keeps is not known, {name}: {reason}"
    if not layouts:
        return (), "no attention is known of it"
    parameters = dict(model.named_parameters())
    found = []
    for path, (layout, *_) in layouts.items():
        rows = [one for one in layout.shared if one.role == "outputs" and parameters[one.tensor].dim() > 1]
        width = sum(len(places) for one in rows for places in one.positions)
        if not width or width != 2 * layout.n_kv * layout.head_dim:
            return (), f"how wide the keys and values of {path} are is not known"
        found.append(Cached(path, layout.n_kv, width * parameters[rows[0].tensor].element_size()))
    return tuple(found), None


def _not_causal(model: nn.Module, inputs: Sequence[Tensor]) -> str | None:
    words = next(
        (i for i, x in enumerate(inputs) if not x.is_floating_point() and x.dim() == 2 and x.shape[1] > 1), None
    )
    if words is None:
        return "it reads no texts"
    given = [x[:1].clone() for x in inputs]
    length = given[words].shape[1]
    other = [x.clone() for x in given]
    middle = length // 2
    other[words][:, middle:] = given[words][:, middle:].flip(1)
    if torch.equal(other[words], given[words]):
        other[words][:, middle:] = given[words][:, :1]
    with torch.inference_mode():
        before, after = (tensors_of(model(*some))[0] for some in (given, other))
    if before.dim() < 3 or before.shape[1] != length:
        return "it does not give something for every word"
    apart = float((before[:, :middle] - after[:, :middle]).abs().max())
    return None if apart <= SAME * float(before.abs().max()) else "later words change what it gives for earlier ones"
