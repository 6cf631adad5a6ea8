"""How attention modules declare their heads: the one place that knows names of numbers and of layers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from core.workload.layers.linear import is_linear, n_inputs, n_outputs

HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "heads", "n_local_heads")
KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_kv_heads", "n_kv_head", "kv_heads", "n_local_kv_heads")
# the width of a head where heads are joined: first what is said of the values alone (DeepSeek's latent attention)
SIZES = ("v_head_dim", "head_dim", "attention_head_size", "head_size", "dim_head", "d_head", "key_value_proj_dim")
SEPARATE = (
    ("q_proj", "k_proj", "v_proj"),
    ("query", "key", "value"),  # Hugging Face's BERT family
    ("query_proj", "key_proj", "value_proj"),
    ("q_lin", "k_lin", "v_lin"),  # DistilBERT
    ("wq", "wk", "wv"),  # Meta's Llama
    ("to_q", "to_k", "to_v"),
    ("q", "k", "v"),  # T5
    ("linear_q", "linear_k", "linear_v"),  # Conformer
)
PACKED = ("qkv", "in_proj", "query_key_value", "c_attn", "qkv_proj", "to_qkv", "Wqkv")
OUTPUTS = (
    "out_proj",
    "o_proj",
    "proj",
    "c_proj",
    "wo",
    "dense",
    "out_lin",
    "to_out",
    "o",
    "Wo",
    "projection",
    "linear_out",
)


@dataclass(frozen=True)
class DeclaredHeads:
    """What an attention module says of its heads.

    Attributes:
        n_heads, n_kv: query heads, and key/value heads; fewer in grouped-query attention, Ainslie et al. 2023,
            arXiv:2305.13245.
        head_dim: of each head; 0 if it is not known.
        output: name of the layer that joins the heads, within the module.
        separate: names of the query, key and value layers; or `None`.
        packed: name of the one layer that makes all three; or `None`.
        core: name of the module within that keeps the numbers and the projections; empty for the module itself.
        reason: why no head can even be masked; `None` if each owns its columns of `output`, in order.
    """

    n_heads: int
    n_kv: int
    head_dim: int
    output: str
    separate: tuple[str, str, str] | None
    packed: str | None
    core: str
    reason: str | None

    @property
    def projections(self) -> tuple[str, ...]:
        """Names of the layers that make queries, keys and values, as far as they are known."""
        return self.separate or ((self.packed,) if self.packed else ())


def attention_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module, DeclaredHeads]]:
    """Every module that declares heads, once, by its first path; not what only passes a number on to a child."""
    inner: set[int] = set()
    for path, module in model.named_modules():  # each module once
        declared = None if id(module) in inner else declared_heads(module)
        if declared is None:
            continue
        if declared.core:
            inner.add(id(module.get_submodule(declared.core)))
        below = (child for child in module.modules() if child is not module and id(child) not in inner)
        if declared.reason and any(declared_heads(child) for child in below):
            continue
        yield path, module, declared


def silent_attentions(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Modules that are called attentions and do not say how many heads they have: path and class, outermost first."""
    saying = [path for path, _, _ in attention_modules(model)]
    found: list[str] = []
    for path, module in model.named_modules():
        name = type(module).__name__
        if not name.lower().endswith(("attention", "attn")) or isinstance(module, torch.jit.ScriptModule):
            continue
        if any(f"{path}.".startswith(f"{one}.") or f"{one}.".startswith(f"{path}.") for one in (*saying, *found)):
            continue
        known = (p for p in module.parameters() if not isinstance(p, UninitializedParameter))
        if sum(parameter.dim() > 1 for parameter in known) > 1:
            found.append(path)
            yield path, name


def declared_heads(module: nn.Module) -> DeclaredHeads | None:
    """What a module says of its heads; `None` if it does not say that it has any.

    Known are `nn.MultiheadAttention`, a module with a number of heads beside its projections (or, as in Hugging Face's
    Llama, whose numbers are in its configuration, with a `head_dim` beside them), and one whose part `self` or
    `attention` makes the heads that its `output.dense` joins, as in the BERT family.
    """
    if isinstance(module, torch.jit.ScriptModule):  # its parts cannot be asked for
        return None
    core = _core_of(module)
    inside = module.get_submodule(core)
    if not next(inside.children(), None) and _number(inside, HEADS) is None:
        return None  # most modules: a layer, asked for fifteen parts that it cannot have
    separate, packed = _projections(inside)
    n_heads = _number(inside, HEADS)
    size = _number(inside, SIZES)
    if n_heads is None and size and (separate or packed):
        n_heads = _derived(module, inside, size, separate)
    if not n_heads:
        return None
    output, reason = _output(module, n_heads, size, core)
    projection = _linear(module, output)
    if reason is None and projection is not None:
        if size is None and not any(hasattr(inside, name) for name in SIZES) and (separate or packed):
            size = n_inputs(projection) // n_heads  # nanoGPT and its kin do not store it
        if n_inputs(projection) != n_heads * (size or 0) or not size:
            reason = (
                f"{output} has {n_inputs(projection)} inputs, not num_heads {n_heads} x head_dim {size}: a head's "
                "columns are unknown"
            )
    prefix = f"{core}." if core else ""
    return DeclaredHeads(
        n_heads,
        _n_kv(inside, n_heads, size, separate),
        size or 0,
        output,
        separate and (prefix + separate[0], prefix + separate[1], prefix + separate[2]),
        packed and prefix + packed,
        core,
        reason,
    )


def _core_of(module: nn.Module) -> str:
    for name in ("self", "attention"):
        part = getattr(module, name, None)
        if not isinstance(part, nn.Module) or _number(part, HEADS) is None:
            continue
        if name == "self" or (_linear(module, "output.dense") and not any(_linear(part, output) for output in OUTPUTS)):
            return name
    return ""


def _projections(module: nn.Module) -> tuple[tuple[str, str, str] | None, str | None]:
    found = [names for names in SEPARATE if all(_linear(module, name) for name in names)]
    joint = [name for name in PACKED if _linear(module, name)]
    if len(found) + len(joint) != 1:
        return None, None
    return (found[0], None) if found else (None, joint[0])


def _derived(module: nn.Module, inside: nn.Module, size: int, separate: tuple[str, str, str] | None) -> int | None:
    """The number of heads that the sizes of the projections tell."""
    if separate is not None:
        query = _linear(inside, separate[0])
        return n_outputs(query) // size if query is not None else None
    widths = [n_inputs(layer) for name in OUTPUTS if (layer := _linear(module, name)) is not None]
    return widths[0] // size if len(widths) == 1 else None


def _output(module: nn.Module, n_heads: int, size: int | None, core: str) -> tuple[str, str | None]:
    """The layer that joins the heads; and why it is not known which, if so."""
    names = ("output.dense",) if core else OUTPUTS
    found = {name: layer for name in _in_sequences(module, names) if (layer := _linear(module, name)) is not None}
    fitting = [name for name, layer in found.items() if size and n_inputs(layer) == n_heads * size]
    if len(fitting) == 1 or len(found) == 1:
        return (fitting or list(found))[0], None
    if not found:
        other = next((name for name in names if isinstance(getattr(module, name, None), nn.Module)), None)
        if other is not None and not core:
            kind = type(getattr(module, other)).__name__
            return names[0], f"its {other} is a {kind}, and only an nn.Linear is known to join heads; replace it by one"
        return names[0], _no_output(module, n_heads, core)
    return names[0], f"any of {', '.join(found)} may join its heads; name the output projection out_proj"


def _no_output(module: nn.Module, n_heads: int, core: str) -> str:
    """Why it is not known which layer joins the heads: with a mend only where there is one."""
    linear = [name for name, child in module.named_modules() if name and is_linear(child)]
    own = [name for name, parameter in module.named_parameters(recurse=False) if parameter.dim() > 1]
    if linear:
        return (
            f"it has {n_heads} heads, and which of its linear layers joins them is not known; Secateur looks for one "
            "called out_proj, o_proj, c_proj, dense or the like"
        )
    if own:
        return (
            f"it has {n_heads} heads, and holds its projections as parameters ({', '.join(own[:6])}), not as linear "
            "layers, of which alone Secateur takes heads"
        )
    return (
        f"it has {n_heads} heads, and no linear layer within it joins them; Secateur takes heads only where the output "
        "projection is a linear layer of the attention module itself"
    )


def _in_sequences(module: nn.Module, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        yield f"{name}.0" if isinstance(getattr(module, name, None), nn.Sequential) else name


def _n_kv(inside: nn.Module, n_heads: int, size: int | None, separate: tuple[str, str, str] | None) -> int:
    stated = _number(inside, KV_HEADS)
    if stated is None and separate is not None and size:
        key = _linear(inside, separate[1])
        stated = n_outputs(key) // size if key is not None else None
    return stated if stated and n_heads % stated == 0 else n_heads


def _number(module: nn.Module, names: tuple[str, ...]) -> int | None:
    values: list[Any] = [getattr(module, name, None) for name in names]
    return next((value for value in values if isinstance(value, int) and not isinstance(value, bool)), None)


def _linear(module: nn.Module, name: str) -> nn.Module | None:
    try:
        layer = module.get_submodule(name)
    except AttributeError:
        return None
    return layer if is_linear(layer) else None
