"""Recognising attention modules: where each kind keeps its heads, so that they can be removed for good.

The heads' size stays, so rotary embeddings, position tables and norms of a head are none the wiser. What a module's
code does with its numbers cannot be read off it: there may be several layouts for one module, and
`core.pruning.structure` tries them on data, one after the other.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

from torch import nn

from core.pruning.coupling.attention import HeadLayout
from core.pruning.coupling.groups import Slice
from core.pruning.coupling.slim_attention import SlimAttention
from core.workload.attention import HEADS, KV_HEADS, DeclaredHeads, attention_modules
from core.workload.layers.linear import is_transposed, n_outputs
from core.workload.target import Role, Uncuttable

GROUPS = ("num_key_value_groups", "n_rep", "num_queries_per_kv")
WIDTHS = ("all_head_size", "inner_dim", "attn_dim", "split_size", "total_head_dim")  # always heads * size

Positions = tuple[tuple[int, ...], ...]
Resize = Callable[[nn.Module, Sequence[int], Sequence[int]], None]


def head_layouts(model: nn.Module) -> tuple[dict[str, tuple[HeadLayout, ...]], list[Uncuttable]]:
    """Layouts that each attention module may have, by path, likeliest first; and those without, with the reason.

    Attention of which heads cannot even be masked is not among these: `find_targets` lists it.
    """
    uses: dict[int, int] = {}
    for _, parameter in model.named_parameters(remove_duplicate=False):
        uses[id(parameter)] = uses.get(id(parameter), 0) + 1
    found: dict[str, tuple[HeadLayout, ...]] = {}
    refused = []
    for path, module, declared in attention_modules(model):
        if declared.reason:
            continue
        reason = _reason_against(module, declared, uses)
        if reason:
            refused.append(Uncuttable(f"heads of {path or 'model'}", (), reason))
        elif isinstance(module, nn.MultiheadAttention):
            found[path] = (_torchs(path, module),)
        else:
            found[path] = tuple(_layouts(path, module, declared))
    return found, refused


def projections(model: nn.Module) -> list[nn.Module]:
    """Layers that make queries, keys and values: their channels go with their heads, not one by one."""
    return [
        module.get_submodule(name) for _, module, declared in attention_modules(model) for name in declared.projections
    ]


def _reason_against(module: nn.Module, declared: DeclaredHeads, uses: dict[int, int]) -> str | None:
    """Why heads can be masked here and not removed."""
    if isinstance(module, nn.MultiheadAttention):
        if type(module) is not nn.MultiheadAttention:
            return f"{type(module).__name__} is not torch's own nn.MultiheadAttention; what else it does is not known"
        if any(uses[id(parameter)] > 1 for parameter in module.parameters()):
            return "heads can be masked, not removed: it shares its weights"
        return None
    names = declared.projections
    if not names:
        return (
            "heads can be masked, not removed: which of its layers make queries, keys and values, in what order, is "
            "not known; known are three linear layers q_proj, k_proj and v_proj, and one that makes all three, qkv"
        )
    for name in (*names, declared.output):
        layer = module.get_submodule(name)
        own = dict(layer.named_parameters(recurse=False))
        if "weight" not in own or any(uses[id(parameter)] > 1 for parameter in own.values()):
            return f"heads can be masked, not removed: {name} shares its weight, or computes it from other parameters"
    rows = [n_outputs(module.get_submodule(name)) for name in names]
    wide, narrow = declared.n_heads * declared.head_dim, declared.n_kv * declared.head_dim
    expected = [wide, narrow, narrow] if declared.separate else [wide + 2 * narrow]
    if rows != expected:
        return (
            f"heads can be masked, not removed: {', '.join(names)} make {rows} features, and {declared.n_heads} heads "
            f"of {declared.head_dim} with {declared.n_kv} key/value heads would need {expected}"
        )
    return None


def _torchs(path: str, module: nn.MultiheadAttention) -> HeadLayout:
    """`nn.MultiheadAttention`, which has to become a `SlimAttention` before it can lose a head."""
    n, size = module.num_heads, module.head_dim
    biased = module.in_proj_bias is not None
    rows = _runs(range(n), size)
    shared = [s for name in ("k_proj", "v_proj") for s in _slices(path, name, biased, 0, rows, "outputs")]
    if module.bias_k is not None:
        shared += [Slice(_join(path, name), 2, rows, "outputs") for name in ("bias_k", "bias_v")]
    query = (*_slices(path, "q_proj", biased, 0, rows, "outputs"), *_slices(path, "out_proj", False, 1, rows, "inputs"))
    return HeadLayout(path, n, n, query, tuple(shared), _resize_slim, "", size, SlimAttention)


def _resize_slim(module: nn.Module, heads: Sequence[int], kv_heads: Sequence[int]) -> None:
    assert isinstance(module, SlimAttention)
    module.kept_heads, module.num_heads = tuple(heads), len(heads)


def _layouts(path: str, module: nn.Module, declared: DeclaredHeads) -> Iterator[HeadLayout]:
    """Ways in which a module may keep its heads: each order of its rows, with each idea of what its numbers mean."""
    n, n_kv, size = declared.n_heads, declared.n_kv, declared.head_dim
    joined = module.get_submodule(declared.output)
    columns = _slices(path, declared.output, False, 0 if is_transposed(joined) else 1, _runs(range(n), size), "inputs")
    orders: list[tuple[list[Slice], list[Slice]]] = []
    if declared.separate:
        q, k, v = declared.separate
        orders.append(
            (
                _rows(path, module, q, _runs(range(n), size)),
                _rows(path, module, k, _runs(range(n_kv), size)) + _rows(path, module, v, _runs(range(n_kv), size)),
            )
        )
    elif declared.packed:
        for q_at, k_at, v_at in packed_ways(n, n_kv):
            both = tuple(a + b for a, b in zip(_runs(k_at, size), _runs(v_at, size), strict=True))
            orders.append(
                (
                    _rows(path, module, declared.packed, _runs(q_at, size)),
                    _rows(path, module, declared.packed, both),
                )
            )
    numbers = module.get_submodule(declared.core)
    tables = _tables(path, module, declared)
    config = getattr(numbers, "config", None)
    own_config = any(getattr(config, name, None) == n for name in HEADS)
    for with_config, along, all_widths in product((False, True), ((), *tables), (False, True)):
        if (all_widths and not _other_widths(numbers, n * size)) or (with_config and not own_config):
            continue
        for query, shared in orders:
            resize: Resize = partial(_resize, declared=declared, all_widths=all_widths, with_config=with_config)
            yield HeadLayout(path, n, n_kv, (*query, *columns, *along), tuple(shared), resize, declared.core, size)


def packed_ways(n: int, n_kv: int) -> list[tuple[Sequence[int], Sequence[int], Sequence[int]]]:
    """Where queries, keys and values lie in one projection, counted in heads: every order that is known."""
    # all queries, all keys, all values: (3, heads, size)
    ways: list[tuple[Sequence[int], Sequence[int], Sequence[int]]]
    ways = [(range(n), range(n, n + n_kv), range(n + n_kv, n + 2 * n_kv))]
    # of each key/value head its queries, its key, its value: (heads, 3, size) where each head has its own, as in
    # GPT-NeoX and BLOOM; else as in Falcon's new layout
    if n_kv > 1 or n == n_kv:
        each = n // n_kv
        queries = [kv * (each + 2) + i for kv in range(n_kv) for i in range(each)]
        ways.append((queries, range(each, n + 2 * n_kv, each + 2), range(each + 1, n + 2 * n_kv, each + 2)))
    return ways


def _tables(path: str, module: nn.Module, declared: DeclaredHeads) -> list[tuple[Slice, ...]]:
    """What else in an attention has an entry for each head: biases, slopes, sinks, tables of relative positions.

    A dimension as long as there are heads, the last such or the first; or as long as all heads are wide, of a bias or
    of the rows of a further projection, say of positions. That this is what it is shows when it is tried.
    """
    n, size = declared.n_heads, declared.head_dim
    known = {f"{name}.{tensor}" for name in (*declared.projections, declared.output) for tensor in ("weight", "bias")}
    inside = module.get_submodule(declared.core)
    ways: list[list[Slice]] = [[], []]
    for part, owner in inside.named_modules(prefix=declared.core):
        if "Norm" in type(owner).__name__:
            continue
        tensors = (*owner.named_parameters(recurse=False), *owner.named_buffers(recurse=False))
        for name, tensor in ((_join(part, name), tensor) for name, tensor in tensors):
            if name in known or not tensor.is_floating_point():
                continue
            dims = [dim for dim, length in enumerate(tensor.shape) if length == n]
            wide = bool(tensor.dim()) and tensor.shape[0] == n * size
            for way, dim in zip(ways, (dims[-1:], dims[:1]), strict=True):
                if dim:
                    way.append(Slice(_join(path, name), dim[0], tuple((head,) for head in range(n)), "parameter"))
                elif wide:
                    way.append(Slice(_join(path, name), 0, _runs(range(n), size), "parameter"))
    return [tuple(way) for way in (ways[:1] if ways[0] == ways[1] else ways) if way]


def _resize(
    module: nn.Module,
    heads: Sequence[int],
    kv_heads: Sequence[int],
    declared: DeclaredHeads,
    all_widths: bool,
    with_config: bool = False,
) -> None:
    """Write the numbers of heads, of query heads for each key/value head, and of all heads' width.

    Args:
        all_widths: also every other number that was the width of all heads, e.g. `embed_dim`, which may as well mean
            the width of the residual stream: the second thing to try.
        with_config: also in a configuration of its own, for the module reads it while it runs, as Phi-3's does.
    """
    n, size = declared.n_heads, declared.head_dim
    numbers = module.get_submodule(declared.core)
    widths = (*WIDTHS, *_other_widths(numbers, n * size)) if all_widths else WIDTHS
    places: list[Any] = [numbers]
    if with_config:
        numbers.config = copy.deepcopy(numbers.config)
        places.append(numbers.config)
    for names, old, new in (
        (HEADS, n, len(heads)),
        (KV_HEADS, declared.n_kv, len(kv_heads)),
        (GROUPS, n // declared.n_kv, len(heads) // len(kv_heads)),
        (widths, n * size, len(heads) * size),
    ):
        for name, place in product(names, places):
            if name in vars(place) and vars(place)[name] == old:
                setattr(place, name, new)


def _other_widths(module: nn.Module, width: int) -> list[str]:
    known = {*HEADS, *KV_HEADS, *GROUPS, *WIDTHS}
    return [name for name, value in vars(module).items() if type(value) is int and value == width and name not in known]


def _runs(heads: Sequence[int], size: int) -> Positions:
    return tuple(tuple(range(head * size, (head + 1) * size)) for head in heads)


def _rows(path: str, module: nn.Module, name: str, positions: Positions) -> list[Slice]:
    layer = module.get_submodule(name)
    found = _slices(path, name, getattr(layer, "bias", None) is not None, 0, positions, "outputs")
    return [replace(found[0], dim=1), *found[1:]] if is_transposed(layer) else found


def _slices(path: str, name: str, biased: bool, dim: int, positions: Positions, role: Role) -> list[Slice]:
    return [
        Slice(_join(path, name, tensor), dim, positions, role)
        for tensor in (("weight", "bias") if biased else ("weight",))
    ]


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part)
