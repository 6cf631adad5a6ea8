"""A model's exported graph: what its nodes do, and which of the model's tensors they read."""

import inspect
import traceback
import warnings
from collections.abc import Container, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export
from torch.fx import Node

from core.errors import first_line

aten = torch.ops.aten
# what may be written into a value that nobody else needs
IN_PLACE: Mapping[Any, Any] = MappingProxyType(
    {
        aten.relu.default: aten.relu_.default,
        aten.hardtanh.default: aten.hardtanh_.default,
        aten.hardswish.default: aten.hardswish_.default,
        aten.silu.default: aten.silu_.default,
        aten.gelu.default: aten.gelu_.default,
        aten.add.Tensor: aten.add_.Tensor,
    }
)
FRESH = frozenset(  # operations whose value has memory of its own
    {
        aten.conv1d.default, aten.conv2d.default, aten.conv2d.padding, aten.conv3d.default, aten.linear.default,
        aten.batch_norm.default, aten.layer_norm.default, aten.add.Tensor, aten.mul.Tensor,
    }
)  # fmt: skip


class CannotReplay(Exception):  # noqa: N818 - not an error: the model is measured by full forward passes instead
    """Why a model, or one cut of it, cannot be replayed."""


def modules_of(node: Node) -> set[str]:
    """Paths of the modules whose code made a node."""
    return {path for path, _ in (node.meta.get("nn_module_stack") or {}).values()}


def are_alike(a: Node, b: Node) -> bool:
    """Whether two nodes' values have one shape and dtype."""
    x, y = a.meta.get("val"), b.meta.get("val")
    return isinstance(x, Tensor) and isinstance(y, Tensor) and (str(x.shape), x.dtype) == (str(y.shape), y.dtype)


def overwrites(node: Node, first: Node) -> bool:
    """Whether an operation may write into its first argument, a value that nobody else needs: the same numbers, and
    half the memory to go through. Only into what is no view of another value."""
    return node.target in IN_PLACE and first.target in FRESH and are_alike(node, first)


def exported_program(model: nn.Module, inputs: Sequence[Tensor], any_size: bool) -> ExportedProgram:
    """The exported model, without operations that write in place: their inputs are kept for other cuts."""
    # AUTO: where the batch size can't vary, it is fixed, not refused
    shapes = shapes_of_arguments(model, [{0: Dim.AUTO if any_size else Dim.STATIC} for _ in inputs])
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            exported = export(model, tuple(inputs), dynamic_shapes=shapes)
            if any(_writes(node) for node in exported.graph.nodes):
                exported = exported.run_decompositions({})
    except Exception as error:  # whatever export cannot do: the model itself may be fine
        if is_of_packing(error):
            raise CannotReplay("it packs sequences by lengths that are read from values") from error
        raise CannotReplay(f"torch.export: {type(error).__name__}: {first_line(error)[:300]}") from error
    writing = [node for node in exported.graph.nodes if _writes(node)]
    if writing:
        raise CannotReplay(f"its graph writes in place ({writing[0].target})")
    return exported


def is_of_packing(error: BaseException) -> bool:
    """Whether an error comes from torch's packing of sequences, whose own words for it are about sizes of tensors."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        files = " ".join(frame.filename for frame in traceback.extract_tb(found.__traceback__)).replace("\\", "/")
        if "torch/nn/utils/rnn.py" in files or ("torch/nn/modules/rnn.py" in files and "FakeTensor" in str(found)):
            return True
        found = found.__cause__ or found.__context__
    return False


def shapes_of_arguments(model: nn.Module, shapes: Sequence[Any]) -> tuple[Any, ...]:
    """What `torch.export` and the exporter of ONNX want as `dynamic_shapes`, of what is free in each input.

    Of `forward(self, x, *rest)` they take all of `rest` for one argument, a tuple.
    """
    kinds = [parameter.kind for parameter in inspect.signature(model.forward).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        return tuple(shapes)
    fixed = kinds.index(inspect.Parameter.VAR_POSITIONAL)
    return (*shapes[:fixed], tuple(shapes[fixed:]))


def _writes(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return node.op == "call_function" and schema is not None and schema.is_mutable


def draws(node: Node) -> bool:
    """Whether an operation draws random numbers; a dropout that is off does not."""
    if torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ()):
        return False
    schema = node.target._schema  # type: ignore[union-attr]
    given = {argument.name: value for argument, value in zip(schema.arguments, node.args, strict=False)} | node.kwargs
    off = {"train": False, "training": False, "dropout_p": 0.0}
    names = [argument.name for argument in schema.arguments if argument.name in off]
    return not any(given.get(name, 0.0 if name == "dropout_p" else None) == off[name] for name in names)


def is_dynamic(exported: ExportedProgram) -> bool:
    names = set(exported.graph_signature.user_inputs)
    values = [node.meta["val"] for node in exported.graph.nodes if node.op == "placeholder" and node.name in names]
    sizes = [value.shape[0] for value in values]
    return all(isinstance(size, torch.SymInt) and size.node.maybe_as_int() is None for size in sizes)


def own_tensors(model: nn.Module, exported: ExportedProgram, by_name: Mapping[str, Node]) -> dict[Node, Tensor]:
    """The model's own tensors, and those that its code makes, for the placeholders that stand for them."""
    signature = exported.graph_signature
    own = {**dict(model.named_buffers(remove_duplicate=False)), **dict(model.named_parameters(remove_duplicate=False))}
    found: dict[Node, Tensor] = {}
    for names in (signature.inputs_to_parameters, signature.inputs_to_buffers):
        found.update((by_name[name], own[target]) for name, target in names.items())
    for name, target in signature.inputs_to_lifted_tensor_constants.items():
        found[by_name[name]] = exported.constants[target]
    rest = [node for node in by_name.values() if node.op == "placeholder" and node not in found]
    unknown = [node.name for node in rest if node.name not in signature.user_inputs]
    if unknown:
        raise CannotReplay(f"its graph takes {unknown[0]}, which is neither input nor tensor of the model")
    return found


def ancestors(nodes: Iterable[Node], known: Container[Node] = ()) -> set[Node]:
    """The nodes and all that lead to them; of what leads to one that is `known`, nothing."""
    found: set[Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting.extend(() if node in known else node.all_input_nodes)
    return found
