"""Which channels go together: Torch-Pruning's dependency graph, joined position by position into coupled groups.

Torch-Pruning (Fang et al. 2023, DepGraph, arXiv:2301.12900) follows the autograd graph of one forward pass from each
layer to all that its channels reach. What it takes for element-wise it may be wrong about (a softmax or a mean over
channels, a `view` with sizes written out), and it would cut a LayerNorm's channels, which changes the mean of the
others. So nothing that it says is a cut yet: here groups with members that mix channels are refused, and
`core.pruning.structure` tries all others on data.
"""

import copy
import warnings
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from core.pruning.coupling.channel_graph import CONVS, PRODUCERS, ChannelGraph, Place, pair_halves
from core.pruning.coupling.groups import Group, Slice
from core.workload.target import Member, Role, Target, Uncuttable

TRANSPOSED = nn.modules.conv._ConvTransposeNd
CHANNEL_NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)  # each channel by itself

FEWEST_STEPS, STEPS_PER_NODE = 500, 8  # of collecting one group; a residual stream meets each node a few times
Unit = tuple[Place, ...]


class NoGroups(Exception):  # noqa: N818 - not an error: other cuts of the model are possible
    """Why the coupled groups of a model cannot be found."""


def coupled_groups(
    model: nn.Module, inputs: Sequence[Tensor], claimed: Iterable[nn.Module] = ()
) -> tuple[list[Group], list[Uncuttable]]:
    """Coupled groups of channels and neurons, and layers whose channels cannot be cut, each with the reason.

    Args:
        model: only read; a copy is traced.
        inputs: of a small batch.
        claimed: layers whose outputs are somebody else's, e.g. the projections into attention heads.

    Raises:
        NoGroups: no forward pass with gradients can be followed.
    """
    mine = {id(module) for module in claimed}
    taken = {path for path, module in model.named_modules() if id(module) in mine}
    graph = _traced(model, inputs, taken)
    tied = _tied(model)
    kinds: dict[tuple[tuple[int, Role], ...], list[Unit]] = defaultdict(list)
    for places in graph.together().values():
        unit = tuple(sorted(places))
        kinds[tuple(sorted({(number, role) for number, role, _ in unit}))].append(unit)
    groups: list[Group] = []
    refused = [
        Uncuttable(
            f"channels of {graph.layers[number][0]}", (), "they reach so many places that following them was given up"
        )
        for number in graph.lost
    ]
    names: set[str] = set()
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items() if isinstance(tensor, Tensor)}
    for kind, units in sorted(kinds.items()):
        makers = [graph.layers[number] for number, role in kind if role == "outputs"]
        if not makers or any(path in taken for path, _ in makers):
            continue
        if any(number in graph.lost for number, role in kind if role == "outputs"):
            continue  # all that we know of these channels is what other layers' said
        path, first = makers[0]
        name = path or "model"
        if name in names:  # a layer of which several parts go different ways
            name = f"{name}@{units[0][0][2]}"
        names.add(name)
        members = tuple(Member(graph.layers[number][0], role) for number, role in kind)
        reason = _reason_against(model, graph, kind, units, tied)
        if reason is None:
            made = _group(model, graph, name, type(first).__name__, members, kind, sorted(units), shapes)
            if isinstance(made, Group):
                groups.append(made)
                continue
            reason = made
        refused.append(Uncuttable(f"channels of {name}", (), reason))
    return groups, refused


def _traced(model: nn.Module, inputs: Sequence[Tensor], taken: Container[str]) -> ChannelGraph:
    try:
        import torch_pruning as tp

        twin = copy.deepcopy(model).eval()
        for parameter in twin.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        with warnings.catch_warnings(), torch.enable_grad(), torch.inference_mode(False):
            warnings.simplefilter("ignore")
            graph = tp.DependencyGraph()
            given = tuple(tensor.clone() for tensor in inputs)
            graph.build_dependency(twin, given, forward_fn=_tensors_of_outputs, verbose=False)
            return _joined(twin, graph, taken)
    except Exception as error:  # whatever it is: the model itself may be fine
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
        raise NoGroups(f"its channels could not be followed: {type(error).__name__}: {first[:200]}") from error


def _tensors_of_outputs(model: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Outputs that depend on parameters: only these can be followed backwards."""
    outputs = model(*inputs)
    found = []
    for leaf in pytree.tree_leaves(outputs):
        parts = [leaf] if isinstance(leaf, Tensor) else pytree.tree_leaves(getattr(leaf, "__dict__", None))
        found += [part for part in parts if isinstance(part, Tensor) and part.grad_fn is not None]
    if not found:
        raise ValueError("no output depends on a parameter by a path that autograd can follow")
    return found


def _joined(twin: nn.Module, traced: Any, taken: Container[str]) -> ChannelGraph:
    """Every layer's group as Torch-Pruning sees it, joined: it may start a group at one layer and miss another.

    Not from layers that are somebody else's: behind the keys of rotary or grouped-query attention, Torch-Pruning's list
    of what goes together grows without end.
    """
    graph = ChannelGraph()
    known = {id(module): path for path, module in twin.named_modules()}
    bare = {id(parameter): name for name, parameter in twin.named_parameters()}
    order = {path: i for i, path in enumerate(known.values())}
    found = [m for m in traced.module2node if id(m) in known or id(m) in bare]
    found.sort(key=lambda m: order.get(known.get(id(m), ""), len(order)))
    for module in found:
        graph.numbers[id(module)] = len(graph.layers)
        graph.layers.append((known.get(id(module)) or bare.get(id(module), ""), module))
    for module in found:
        if not isinstance(module, PRODUCERS) or known.get(id(module)) in taken:
            continue
        own = graph.numbers[id(module)]
        n = traced.get_out_channels(module)
        if all((own, "outputs", i) in graph.parent for i in range(n)):
            continue  # met from another layer
        start = traced.get_pruner_of_module(module).prune_out_channels
        try:
            # where one is tangled its likes are too: each is given half as many
            with _limited(FEWEST_STEPS + STEPS_PER_NODE * len(traced.module2node) // 2 ** len(graph.lost)):
                items = traced.get_pruning_group(module, start, list(range(n)))
        except _TooTangled:
            graph.lost.append(own)
            continue
        for item in items:
            if id(item.dep.target.module) not in graph.numbers:
                continue
            number, role = graph.numbers[id(item.dep.target.module)], _role(item, traced)
            if role == "parameter":
                graph.dims[number] = item.dep.target.pruning_dim
            for position, root in zip(item.idxs, item.root_idxs, strict=True):
                graph.join((own, "outputs", root), (number, role, position))
    pair_halves(graph)
    return graph


class _TooTangled(Exception):  # noqa: N818 - the layer is listed with the reason
    """A group that Torch-Pruning does not come to an end with."""


@contextmanager
def _limited(steps: int) -> Iterator[None]:
    """Inside the block, a group that takes too many steps to collect is given up.

    Torch-Pruning walks a loop of layers again as long as the positions differ, which it does for minutes around a
    rotary embedding. It has no limit of its own; every step adds to the group, so that is where ours is. Steps and not
    seconds: what can be cut must not depend on how busy the machine is.
    """
    from torch_pruning.dependency import graph as module

    left = steps
    before = module.Group

    class Limited(before):  # type: ignore[misc, valid-type]
        def add_dep(self, dep: Any, idxs: Any) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise _TooTangled
            super().add_dep(dep, idxs)

    module.Group = Limited
    try:
        yield
    finally:
        module.Group = before


def _role(item: Any, traced: Any) -> Role:
    module = item.dep.target.module
    if isinstance(module, nn.Parameter):
        return "parameter"
    if not isinstance(module, (*PRODUCERS, nn.Embedding)) or _is_depthwise(module):
        return "norm"
    return "outputs" if traced.is_out_channel_pruning_fn(item.dep.handler) else "inputs"


def _is_depthwise(module: Any) -> bool:
    return isinstance(module, CONVS) and module.groups == module.out_channels and module.groups > 1


def _tied(model: nn.Module) -> dict[int, list[str]]:
    names: dict[int, list[str]] = defaultdict(list)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names[id(parameter)].append(name)
    return {key: found for key, found in names.items() if len(found) > 1}


def _reason_against(
    model: nn.Module,
    graph: ChannelGraph,
    kind: tuple[tuple[int, Role], ...],
    units: Sequence[Unit],
    tied: dict[int, list[str]],
) -> str | None:
    """Why channels of these layers cannot go, as far as the layers themselves tell."""
    if not any(role == "inputs" for _, role in kind):
        return "no layer reads its channels: they are what the model gives"
    for number, role in kind:
        path, module = graph.layers[number]
        if role == "parameter":
            continue
        own = dict(model.get_submodule(path).named_parameters(recurse=False))
        if role == "norm" and not isinstance(module, (*CHANNEL_NORMS, nn.PReLU)) and not _is_depthwise(module):
            name = type(module).__name__
            if isinstance(module, (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)):
                return f"{name} {path} takes the mean of its channels, so without some the others would change"
            return f"they go through {path}, a {name}, whose channels Secateur does not cut"
        if _is_depthwise(module) and module.in_channels != module.out_channels:
            return f"{path} makes several channels of each of its inputs"
        if role in ("inputs", "outputs") and "weight" not in own:
            return f"the weight of {path} is computed from other parameters; remove the parametrization first"
        for parameter in own.values():
            if id(parameter) in tied:
                names = " and ".join(tied[id(parameter)])
                return f"{names} are one tensor, which cannot lose channels in one place only"
    return None


def _group(
    model: nn.Module,
    graph: ChannelGraph,
    name: str,
    kind_name: str,
    members: tuple[Member, ...],
    kind: tuple[tuple[int, Role], ...],
    units: Sequence[Unit],
    shapes: dict[str, tuple[int, ...]],
) -> Group | str:
    """The group of these units; or why there is none."""
    slices: list[Slice] = []
    labels: list[list[int]] = [[] for _ in units]
    for number, role in kind:
        path, _ = graph.layers[number]
        positions = [tuple(p for n, r, p in unit if (n, r) == (number, role)) for unit in units]
        if role == "parameter":
            slices.append(Slice(path, graph.dims[number], tuple(positions), role))
            continue
        module: Any = model.get_submodule(path)
        conv_groups = module.groups if isinstance(module, CONVS) and not _is_depthwise(module) else 1
        if conv_groups > 1:
            if isinstance(module, TRANSPOSED):
                return f"{path} is a grouped transposed convolution, whose channels Secateur does not cut"
            size = (module.out_channels if role == "outputs" else module.in_channels) // conv_groups
            of_unit = [found[0] // size for found in positions]
            if {of_unit.count(part) for part in range(conv_groups)} != {len(units) // conv_groups}:
                return f"they are an unequal share of the {conv_groups} groups of the grouped convolution {path}"
            for label, part in zip(labels, of_unit, strict=True):
                label.append(part)
        slices += layer_slices(path, module, role, tuple(positions), conv_groups)
    distinct = sorted({tuple(label) for label in labels})
    parts = tuple(distinct.index(tuple(label)) for label in labels)
    sizes = {parts.count(part) for part in range(len(distinct))}
    if len(sizes) > 1:
        return "grouped convolutions divide its channels into parts of unequal size"
    makes = next(one for one in slices if one.role == "outputs")
    target = Target(
        name, "channel", kind_name, makes.tensor, shapes[makes.tensor], 0,
        n_units=len(units), n_parts=len(distinct), members=members,
    )  # fmt: skip
    group = Group(target, tuple(slices), parts)
    return replace(group, target=replace(target, n_weights=group.n_entries(shapes, len(units))))


def layer_slices(
    path: str, module: nn.Module, role: Role, positions: tuple[tuple[int, ...], ...], conv_groups: int = 1
) -> list[Slice]:
    """Where units lie in the tensors of one layer."""
    own: dict[str, Tensor] = dict(module.named_parameters(recurse=False))
    own.update(module.named_buffers(recurse=False))
    prefix = f"{path}." if path else ""
    if role == "inputs":
        dim = 0 if isinstance(module, TRANSPOSED) else 1
        return [Slice(f"{prefix}weight", dim, positions, role, conv_groups)]
    one_by_one = role == "norm"  # a depthwise convolution has its channels first, transposed or not
    found = []
    for name, tensor in own.items():
        if tensor.ndim == 0 or (isinstance(module, nn.PReLU) and tensor.numel() == 1):
            continue
        second = name == "weight" and isinstance(module, (TRANSPOSED, nn.Embedding)) and not one_by_one
        dim = 1 if second else 0
        found.append(Slice(f"{prefix}{name}", dim, positions, role))
    return found
