"""A model's network out of `torch.export`: which operation computes with which target. Imports torch.

A target is found by its tensor: what reads the placeholder that stands for it, through what only reshapes it, up to the
first operation that also reads something that the inputs made. A `Conv1D` of transformers so is its `addmm` and not one
of the two views around it. Of several, the one in the target's own module counts, told by the module stack.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node

from core.graph.network import INPUT, OUTPUT, Network, Operation, Place
from core.sensitivity.forwards.exported import CannotReplay, exported_program, modules_of, own_tensors
from core.workload.programs.layers_again import LAYERS
from core.workload.target import Target

EXAMPLES = 2  # to trace with: of one alone torch takes sizes for fixed that are not
NOT_READ = "no operation of the exported program reads it"


def network_of(model: nn.Module, inputs: Sequence[Tensor], targets: Sequence[Target]) -> Network:
    """The network of a model.

    Args:
        model: in evaluation mode. Only read.
        inputs: of the evaluation data; the first few examples are traced.
        targets: of the model, of every granularity.

    Returns:
        The exported graph; where the model cannot be exported, the tree of its modules with the reason.
    """
    few = tuple(tensor[:EXAMPLES] for tensor in inputs)
    modules = {path: type(module).__name__ for path, module in model.named_modules()}
    try:
        exported = exported_program(model, few, any_size=False)
        by_name = {node.name: node for node in exported.graph.nodes}
        own = own_tensors(model, exported, by_name)
    except CannotReplay as why:
        return _tree(model, targets, modules, len(few[0]), str(why))
    graph = _Graph(model, exported, own)
    places = tuple(graph.place(target) for target in targets)
    return Network(tuple(graph.operations()), places, modules, len(few[0]))


class _Graph:
    """An exported program, and which of its nodes the inputs reach."""

    def __init__(self, model: nn.Module, exported: ExportedProgram, own: Mapping[Node, Tensor]) -> None:
        self._nodes = list(exported.graph.nodes)
        self._order = {node: i for i, node in enumerate(self._nodes)}
        self._own = own
        self._fed = set(self._fed_nodes())
        tensors = {
            **dict(model.named_buffers(remove_duplicate=False)),
            **dict(model.named_parameters(remove_duplicate=False)),
        }
        stands_for: dict[int, list[Node]] = {}
        for node, tensor in own.items():
            stands_for.setdefault(id(tensor), []).append(node)
        self._placeholders = {name: stands_for.get(id(tensor), []) for name, tensor in tensors.items()}

    def _fed_nodes(self) -> Iterator[Node]:
        found: set[Node] = set()
        for node in self._nodes:
            is_input = node.op == "placeholder" and node not in self._own
            if is_input or any(one in found for one in node.all_input_nodes):
                found.add(node)
                yield node

    def operations(self) -> Iterator[Operation]:
        """All that is no tensor of the model, inputs and the output among them."""
        for node in self._nodes:
            if node in self._own:
                continue
            kinds = {"placeholder": INPUT, "output": OUTPUT}
            read = tuple(one.name for one in node.all_input_nodes if one not in self._own)
            yield Operation(node.name, kinds.get(node.op) or str(node.target), _path(node), read, _shape(node))

    def place(self, target: Target) -> Place:
        found = self._of_block(target.name) if target.granularity == "block" else self._of_tensors(target)
        name = target.granularity, target.name
        if not found:
            return Place(*name, None, (), NOT_READ)
        return Place(*name, found[0].name, tuple(node.name for node in found[1:]))

    def _of_block(self, path: str) -> list[Node]:
        inside = [node for node in self._nodes if node.op == "call_function" and path in modules_of(node)]
        return inside[-1:]

    def _of_tensors(self, target: Target) -> list[Node]:
        """Operations of a weight, a head or a group; the target's own first, the others as they run."""
        named = [target.parameter, *target.shared_with]
        makers = [member.layer for member in target.members if member.role == "outputs"]
        named += [name for name in self._placeholders if name.rpartition(".")[0] in makers or name in makers]
        readers = {one for name in named for node in self._placeholders.get(name, ()) for one in self._readers(node)}
        ordered = sorted(readers, key=self._order.__getitem__)
        home = target.layer or target.name
        return sorted(ordered, key=lambda node: (not _is_home(node, home), self._order[node]))

    def _readers(self, tensor: Node) -> set[Node]:
        found: set[Node] = set()
        waiting, seen = list(tensor.users), set()
        while waiting:
            node = waiting.pop()
            if node in seen or node.op != "call_function":
                continue
            seen.add(node)
            # an embedding of positions that nobody gave reads no input, and is a layer all the same
            if node in self._fed or str(node.target) in LAYERS or not node.users:
                found.add(node)
            else:
                waiting.extend(node.users)
        return found


def _is_home(node: Node, home: str) -> bool:
    stack = modules_of(node)
    return home in stack or (home.rpartition(".")[0] in stack and _path(node) == home.rpartition(".")[0])


def _path(node: Node) -> str:
    """Of the innermost module whose code made a node."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""


def _shape(node: Node) -> tuple[int, ...] | None:
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor):
        return None
    sizes = tuple(size if isinstance(size, int) else size.node.hint for size in value.shape)
    return None if any(size is None for size in sizes) else tuple(int(size) for size in sizes)


def _tree(
    model: nn.Module, targets: Iterable[Target], modules: Mapping[str, str], examples: int, reason: str
) -> Network:
    """Modules that own what can be cut, in the order in which the model lists them; who reads whom is not known."""
    owners: dict[str, list[Target]] = {}
    for target in targets:
        path = target.name if target.granularity == "block" else _owner(target, modules)
        owners.setdefault(path, []).append(target)
    listed = [path for path in modules if path in owners]
    operations = tuple(Operation(path or "model", modules[path], path) for path in listed)
    places = tuple(
        Place(target.granularity, target.name, path or "model") for path, some in owners.items() for target in some
    )
    order = {(target.granularity, target.name): i for i, target in enumerate(targets)}
    return Network(
        operations, tuple(sorted(places, key=lambda one: order[one.granularity, one.target])), modules, examples, reason
    )


def _owner(target: Target, modules: Mapping[str, str]) -> str:
    """The innermost module around a target's tensor."""
    path = target.parameter.rpartition(".")[0]
    while path and path not in modules:
        path = path.rpartition(".")[0]
    return path
