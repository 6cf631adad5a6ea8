"""What of a model can be cut, and what cannot: the one place that decides."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize

from core.workload.attention import attention_modules, silent_attentions
from core.workload.layers.linear import is_transposed
from core.workload.target import RECURRENT_WEIGHTS, Layout, Target, Uncuttable, head_name, kv_name, skip_name

WEIGHT_LAYERS: tuple[type[nn.Module], ...] = (
    nn.Linear,
    nn.Bilinear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Embedding,
    nn.EmbeddingBag,
)
NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
)
PACKED = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


def find_targets(model: nn.Module) -> tuple[tuple[Target, ...], tuple[Uncuttable, ...]]:
    """Every layer and head that can be cut, in the order the model defines them, and every parameter that cannot.

    Layers are `WEIGHT_LAYERS`, the projections inside `nn.MultiheadAttention` and the weights of recurrent layers.
    Heads are found in every module that declares them and joins them by a linear layer, head by head, as
    `core.workload.attention` says; where several query heads share keys and values, also these groups. A weight that
    several layers share is one target.

    Returns:
        Targets (layers first, then heads, key/value groups, blocks) and what is left: each parameter is in exactly one
        of the two.
    """
    names: dict[int, list[str]] = {}
    tensors: dict[int, nn.Parameter] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
        tensors[id(parameter)] = parameter
    overlapping = _overlapping(tensors)
    of_a_program: Mapping[str, str] = getattr(model, "program_reasons", {})  # of one that was made of layers again

    targets: dict[int, Target] = {}
    refused: dict[str, Uncuttable] = {}
    for path, module in model.named_modules():
        for attribute in _weight_attributes(module):
            parameter = getattr(module, attribute)
            full_name = f"{path}.{attribute}" if path else attribute
            if not isinstance(parameter, nn.Parameter):
                computed = _computed_reason(module, attribute)
                refused[full_name] = Uncuttable(full_name, tuple(parameter.shape), computed)
                continue
            if id(parameter) in targets or refused.keys() & set(names[id(parameter)]):
                continue  # tied to one that was met before
            reason = _of_an_adapter(path) or _reason_against(parameter) or overlapping.get(id(parameter))
            if reason:
                refused[full_name] = Uncuttable(full_name, _shape(parameter), reason)
                continue
            others = tuple(name for name in names[id(parameter)] if name != full_name)
            label = path or "model"
            if attribute != "weight":
                label += "." + attribute.removesuffix("_weight")
            targets[id(parameter)] = Target(
                label, "weight", _kind(module), full_name, tuple(parameter.shape), parameter.numel(), others,
                layout=_layout(module),
            )  # fmt: skip

    covered = {name for key in targets for name in names[key]} | set(refused)
    for key, parameter_names in names.items():
        if key not in targets and not covered.intersection(parameter_names):
            name = parameter_names[0]
            said = of_a_program.get(name) or _not_a_layer_reason(model, name)
            refused[name] = Uncuttable(name, _shape(tensors[key]), said)
    for path, _ in quantized_layers(model):
        refused[path] = Uncuttable(path, (), "is quantized already, its weights packed; prune the float model first")
    heads, opaque = _find_heads(model, {target.parameter: target for target in targets.values()})
    opaque += [Uncuttable(name, (), said) for name, said in of_a_program.items() if name.startswith("heads of ")]
    return (*targets.values(), *heads, *_find_blocks(model)), (*refused.values(), *opaque)


def quantized_layers(model: nn.Module) -> list[tuple[str, str]]:
    """Paths and classes of layers whose weights torch keeps packed as whole numbers, where no parameter is seen."""
    kinds = [
        (path or "model", type(module)) for path, module in model.named_modules() if hasattr(module, "_packed_params")
    ]
    packed = [(path, kind.__name__) for path, kind in kinds if ".quantized" in kind.__module__]
    return [(path, kind) for path, kind in packed if not path.endswith("._packed_params")]


def _find_blocks(model: nn.Module) -> list[Target]:
    """Members of a stack that are made of layers themselves: residual blocks, transformer layers.

    Whether one can be skipped, because it gives what it takes, shows when it is tried.
    """
    blocks: list[Target] = []
    for path, stack in model.named_modules():
        if not isinstance(stack, nn.Sequential | nn.ModuleList):
            continue
        for name, module in stack.named_children():
            is_stack = type(module) in (nn.Sequential, nn.ModuleList)
            if is_stack or not list(module.children()) or not list(module.parameters()):
                continue
            full = f"{path}.{name}" if path else name
            n = sum(parameter.numel() for parameter in module.parameters())
            blocks.append(Target(full, "block", type(module).__name__, skip_name(full), (), n))
    return blocks


def _kind(module: nn.Module) -> str:
    """The layer's class as people know it: torch has a private subclass of Linear inside its attention."""
    cls = type(module)
    if cls.__module__.startswith("torch.") and cls not in WEIGHT_LAYERS:
        return next((known.__name__ for known in WEIGHT_LAYERS if isinstance(module, known)), cls.__name__)
    return cls.__name__


def _layout(module: nn.Module) -> Layout:
    """What the dimensions of a layer's weight are; by class, for a subclass may have any name."""
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        return "inputs_first"
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return "looked_up"
    if not isinstance(module, WEIGHT_LAYERS) and is_transposed(module):
        return "transposed"
    if is_experts(module):
        return "experts"
    return "two_inputs" if isinstance(module, nn.Bilinear) else "outputs_first"


def is_experts(module: nn.Module) -> bool:
    """Whether a module holds the weights of several experts in one parameter each: (experts, …, …)."""
    if "expert" not in type(module).__name__.lower():
        return False
    known = [p for p in module.parameters(recurse=False) if not isinstance(p, UninitializedParameter)]
    own = [parameter for parameter in known if parameter.dim() == 3]
    return len({len(parameter) for parameter in own}) == 1


def _weight_attributes(module: nn.Module) -> Iterator[str]:
    if isinstance(module, nn.MultiheadAttention):
        yield from (name for name in PACKED if getattr(module, name, None) is not None)
    elif isinstance(module, nn.RNNBase | nn.RNNCellBase):
        names = dict.fromkeys((*dict(module.named_parameters(recurse=False)), *_computed_names(module)))
        yield from (name for name in names if name.startswith(RECURRENT_WEIGHTS))
    elif is_experts(module):
        yield from (name for name, parameter in module.named_parameters(recurse=False) if parameter.dim() == 3)
    elif (isinstance(module, WEIGHT_LAYERS) and getattr(module, "weight", None) is not None) or is_transposed(module):
        yield "weight"


def _computed_names(module: nn.Module) -> Iterator[str]:
    """Names of tensors that a parametrization, a weight norm or a mask makes of other parameters."""
    if parametrize.is_parametrized(module):
        yield from module.parametrizations  # type: ignore[misc]
    for name, _ in module.named_parameters(recurse=False):
        if name.endswith(("_orig", "_v")) and isinstance(getattr(module, name.rpartition("_")[0], None), torch.Tensor):
            yield name.rpartition("_")[0]


def _overlapping(tensors: dict[int, nn.Parameter]) -> dict[int, str]:
    """Parameters that are different objects on the same memory: a mask on one would silently cut the other."""
    by_storage: dict[int, list[int]] = {}
    for key, parameter in tensors.items():
        if isinstance(parameter, UninitializedParameter) or parameter.device.type == "meta":
            continue
        if parameter.layout == torch.strided and parameter.numel():
            by_storage.setdefault(parameter.untyped_storage().data_ptr(), []).append(key)
    reason = (
        "shares memory with another parameter without being the same one; tie them by assigning one parameter to both"
    )
    return {key: reason for keys in by_storage.values() if len(keys) > 1 for key in keys}


def _reason_against(parameter: nn.Parameter) -> str | None:
    if isinstance(parameter, UninitializedParameter):
        return "not initialised yet; run one batch through the model first"
    if parameter.device.type == "meta":
        return "has no values (meta device); load the weights first"
    if parameter.layout != torch.strided:
        return f"stored as {parameter.layout}; call to_dense() first"
    if parameter.is_complex():
        return (
            f"holds {parameter.dtype}, which no criterion ranks; keep real and imaginary parts as two real parameters"
        )
    if not parameter.is_floating_point():
        return f"holds {parameter.dtype}, not floating-point numbers; prune before quantizing"
    if parameter.numel() == 0:
        return "is empty"
    return None


def _of_an_adapter(path: str) -> str | None:
    """Why a layer of a low-rank adapter (PEFT's LoRA and its kin) is no layer to cut."""
    names = path.split(".")
    if not any(name.startswith(("lora_A", "lora_B", "lora_embedding_", "lora_magnitude")) for name in names):
        return None
    return (
        "part of a LoRA adapter, which is added to another layer's weight; merge the adapter first (merge_and_unload)"
    )


def _shape(parameter: nn.Parameter) -> tuple[int, ...]:
    return () if isinstance(parameter, UninitializedParameter) else tuple(parameter.shape)


def _computed_reason(module: nn.Module, attribute: str) -> str:
    if hasattr(module, f"{attribute}_mask"):
        return f"computed from {attribute}_orig by torch.nn.utils.prune; call prune.remove first"
    mend = "torch.nn.utils.remove_weight_norm or remove_spectral_norm of the layer"
    if parametrize.is_parametrized(module, attribute):
        mend = f"torch.nn.utils.parametrize.remove_parametrizations(layer, {attribute!r})"
    return (
        f"computed from other parameters (a parametrization or weight norm); remove the parametrization first: {mend}"
    )


def _not_a_layer_reason(model: nn.Module, name: str) -> str:
    path, _, attribute = name.rpartition(".")
    module = model.get_submodule(path)
    if isinstance(module, NORMS) or ("Norm" in type(module).__name__ and not list(module.children())):
        return "scale or shift of a normalisation: one number per channel, cut with its channel or not at all"
    if "parametrizations" in path or attribute.endswith(("_orig", "_g", "_v")):
        return "source of a computed weight; remove the parametrization first"
    if attribute.startswith("bias") or attribute.endswith("bias") or attribute in ("bias_k", "bias_v"):
        return "bias: one number per output, nothing to gain"
    if type(module).__name__ == "Conv1D":  # of transformers, GPT-2's
        return (
            "weight of a Conv1D that does not give what a linear layer of the transposed weight gives; replace the "
            "layer by an nn.Linear"
        )
    return f"a parameter of {type(module).__name__} itself, not of a layer that Secateur knows"


def _find_heads(model: nn.Module, cuttable: dict[str, Target]) -> tuple[list[Target], list[Uncuttable]]:
    """Heads, then key/value groups where query heads share their keys and values; and attentions of unknown layout."""
    heads: list[Target] = []
    opaque: list[Uncuttable] = []
    for path, module, declared in attention_modules(model):
        parameter = f"{path}.{declared.output}.weight" if path else f"{declared.output}.weight"
        target = cuttable.get(parameter)
        reason = declared.reason
        if reason is None and (target is None or target.shared_with):
            what = "is shared with another layer or cannot be cut"
            reason = f"its {declared.output} {what}, so a head cannot be removed alone"
        if reason is not None or target is None:
            opaque.append(Uncuttable(f"heads of {path or 'model'}", (), reason or ""))
            continue
        one = Target(
            head_name(path, 0), "head", type(module).__name__, parameter, target.shape,
            target.n_outputs * declared.head_dim, layer=path, head=0, layout=target.layout,
        )  # fmt: skip
        n, n_kv = declared.n_heads, declared.n_kv
        heads += [replace(one, name=head_name(path, head), head=head) for head in range(n)]
        if n_kv < n:
            group = replace(one, granularity="kv_group", n_weights=one.n_weights * (n // n_kv))
            heads += [replace(group, name=kv_name(path, head), head=head) for head in range(n_kv)]
    for path, kind in silent_attentions(model):
        reason = (
            f"{kind} says no number of heads by a name that Secateur knows (num_heads, n_heads, …), or has none; what "
            "each head makes is not looked for without it"
        )
        opaque.append(Uncuttable(f"heads of {path or 'model'}", (), reason))
    heads.sort(key=lambda target: target.granularity == "kv_group")
    return heads, opaque
