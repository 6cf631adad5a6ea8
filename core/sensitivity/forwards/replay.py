"""Replay: a model as a flat graph, of which only what a cut changes is computed again.

`torch.export` (Ansel et al. 2024, PyTorch 2, ASPLOS) gives the forward pass as a list of operations. The values that a
cut does not change are those of the dense model, kept once per batch; what descends from the cut weight is a straight
piece of Python, generated once per target. The same kernels run on the same numbers, so the outputs are those of a full
forward pass bit for bit; `replayed.ReplayForwards` checks that before it relies on it.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node
from torch.utils import _pytree as pytree

from core.sensitivity.forwards.exported import (
    IN_PLACE,
    CannotReplay,
    ancestors,
    are_alike,
    draws,
    exported_program,
    is_dynamic,
    modules_of,
    overwrites,
    own_tensors,
)
from core.workload.target import SKIP

Values = Mapping[Node, Any]  # what nodes of the graph came to on one batch
NOTHING_KNOWN: Values = MappingProxyType({})
Resolve = Callable[[Node], Node]


@dataclass(frozen=True, eq=False)
class Tail:
    """What must be computed again when some tensors of the model change.

    Attributes:
        names: state-dict names of the tensors that change, in the order that `run` takes them.
        frontier: nodes whose dense values are needed.
        run: `(changed tensors in the order of names, dense values of the frontier) -> outputs of the model`.
    """

    names: tuple[str, ...]
    frontier: tuple[Node, ...]
    run: Callable[[Sequence[Tensor], Sequence[Any]], Any]


class Program:
    """A model's forward pass as a flat graph.

    Args:
        model: in evaluation mode, on its device. Only read; its tensors are used, not copied.
        inputs: of one batch, to trace with.
        any_size: try for a graph that takes batches of any size.

    Attributes:
        size: of the batch that it was traced with.
        any_size: it can run batches of any size of at least two; else of `size` alone.
        output_nodes: whose values make up the outputs.

    Raises:
        CannotReplay: the model cannot be exported, e.g. because its Python code branches on values.
    """

    def __init__(self, model: nn.Module, inputs: Sequence[Tensor], any_size: bool = True) -> None:
        exported = exported_program(model, inputs, any_size)
        self.size = len(inputs[0])
        self.any_size = is_dynamic(exported)
        signature = exported.graph_signature
        self._nodes = [node for node in exported.graph.nodes if node.op != "output"]
        by_name = {node.name: node for node in self._nodes}
        self._inputs = [by_name[name] for name in signature.user_inputs if isinstance(name, str)]
        self._spec = exported.call_spec.out_spec
        (output,) = (node for node in exported.graph.nodes if node.op == "output")
        kinds = [spec.kind.name for spec in signature.output_specs]
        self._outputs = [arg for arg, kind in zip(output.args[0], kinds, strict=True) if kind == "USER_OUTPUT"]
        self._own = {
            **dict(model.named_buffers(remove_duplicate=False)),
            **dict(model.named_parameters(remove_duplicate=False)),
        }
        self._tensors = own_tensors(model, exported, by_name)
        # aliases: a full pass may lend a cut tensor to a parameter, and what is bound here must stay dense
        self._constants = {node: tensor.detach() for node, tensor in self._tensors.items()}
        self._alive = ancestors([node for node in self._outputs if isinstance(node, Node)])
        drawing = [node for node in self._alive if draws(node)]
        if drawing:  # a seed that the model sets itself is not in the graph
            raise CannotReplay(f"it draws random numbers ({drawing[0].target})")
        unknown = [node for node in self._alive if node.op == "get_attr"]
        if unknown:
            raise CannotReplay(f"its graph holds {unknown[0].target}, a part that is no operation (control flow?)")
        self._sizes: dict[Node, int] = {}
        self.output_nodes = tuple(node for node in self._outputs if isinstance(node, Node))

    def outputs(self, values: Mapping[Node, Any]) -> Any:
        """The model's outputs, in the shape that the model returns them, from the values of `output_nodes`."""
        flat = [self._value(node, values) if isinstance(node, Node) else node for node in self._outputs]
        return pytree.tree_unflatten(flat, self._spec)

    def _value(self, node: Node, values: Mapping[Node, Any]) -> Any:
        return self._constants[node] if node in self._constants else values[node]

    def n_bytes(self, node: Node) -> int:
        """Size of a node's value on a batch of the size that was traced."""
        if node not in self._sizes:  # asked for at every batch of every search
            self._sizes[node] = sum(
                math.prod(size if isinstance(size, int) else size.node.hint or self.size for size in value.shape)
                * value.element_size()
                for value in pytree.tree_leaves(node.meta.get("val"))
                if isinstance(value, Tensor)
            )
        return self._sizes[node]

    def dense(self, inputs: Sequence[Tensor]) -> Any:
        """Outputs of the dense model, by its graph."""
        with torch.inference_mode():
            return self.outputs(self.run(inputs, self.output_nodes))

    def run(self, inputs: Sequence[Tensor], keep: Iterable[Node], known: Values = NOTHING_KNOWN) -> Values:
        """Dense values of the nodes in `keep`, computing what leads to them and nothing else.

        Args:
            inputs: of one batch, on the model's device.
            keep: e.g. frontiers of tails, `output_nodes`.
            known: values of the same batch, which are not computed again.
        """
        kept = {node for node in keep if node not in self._constants}
        needed = ancestors(kept, known)
        uses = dict.fromkeys(needed, 0)
        for node in needed:
            for parent in () if node in known else node.all_input_nodes:
                uses[parent] += 1
        values: dict[Node, Any] = dict(zip(self._inputs, inputs, strict=True))
        values.update((node, tensor) for node, tensor in self._constants.items() if node in needed)
        values.update((node, value) for node, value in known.items() if node in needed)
        for node in self._nodes:
            if node not in needed or node in known or node.op == "placeholder":
                continue
            args = torch.fx.node.map_arg(node.args, values.__getitem__)
            kwargs = torch.fx.node.map_arg(node.kwargs, values.__getitem__)
            values[node] = node.target(*args, **kwargs)
            for parent in node.all_input_nodes:  # let go of what nobody needs any more
                uses[parent] -= 1
                if not uses[parent] and parent not in kept:
                    values.pop(parent, None)
        return {node: values[node] for node in kept}

    def tail(self, names: Iterable[str]) -> Tail:
        """What descends from tensors of the model.

        Args:
            names: state-dict names of parameters and buffers; a tied one stands for all that share its storage.

        Raises:
            CannotReplay: a name is no tensor of the graph.
        """
        ordered = tuple(sorted(names))
        aliases = dict(self._skipped(name.removeprefix(SKIP)) for name in ordered if name.startswith(SKIP))
        named = [name for name in ordered if not name.startswith(SKIP)]
        tensors = {name: self._own[name] for name in named if name in self._own}
        if len(tensors) < len(named):
            raise CannotReplay(f"{(set(named) - set(tensors)).pop()} does not appear in its graph")
        changed = {
            node: position
            for position, name in enumerate(named)
            for node, tensor in self._tensors.items()
            if name in tensors and tensor is tensors[name]
        }
        return self._tail(tuple(named), changed, aliases)

    def _skipped(self, block: str) -> tuple[Node, Node]:
        """Where a block's output comes from, and the node of its input, which stands in for it when it is skipped."""
        inside = {node for node in self._alive if block in modules_of(node)}
        ends = {
            n for n in inside if n in self.output_nodes or any(u in self._alive and u not in inside for u in n.users)
        }
        if len(ends) != 1:
            raise CannotReplay(f"{len(ends)} values come out of {block}")
        (end,) = ends
        begins = {
            parent
            for node in inside
            for parent in node.all_input_nodes
            if parent not in inside and parent not in self._constants and are_alike(parent, end)
        }
        if len(begins) != 1:
            raise CannotReplay(f"{len(begins)} values like its output go into {block}")
        return end, begins.pop()

    def _tail(self, names: tuple[str, ...], changed: Mapping[Node, int], aliases: Mapping[Node, Node]) -> Tail:
        def resolved(node: Node) -> Node:
            while node in aliases:
                node = aliases[node]
            return node

        again = set(changed).union(aliases)
        body = []
        for node in self._nodes:
            if node in aliases or node not in self._alive or node.op != "call_function":
                continue
            if any(parent in again for parent in node.all_input_nodes):
                again.add(node)
                body.append(node)
        before = {resolved(parent): None for node in body for parent in node.all_input_nodes}
        before.update((resolved(node), None) for node in self.output_nodes)
        frontier = tuple(node for node in before if node not in again and node not in self._constants)
        return Tail(names, frontier, self._function(body, changed, frontier, resolved))

    def _function(
        self, body: Sequence[Node], changed: Mapping[Node, int], frontier: Sequence[Node], resolved: Resolve
    ) -> Callable[[Sequence[Tensor], Sequence[Any]], Any]:
        """The body as straight Python, which costs a third of walking the graph; what is used up is let go of."""
        graph = Graph()
        made: dict[Node, Node] = {}
        n_changed = 1 + max(changed.values(), default=-1)
        weights = [graph.placeholder(f"changed_{i}") for i in range(n_changed)]
        made.update((node, weights[i]) for node, i in changed.items())
        made.update((node, graph.placeholder(f"dense_{i}")) for i, node in enumerate(frontier))
        used = [resolved(p) for node in body for p in node.all_input_nodes] + [resolved(n) for n in self.output_nodes]
        own = [node for node in dict.fromkeys(used) if node in self._constants and node not in made]
        made.update((node, graph.placeholder(f"own_{i}")) for i, node in enumerate(own))
        inside = set(body)
        last = Counter(resolved(parent) for node in body for parent in node.all_input_nodes)
        last.update(resolved(node) for node in self.output_nodes)
        for node in body:
            made[node] = graph.node_copy(node, lambda parent: made[resolved(parent)])
            first = resolved(node.args[0]) if node.args and isinstance(node.args[0], Node) else None
            if first in inside and last[first] == 1 and overwrites(node, first):
                made[node].target = IN_PLACE[node.target]
        graph.output([made[resolved(node)] if isinstance(node, Node) else node for node in self._outputs])
        forward = GraphModule(nn.Module(), graph).forward
        tensors = [self._constants[node] for node in own]

        def run(changed_tensors: Sequence[Tensor], dense: Sequence[Any]) -> Any:
            return pytree.tree_unflatten(forward(*changed_tensors[:n_changed], *dense, *tensors), self._spec)

        return run
