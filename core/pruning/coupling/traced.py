"""What Torch-Pruning says of which channels go together, joined position by position.

Torch-Pruning (Fang et al. 2023, DepGraph, arXiv:2301.12900) follows the autograd graph of one forward pass from each
layer to all that its channels reach. What it takes for element-wise it may be wrong about (a softmax or a mean over
channels, a `view` with sizes written out), so nothing that it says is a cut yet.
"""

import warnings
from collections.abc import Container, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from core.errors import first_line
from core.pruning.coupling.channel_graph import CONVS, PRODUCERS, ChannelGraph, pair_halves
from core.pruning.coupling.recurrent import PACKING, Gates, join_steps, stand_in, steps_of
from core.pruning.coupling.walking import TooTangledError, Walker, forgiving
from core.workload.kept_state import sharing_copy
from core.workload.layers.linear import as_torchs, is_transposed
from core.workload.outputs import tensors_of
from core.workload.target import Role


class NoGroups(Exception):  # noqa: N818 - not an error: other cuts of the model are possible
    """Why the coupled groups of a model cannot be found."""


class _NothingToFollowError(Exception):
    """No output depends on a parameter."""


class _NoStepsError(Exception):
    """The model does not run with stand-ins for its recurrent layers."""


def traced(model: nn.Module, inputs: Sequence[Tensor], taken: Container[str]) -> ChannelGraph:
    """Layers of a model, and which of their channels go together.

    Args:
        model: only read; a copy is traced.
        inputs: of a small batch.
        taken: paths of layers whose outputs are somebody else's.

    Raises:
        NoGroups: no forward pass with gradients can be followed.
    """
    try:
        try:
            return _traced(model, inputs, taken, steps=True)
        except _NoStepsError:  # it looks into its recurrent layers, say: so they are what nothing is known of
            return _traced(model, inputs, taken, steps=False)
    except Exception as error:  # whatever it is: the model itself may be fine
        first = (
            first_line(error) if isinstance(error, _NothingToFollowError) else "one of its operations is not understood"
        )
        raise NoGroups(f"its channels were not looked into: {first}") from error


def _traced(model: nn.Module, inputs: Sequence[Tensor], taken: Container[str], steps: bool) -> ChannelGraph:
    """As `traced`.

    Args:
        steps: put stand-ins in the place of recurrent layers.

    Raises:
        _NoStepsError: the model cannot be followed with stand-ins.
        Exception: the model cannot be followed.
    """
    import torch_pruning as tp

    twin = sharing_copy(model).eval()
    _as_torchs_own(twin)
    has_steps = steps and stand_in(twin)
    try:
        for parameter in twin.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        with warnings.catch_warnings(), torch.enable_grad(), torch.inference_mode(False):
            warnings.simplefilter("ignore")
            graph = tp.DependencyGraph()
            given = tuple(tensor.clone() for tensor in inputs)
            with forgiving():
                graph.build_dependency(twin, given, forward_fn=_tensors_of_outputs, verbose=False)
            try:
                return _joined(twin, graph, taken)
            finally:
                _taken_apart(graph)
    except Exception as error:
        if has_steps:
            raise _NoStepsError from error
        raise


def _taken_apart(graph: Any) -> None:
    """Its nodes hold each other, and a copy of the model: so they go at once, and need not be searched for."""
    for node in graph.module2node.values():
        node.inputs, node.outputs, node.dependencies, node.grad_fn = [], [], [], None
    graph.module2node.clear()


class _AnyBatchNorm(nn.BatchNorm2d):
    def _check_input_dim(self, input: Tensor) -> None:
        """Whatever comes: what stands in for this one takes it."""


def _as_torchs_own(twin: nn.Module) -> None:
    """Put torch's layers in the place of linear layers and batch norms that Torch-Pruning does not know."""
    for path, module in list(twin.named_modules(remove_duplicate=False)):
        made: nn.Module | None = None
        if path and is_transposed(module):
            made = as_torchs(module)
        elif path and (n := frozen_channels(module)):
            made = _AnyBatchNorm(n).eval()
        if made is not None:
            parent, _, name = path.rpartition(".")
            setattr(twin.get_submodule(parent), name, made)


def frozen_channels(module: nn.Module) -> int | None:
    """How many channels a frozen batch norm has, as in detection backbones: one of buffers; `None` for other modules.

    By what it holds: scale, shift, mean and variance, all of one length. What it does shows when it is tried.
    """
    if isinstance(module, nn.modules.batchnorm._NormBase) or list(module.children()):
        return None
    held = dict((*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)))
    own = [held.get(name) for name in ("weight", "bias", "running_mean", "running_var")]
    sizes = {tuple(tensor.shape) for tensor in own if tensor is not None}
    if any(tensor is None for tensor in own) or len(sizes) != 1 or len(next(iter(sizes))) != 1:
        return None
    return next(iter(sizes))[0]


def _tensors_of_outputs(model: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Outputs that depend on parameters: only these can be followed backwards."""
    with _WithoutEmpty():
        found = [tensor for tensor in tensors_of(model(*inputs)) if tensor.grad_fn is not None]
    if not found:
        raise _NothingToFollowError("no output depends on a parameter by a path that autograd can follow")
    return found


def _joined(twin: nn.Module, found_by: Any, taken: Container[str]) -> ChannelGraph:
    """Every layer's group as Torch-Pruning sees it, joined: it may start a group at one layer and miss another.

    Not from layers that are somebody else's: behind the keys of rotary or grouped-query attention, Torch-Pruning's list
    of what goes together grows without end.
    """
    graph = ChannelGraph()
    known = {id(module): path for path, module in twin.named_modules()}
    bare = {id(parameter): name for name, parameter in twin.named_parameters()}
    order = {path: i for i, path in enumerate(known.values())}
    found = [m for m in found_by.module2node if id(m) in known or id(m) in bare]
    found += steps_of(twin, found)
    found.sort(key=lambda m: order.get(known.get(id(m), ""), len(order)))
    for module in found:
        graph.numbers[id(module)] = len(graph.layers)
        graph.layers.append((known.get(id(module)) or bare.get(id(module), ""), module))
    walker = Walker(found_by)
    for module in found:
        if not isinstance(module, PRODUCERS) or known.get(id(module)) in taken:
            continue
        if isinstance(module, Gates) and module.kind == "hh":
            continue  # joined below
        own = graph.numbers[id(module)]
        n = found_by.get_out_channels(module)
        if all((own, "outputs", i) in graph.parent for i in range(n)):
            continue  # met from another layer
        try:
            items = walker.group_of(module, n)
        except TooTangledError:
            graph.lost.append(own)
            continue
        for item in items:
            if id(item.dep.target.module) not in graph.numbers:
                continue
            number, role = graph.numbers[id(item.dep.target.module)], _role(item, found_by)
            if role == "parameter":
                graph.dims[number] = item.dep.target.pruning_dim
            for position, root in zip(item.idxs, item.root_idxs, strict=True):
                graph.join((own, "outputs", root), (number, role, position))
    join_steps(graph, twin)
    pair_halves(graph)
    return graph


class _WithoutEmpty(TorchFunctionMode):
    """Joins nothing to what is empty: a cache of keys begins so, and of an empty tensor no channels are known.

    And picks the rows of packed sequences, which torch copies in place, where nothing could be followed.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in PACKING:
            return PACKING[func](*args, **(kwargs or {}))
        if func in (torch.cat, torch.concat, torch.concatenate) and args and isinstance(args[0], list | tuple):
            there = [x for x in args[0] if not (isinstance(x, Tensor) and x.shape == (0,))]
            if len(there) < len(args[0]) and len(there) == 1:
                return there[0]
            args = (there or args[0], *args[1:])
        return func(*args, **(kwargs or {}))


def _role(item: Any, traced: Any) -> Role:
    module = item.dep.target.module
    if isinstance(module, nn.Parameter):
        return "parameter"
    if not isinstance(module, (*PRODUCERS, nn.Embedding)) or is_depthwise(module):
        return "norm"
    return "outputs" if traced.is_out_channel_pruning_fn(item.dep.handler) else "inputs"


def is_depthwise(module: Any) -> bool:
    """Whether a layer has one filter for each channel, and mixes none."""
    return isinstance(module, CONVS) and module.groups == module.out_channels and module.groups > 1
