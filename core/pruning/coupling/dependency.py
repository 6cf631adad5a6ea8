"""Coupled groups: channels and neurons of several layers that can only go together.

What Torch-Pruning says would cut a LayerNorm's channels too, which changes the mean of the others. Here groups with
members that mix channels are refused, and `core.pruning.structure` tries all others on data.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from core.pruning.coupling.channel_graph import CONVS, ChannelGraph, Place
from core.pruning.coupling.groups import Group, Slice
from core.pruning.coupling.recurrent import Gates, part_labels, units_together
from core.pruning.coupling.traced import is_depthwise, traced
from core.pruning.coupling.ways import READING, Way, ways_of
from core.workload.layers.linear import is_transposed
from core.workload.target import Member, Role, Target, Uncuttable

TRANSPOSED = nn.modules.conv._ConvTransposeNd
CHANNEL_NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)  # each channel by itself
NORMS = (*CHANNEL_NORMS, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.PReLU)
OUTPUT = "no layer reads its channels: they are what the model gives"
TANGLED = "its channels were not looked into: they reach so many places that following them was given up"
Unit = tuple[Place, ...]


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
    graph = traced(model, inputs, taken)
    tied = _tied(model)
    kinds: dict[tuple[tuple[int, Role], ...], list[Unit]] = defaultdict(list)
    for places in graph.together().values():
        unit = tuple(sorted(places))
        kinds[tuple(sorted({(number, role) for number, role, _ in unit}))].append(unit)
    groups: list[Group] = []
    followed = {path for path, module in graph.layers if isinstance(module, NORMS)}
    # by name the layers that make the channels, and what is said if nothing reads them; answered together at the end
    lost = {path: ([path], TANGLED) for path in (_called(*graph.layers[number]) for number in graph.lost)}
    unread: dict[str, tuple[list[str], str]] = {}
    reasons: dict[str, str] = {}
    names: set[str] = set()
    everything = {path for path, _ in model.named_modules()}
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items() if isinstance(tensor, Tensor)}
    for kind, units, own_kinds in units_together(graph, kinds):
        makers = [graph.layers[number] for number, role in kind if role == "outputs"]
        if not makers or any(path in taken for path, _ in makers):
            continue
        if any(number in graph.lost for number, role in kind if role == "outputs"):
            continue  # all that we know of these channels is what other layers' said
        path, first = makers[0]
        name = _called(path, first) or "model"
        if isinstance(first, Gates) and first.kind == "hr":
            name = first.parameter
        if name in names:  # a layer of which several parts go different ways
            name = f"{name}@{units[0][0][2]}"
        names.add(name)
        gated = any(isinstance(graph.layers[one][1], Gates) and role == "outputs" for one, role in kind)
        members = tuple(
            Member(graph.layers[number][0], role, _places(graph, number, units).get(role) if gated else None)
            for number, role in kind
        )
        reason = _reason_against(model, graph, kind, own_kinds, tied)
        if reason is None:
            path = _called(path, first)
            kind_name = type(model.get_submodule(path)).__name__ if path in everything else type(first).__name__
            made = _group(model, graph, name, kind_name, members, kind, sorted(units), shapes)
            if isinstance(made, Group):
                groups.append(made)
                continue
            reason = made
        reasons[name] = reason
        if reason == OUTPUT:
            unread[name] = ([_called(path, module) for path, module in makers], OUTPUT)
    said = [_who_read(model, inputs, asked, followed) for asked in (lost, unread)]
    return groups, [
        Uncuttable(f"channels of {name}", (), reason)
        for name, reason in (*said[0].items(), *(reasons | said[1]).items())
    ]


def _who_read(
    model: nn.Module,
    inputs: Sequence[Tensor],
    asked: dict[str, tuple[list[str], str]],
    followed: Collection[str],
) -> dict[str, str]:
    ways = ways_of(model, inputs, {name: makers for name, (makers, _) in asked.items()})
    return {name: _who_reads(ways[name], followed, unless) for name, (_, unless) in asked.items()}


def _called(path: str, module: Any) -> str:
    """Path of the module that a layer of the graph stands for: a recurrent layer has several weights."""
    return module.path if isinstance(module, Gates) else path


def _places(graph: ChannelGraph, number: int, units: Sequence[Unit]) -> dict[Role, int | None]:
    """How many rows and columns the units of a recurrent layer take up in a layer, of which they need not take all."""
    layer = graph.layers[number][1]
    if isinstance(layer, CONVS) and layer.groups > 1:
        return {}
    n = {role: sum(place[:2] == (number, role) for unit in units for place in unit) for role in ("outputs", "inputs")}
    return {"outputs": n["outputs"] * (layer.n_gates if isinstance(layer, Gates) else 1), "inputs": n["inputs"]}


def _who_reads(way: Way | None, followed: Collection[str], unless: str = OUTPUT) -> str:
    """Why channels that no known layer reads cannot go: only what nothing reads is what the model gives."""
    others = [(path, kind) for path, kind in way.modules if path not in followed] if way else []
    if others:
        path, kind = others[0]
        if kind in ("Linear", "Conv1D", "Conv1d", "Conv2d", "Conv3d"):
            if unless == TANGLED:
                return unless
            return f"{path} reads its channels behind operations through which they could not be followed"
        return f"{path or 'the model'}, a {kind}, reads its channels, and Secateur does not cut what it reads"
    calls = [call for call in way.calls if call in READING] if way else []
    if calls:
        return f"its channels go through {', '.join(calls)}, and no layer that Secateur knows reads them after that"
    if unless == OUTPUT and way and not way.is_output:
        return "no layer reads its channels, as far as Secateur can follow them"
    return unless


def _tied(model: nn.Module) -> dict[int, list[str]]:
    names: dict[int, list[str]] = defaultdict(list)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names[id(parameter)].append(name)
    return {key: found for key, found in names.items() if len(found) > 1}


def _reason_against(
    model: nn.Module,
    graph: ChannelGraph,
    kind: tuple[tuple[int, Role], ...],
    own_kinds: Sequence[tuple[tuple[int, Role], ...]],
    tied: dict[int, list[str]],
) -> str | None:
    """Why channels of these layers cannot go, as far as the layers themselves tell."""
    for one in own_kinds:
        readers = [graph.layers[number][1] for number, role in one if role == "inputs"]
        if all(isinstance(module, Gates) and module.kind == "hh" for module in readers):  # only their own next step
            return OUTPUT
    for number, role in kind:
        path, module = graph.layers[number]
        if role == "parameter":
            continue
        if isinstance(module, Gates):
            held = dict(model.named_parameters(remove_duplicate=False))
            own = {"weight": held[module.parameter]}
            own |= {"bias": held[module.bias_name]} if module.bias_name else {}
        else:
            own = dict(model.get_submodule(path).named_parameters(recurse=False))
        if role == "norm" and not isinstance(module, (*CHANNEL_NORMS, nn.PReLU)) and not is_depthwise(module):
            name = type(module).__name__
            if isinstance(module, (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)):
                return f"{name} {path} takes the mean of its channels, so without some the others would change"
            return f"they go through {path}, a {name}, whose channels Secateur does not cut"
        if is_depthwise(module) and module.in_channels != module.out_channels:
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
    labels: list[list[Any]] = [[label] for label in part_labels(graph, kind, units)]
    places = _positions(units)
    for number, role in kind:
        path, layer = graph.layers[number]
        positions = [places.get((number, role, unit), ()) for unit in range(len(units))]
        if role == "parameter":
            slices.append(Slice(path, graph.dims[number], tuple(positions), role))
            continue
        if isinstance(layer, Gates):
            slices += _gate_slices(layer, role, positions)
            continue
        module: Any = model.get_submodule(path)
        conv_groups = module.groups if isinstance(module, CONVS) and not is_depthwise(module) else 1
        if conv_groups > 1:
            if isinstance(module, TRANSPOSED):
                return f"{path} is a grouped transposed convolution, whose channels Secateur does not cut"
            size = (module.out_channels if role == "outputs" else module.in_channels) // conv_groups
            of_unit = [found[0] // size if found else None for found in positions]
            n = len(units) - of_unit.count(None)
            if {of_unit.count(part) for part in range(conv_groups)} != {n // conv_groups}:
                return f"they are an unequal share of the {conv_groups} groups of the grouped convolution {path}"
            for label, part in zip(labels, of_unit, strict=True):
                label.append(part)
        slices += layer_slices(path, module, role, tuple(positions), conv_groups)
    distinct = sorted({tuple(label) for label in labels}, key=repr)
    parts = tuple(distinct.index(tuple(label)) for label in labels)
    sizes = {parts.count(part) for part in range(len(distinct))}
    if len(sizes) > 1:
        if any(label[0] for label in labels):
            return f"layers and directions of {name} hold unequal shares of its channels, and must keep equally many"
        return "grouped convolutions divide its channels into parts of unequal size"
    makes = next(one for one in slices if one.role == "outputs")
    target = Target(
        name, "channel", kind_name, makes.tensor, shapes[makes.tensor], 0,
        n_units=len(units), n_parts=len(distinct), members=members,
    )  # fmt: skip
    group = Group(target, tuple(slices), parts)
    return replace(group, target=replace(target, n_weights=group.n_entries(shapes)))


def _positions(units: Sequence[Unit]) -> dict[tuple[int, Role, int], tuple[int, ...]]:
    """Positions by layer, role and the number of the unit; each place is looked at once, a residual stream has many."""
    found: dict[tuple[int, Role, int], tuple[int, ...]] = {}
    for i, unit in enumerate(units):
        for number, role, position in unit:
            found[number, role, i] = (*found.get((number, role, i), ()), position)
    return found


def _gate_slices(gates: Gates, role: Role, positions: Sequence[tuple[int, ...]]) -> list[Slice]:
    """Where units lie in one weight of a recurrent layer: its rows of all gates and their biases, or its columns."""
    if role == "inputs":
        return [Slice(gates.parameter, 1, tuple(positions), role)]
    n = gates.out_features
    rows = tuple(tuple(p + n * gate for gate in range(gates.n_gates) for p in own) for own in positions)
    names = (gates.parameter, gates.bias_name) if gates.bias_name else (gates.parameter,)
    return [Slice(name, 0, rows, role) for name in names]


def layer_slices(
    path: str, module: nn.Module, role: Role, positions: tuple[tuple[int, ...], ...], conv_groups: int = 1
) -> list[Slice]:
    """Where units lie in the tensors of one layer."""
    own: dict[str, Tensor] = dict(module.named_parameters(recurse=False))
    own.update(module.named_buffers(recurse=False))
    prefix = f"{path}." if path else ""
    is_turned = is_transposed(module)
    if role == "inputs":
        dim = 0 if isinstance(module, TRANSPOSED) or is_turned else 1
        return [Slice(f"{prefix}weight", dim, positions, role, conv_groups)]
    one_by_one = role == "norm"  # a depthwise convolution has its channels first, transposed or not
    found = []
    for name, tensor in own.items():
        if tensor.ndim == 0 or (isinstance(module, nn.PReLU) and tensor.numel() == 1):
            continue
        second = name == "weight" and isinstance(module, (TRANSPOSED, nn.Embedding)) and not one_by_one
        second = second or (name == "weight" and is_turned)
        dim = 1 if second else 0
        found.append(Slice(f"{prefix}{name}", dim, positions, role))
    return found
