"""From the graph of an exported program to a model whose layers are modules at the paths of their parameters."""

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import GraphModule, Node

from core.errors import SecateurError
from core.workload.programs.layers_again import LAYERS
from core.workload.programs.model import LAYER, Part, ProgramModel, Step

CHECKS = ("aten._assert", "aten.sym_constrain_range")  # of sizes and dtypes; nothing reads what they give
VIEWS = ("aten.view.default", "aten.reshape.default", "aten._unsafe_view.default")
HEADS = (
    "an exported program says of no row and no column which head it belongs to; name the module that it was exported "
    "from, in a workload file, to cut heads"
)


class Turning:
    """One program on its way to a model."""

    def __init__(self, program: ExportedProgram, places: Mapping[str, str]) -> None:
        """Look at what it takes and holds.

        Args:
            program: as loaded.
            places: by the name of an operation the path of the module whose code made it.

        Raises:
            SecateurError: it writes into what it holds, or names a tensor as no module can.
        """
        self.program, self.places = program, places
        self.tensors: dict[str, Tensor] = {}  # by name; of names for one parameter all have the same object
        self.homes: dict[str, str] = {}  # where a tensor lies in the model, if not at its name
        self.layers: dict[str, nn.Module] = {}  # by path
        self.made: dict[str, str] = {}  # what a layer was made of -> its path
        self.steps: list[list[Any]] = []
        self.readers: dict[int, str] = {}  # the first operation that reads a parameter and is no layer
        self.attentions: list[str] = []
        self.inputs: list[str] = []
        self._take_tensors()

    def model(self) -> ProgramModel:
        """The model.

        Raises:
            SecateurError: an operation cannot be done again.
        """
        graph = self.program.graph_module
        signature = self.program.graph_signature
        known: dict[Node, Any] = {}
        for node, spec in zip(graph.graph.find_nodes(op="placeholder"), signature.input_specs, strict=True):
            if spec.kind == InputKind.USER_INPUT:
                known[node] = ("value", node.name)
                self.inputs.append(node.name)
            else:
                known[node] = ("tensor", str(spec.target))
        found = [output for output in self._graph(graph, known, "") if output is not None]
        if not found or not all(isinstance(output, tuple) for output in found):
            raise SecateurError("the program gives something else than tensors; export a model that returns tensors")
        reasons = {f"heads of {place or 'model'}": HEADS for place in dict.fromkeys(self.attentions)}
        for name, tensor in self.tensors.items():
            if id(tensor) in self.readers:
                reasons[name] = f"is read by {self.readers[id(tensor)]}, which is not made a layer again"
        steps, outputs = self._at_home(tuple(self.steps)), self._at_home(tuple(found))
        model = ProgramModel(tuple(self.inputs), _with_ends(steps, outputs), outputs, reasons)
        self._furnish(model)
        return model.eval()

    def _take_tensors(self) -> None:
        signature = self.program.graph_signature
        odd = [spec for spec in signature.output_specs if spec.kind != OutputKind.USER_OUTPUT]
        if odd:
            raise SecateurError(
                f"the program writes into {odd[0].target or odd[0].arg}, as models do in training; export model.eval()"
            )
        one: dict[tuple[Any, ...], Tensor] = {}
        for name, tensor in {**self.program.state_dict, **self.program.constants}.items():
            if not isinstance(tensor, Tensor):
                raise SecateurError(
                    f"{name} of the program is a {type(tensor).__name__} and no tensor; export a model that holds "
                    "tensors alone"
                )
            if not all(part and not hasattr(nn.Module, part) for part in name.split(".")):
                raise SecateurError(f"{name!r} of the program is no name that a model can hold; rename that layer")
            key = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride(), isinstance(tensor, nn.Parameter))
            self.tensors[name] = one.setdefault(key, tensor) if tensor.numel() else tensor

    def _graph(self, graph: GraphModule, known: dict[Node, Any], prefix: str) -> Any:
        """Take the steps of one graph; gives its outputs."""
        for node in graph.graph.nodes:
            if node.op == "output":
                return self._encoded(node.args[0], known)
            if node.op == "get_attr":
                known[node] = getattr(graph, str(node.target))
            elif node.op == "call_function":
                self._call(node, known, prefix)
        return ()

    def _call(self, node: Node, known: dict[Node, Any], prefix: str) -> None:
        name = _name_of(node.target)
        if name.startswith("higher_order."):
            known[node] = self._inside(node, name, known, prefix)
            return
        if not node.users and name.startswith(CHECKS):
            return
        args, kwargs = self._encoded(list(node.args), known), self._encoded(dict(node.kwargs), known)
        if node.target is operator.getitem and isinstance(args[0], list):
            known[node] = args[0][args[1]]
            return
        own = prefix + node.name
        known[node] = ("value", own)
        given = _by_name(node, args, kwargs)
        if (given.get("train") or given.get("training")) is True and ("dropout" in name or given.get("running_mean")):
            raise SecateurError(f"the program was exported in training ({name}); export model.eval()")
        if "scaled_dot_product" in name or ("softmax" in name and _is_attention(node)):
            self.attentions.append(self.places.get(node.name, ""))
        if name in LAYERS and self._layer(node, name, given, own):
            return
        for value in _leaves([args, kwargs]):
            if isinstance(value, tuple) and value[0] == "tensor":
                self.readers.setdefault(id(self.tensors[value[1]]), name)
        if name in VIEWS and len(args) == 2:
            name, args = _free_last(name, args, node)
        self.steps.append([own, name, args, kwargs])

    def _inside(self, node: Node, name: str, known: dict[Node, Any], prefix: str) -> Any:
        """A graph that only switches gradients or an idle autocast, run as part of the one around it."""
        args = self._encoded(list(node.args), known)
        graphs = [i for i, value in enumerate(args) if isinstance(value, GraphModule)]
        plain = name == "higher_order.wrap_with_set_grad_enabled" or (
            name == "higher_order.wrap_with_autocast" and args[2] is False
        )
        if not plain or len(graphs) != 1:
            raise SecateurError(f"the program chooses what to do as it runs ({name}); export a model without that")
        inner, operands = args[graphs[0]], args[graphs[0] + 1 :]
        places = inner.graph.find_nodes(op="placeholder")
        return self._graph(inner, dict(zip(places, operands, strict=True)), f"{prefix}{node.name}.")

    def _layer(self, node: Node, name: str, given: Mapping[str, Any], own: str) -> bool:
        """Make one call a layer's, or say that it is none."""
        how = LAYERS[name]
        roles = {"weight": how.weight, "bias": how.bias, **{name: name for name in how.buffers}}
        held = {role: given[name] for role, name in roles.items() if given.get(name) is not None}
        if "weight" not in held or not all(isinstance(v, tuple) and v[0] == "tensor" for v in held.values()):
            return False
        reads = given[how.reads]
        if not (isinstance(reads, tuple) and reads[0] == "value"):
            return False
        names: dict[str, str] = {role: value[1] for role, value in held.items() if value is not None}
        if not all(isinstance(self.tensors[names[role]], nn.Parameter) for role in ("weight", "bias") if role in names):
            return False
        values = {**given, "bias": None} | {role: self.tensors[name] for role, name in names.items()}
        first = node.args[0] if node.args else None
        values["input"] = first.meta.get("val") if isinstance(first, Node) else None  # for its number of dimensions
        try:
            module = how.make(values)
        except (ValueError, TypeError, RuntimeError, IndexError):  # what no layer takes: the operation will say so
            return False
        if module is None:
            return False
        key = f"{module!r} {[(role, id(self.tensors[names[role]])) for role in names]}"
        if key not in self.made:
            path = self._path(node.name, how.kind, names)
            for role, tensor in names.items():
                self.homes.setdefault(tensor, f"{path}.{role}")
                if role in how.buffers:
                    module.register_buffer(role, self.tensors[tensor])
                else:
                    setattr(module, role, self.tensors[tensor])
            if how.buffers:
                counted = f"{names['weight'].rpartition('.')[0]}.num_batches_tracked"
                n = self.tensors.get(counted, torch.tensor(0))
                module.register_buffer("num_batches_tracked", n)
                self.homes.setdefault(counted, f"{path}.num_batches_tracked")
            self.layers[path] = module
            self.made[key] = path
        self.steps.append([own, LAYER + self.made[key], [reads], {}])
        return True

    def _path(self, node: str, kind: str, names: Mapping[str, str]) -> str:
        """Where a layer goes: where its weight lies, of one that is shared where its own code lay; else beside."""
        weight = self.tensors[names["weight"]]
        aliases = [name for name, tensor in self.tensors.items() if tensor is weight]
        aliases.sort(key=lambda name: name.rpartition(".")[0] != self.places.get(node))
        for name in aliases:
            path, _, last = name.rpartition(".")
            if last != "weight":
                path = name.removesuffix("_weight")
            own = {name, *(n for n in names.values()), f"{path}.num_batches_tracked"}
            below = [n for n in (*self.tensors, *self.layers) if n.startswith(f"{path}.") or n == path]
            if path and not hasattr(nn.Module, path.rpartition(".")[2]) and set(below) <= own:
                return path
        base = aliases[0].rpartition(".")[0]
        taken = {*self.tensors, *self.layers}
        k = 0
        while True:
            path = f"{base}.{kind}_{k}" if base else f"{kind}_{k}"
            if not any(name == path or name.startswith(f"{path}.") for name in taken):
                return path
            k += 1

    def _furnish(self, model: ProgramModel) -> None:
        """Put layers and all other tensors at their paths."""
        for path, module in self.layers.items():
            _put(model, path, module)
        held = {id(t) for m in self.layers.values() for t in (*m.parameters(), *m.buffers())}
        for name, tensor in self.tensors.items():
            if name in self.homes:
                continue
            if id(tensor) in held:  # another name of one that a layer holds
                continue
            _put(model, name, tensor)

    def _at_home(self, value: Any) -> Any:
        """The same with the paths at which tensors lie in the model."""
        if isinstance(value, tuple) and len(value) == 2 and value[0] == "tensor":
            tensor = self.tensors[value[1]]
            home = self.homes.get(value[1])
            if home is None:
                home = next(
                    (self.homes[n] for n, t in self.tensors.items() if t is tensor and n in self.homes), value[1]
                )
            return ("tensor", home)
        if isinstance(value, tuple | list):
            return type(value)(self._at_home(item) for item in value)
        if isinstance(value, dict):
            return {key: self._at_home(item) for key, item in value.items()}
        return value

    def _encoded(self, value: Any, known: Mapping[Node, Any]) -> Any:
        """An argument of a node as a step keeps it."""
        if isinstance(value, Node):
            return known[value]
        if isinstance(value, list | tuple):
            return [self._encoded(item, known) for item in value]
        if isinstance(value, dict):
            return {str(key): self._encoded(item, known) for key, item in value.items()}
        if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
            return ("torch", str(value).removeprefix("torch."))
        if isinstance(value, torch.device) and value.type != "cpu":
            raise SecateurError(f"the program was exported on {value}; export it from a model on the CPU")
        if value is None or isinstance(value, bool | int | float | complex | str | torch.device | GraphModule):
            return value
        raise SecateurError(f"the program holds a {type(value).__name__} as an argument, which is not read")


def _with_ends(steps: tuple[Any, ...], outputs: tuple[Any, ...]) -> tuple[Step, ...]:
    """Steps with the values that nobody needs after each."""
    needed = {value[1] for value in _leaves(list(outputs)) if isinstance(value, tuple) and value[0] == "value"}
    found: list[Step] = []
    for own, name, args, kwargs in reversed(steps):
        read = {value[1] for value in _leaves([args, kwargs]) if isinstance(value, tuple) and value[0] == "value"}
        done = tuple(sorted((read | {own}) - needed))
        needed |= read
        found.append((own, name, tuple(args), kwargs, done))
    return tuple(reversed(found))


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    return [value]


def _by_name(node: Node, args: list[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of an operation by the names in its schema, with what it takes where none is given."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return {}
    found = {argument.name: argument.default_value for argument in schema.arguments}
    found |= {argument.name: value for argument, value in zip(schema.arguments, args, strict=False)}
    return found | dict(kwargs)


def _name_of(target: Any) -> str:
    """As `model.operation_named` reads it."""
    if isinstance(target, torch._ops.OpOverload):
        return f"{target.namespace}.{target.__name__}"
    if isinstance(target, torch._ops.HigherOrderOperator):
        return f"higher_order.{target.name()}"
    module = {"_operator": "operator", "torch": "torch", "math": "math"}.get(target.__module__)
    if module is None:
        raise SecateurError(f"the program calls {target.__module__}.{target.__name__}, which is not read")
    return f"{module}.{target.__name__}"


def _free_last(name: str, args: list[Any], node: Node) -> tuple[str, list[Any]]:
    """The same view with its last size left to torch, which a smaller layer changes: the graph has it as a number."""
    source, sizes = args
    last = sizes[-1] if isinstance(sizes, list) and len(sizes) > 1 else None
    if type(last) is not int or last <= 0:
        return name, args
    if -1 not in sizes:
        return name, [source, [*sizes[:-1], -1]]
    given = node.args[0].meta.get("val") if isinstance(node.args[0], Node) else None
    if len(sizes) == 2 and isinstance(given, Tensor) and given.dim() > 2 and given.shape[-1] == last:
        return "aten.flatten.using_ints", [source, 0, given.dim() - 2]
    return name, args


def _is_attention(node: Node) -> bool:
    """Whether what a softmax gives goes into a product of matrices, at most through a dropout or a change of type."""
    reached = list(node.users)
    for user in [*reached]:
        reached += list(user.users)
    return any("matmul" in str(user.target) or "bmm" in str(user.target) for user in reached)


def _put(model: nn.Module, path: str, thing: nn.Module | Tensor) -> None:
    *parents, last = path.split(".")
    place = model
    for part in parents:
        if not isinstance(getattr(place, part, None), nn.Module):
            setattr(place, part, Part())
        place = getattr(place, part)
    if isinstance(thing, nn.Module | nn.Parameter):
        setattr(place, last, thing)
    else:
        place.register_buffer(last, thing)
