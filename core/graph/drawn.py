"""A network as it is drawn: layers, joins, products of two values; stages and blocks folded by module path. No torch.

What only passes one value on (activations, norms, reshapes) is told with what it follows, and what reads no input of
the model (positions that are counted, masks made of nothing) is left out.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from core.graph.network import INPUT, OUTPUT, Network, Operation
from core.workload.target import Granularity

PRODUCTS = ("attention", "matmul", "bmm", "einsum", "lstm", "gru", "rnn")  # drawn though one value alone may come in


@dataclass(frozen=True)
class Box:
    """One thing that is drawn.

    Attributes:
        id: name of its first operation.
        path: of the module that it belongs to.
        group: path of the block or stage around it; empty for the model itself.
        what: class of the module, or the operation: `Conv2d`, `add`.
        then: operations behind it that pass its value on: `batch_norm`, `relu`.
        inputs: ids of boxes whose values it reads, in the order in which they run.
        targets: granularity and name of what lies in it.
    """

    id: str
    path: str
    group: str
    what: str
    then: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    targets: tuple[tuple[Granularity, str], ...] = ()

    @property
    def label(self) -> str:
        """Its name within its group."""
        name = self.path.removeprefix(f"{self.group}.") if self.group and self.path != self.group else self.path
        return name if self.targets and name and self.path != self.group else self.what


@dataclass(frozen=True)
class Group:
    """A stage or a block that can be folded: at least two boxes of one module.

    Attributes:
        path: of the module.
        what: its class.
        parent: path of the group around it; empty for none.
        boxes: ids of all boxes inside, those of groups inside it among them.
    """

    path: str
    what: str
    parent: str
    boxes: tuple[str, ...]


@dataclass(frozen=True)
class Drawing:
    """What is drawn of a network.

    Attributes:
        boxes: in the order in which they run.
        groups: outer ones before inner ones.
        held: by operation the box that tells of it.
        reason: as of the network: why there are no edges.
    """

    boxes: tuple[Box, ...]
    groups: tuple[Group, ...]
    held: Mapping[str, str]
    reason: str | None = None


def drawing_of(network: Network) -> Drawing:
    """What is drawn of a network."""
    lying: dict[str, list[tuple[Granularity, str]]] = {}
    layers: set[str] = set()
    for place in network.places:
        for name in (place.operation, *place.others):
            if name is not None:
                lying.setdefault(name, []).append((place.granularity, place.target))
                if place.granularity == "weight":
                    layers.add(name)
    fed = {one.name for one in network.operations} if network.reason is not None else _fed(network.operations)
    boxes: dict[str, _Growing] = {}
    held: dict[str, str] = {}
    for one in network.operations:
        if one.name not in fed and one.name not in layers:
            continue
        sources = tuple(dict.fromkeys(held[name] for name in one.inputs if name in held))
        is_whole = one.op in (INPUT, OUTPUT) or one.name in layers or network.reason is not None
        if not is_whole and len(sources) == 1 and not any(word in one.op for word in PRODUCTS):
            boxes[sources[0]].then.append(_short(one.op))
            held[one.name] = sources[0]
        else:
            boxes[one.name] = _Growing(one, sources, one.name in layers or network.reason is not None)
            held[one.name] = one.name
    targets: dict[str, list[tuple[Granularity, str]]] = {}
    for name, some in lying.items():
        if name in held:
            targets.setdefault(held[name], []).extend(one for one in some if one not in targets.get(held[name], ()))
    groups = _groups(boxes.values(), network.modules)
    around = {box: group.path for group in groups for box in group.boxes}  # inner groups come last
    made = tuple(
        Box(
            name,
            one.operation.path,
            around.get(name, ""),
            _what(one, network.modules),
            tuple(one.then),
            one.sources,
            tuple(targets.get(name, ())),
        )
        for name, one in boxes.items()
    )
    return Drawing(made, groups, held, network.reason)


@dataclass
class _Growing:
    operation: Operation
    sources: tuple[str, ...]
    is_layer: bool

    def __post_init__(self) -> None:
        self.then: list[str] = []

    def modules(self) -> list[str]:
        """Paths of the modules around it, outer ones first; of a layer without its own."""
        parts = self.operation.path.split(".") if self.operation.path else []
        paths = [".".join(parts[: i + 1]) for i in range(len(parts))]
        return paths[:-1] if self.is_layer else paths


def _fed(operations: Sequence[Operation]) -> set[str]:
    found: set[str] = set()
    for one in operations:
        if one.op == INPUT or any(name in found for name in one.inputs):
            found.add(one.name)
    return found


def _groups(boxes: Collection[_Growing], modules: Mapping[str, str]) -> tuple[Group, ...]:
    inside: dict[str, list[str]] = {}
    for box in boxes:
        for path in box.modules():
            inside.setdefault(path, []).append(box.operation.name)
    kept: list[Group] = []
    for path in sorted(inside, key=lambda path: (path.count("."), list(inside).index(path))):
        within = [other for other in inside if other.startswith(f"{path}.")]
        same = any(inside[other] == inside[path] for other in within)  # the inner one says more
        if len(inside[path]) > 1 and not same:
            parents = [group.path for group in kept if path.startswith(f"{group.path}.")]
            kept.append(Group(path, modules.get(path, ""), parents[-1] if parents else "", tuple(inside[path])))
    return tuple(kept)


def _what(box: _Growing, modules: Mapping[str, str]) -> str:
    is_own = box.is_layer and box.operation.op not in (INPUT, OUTPUT)
    return modules.get(box.operation.path, "") or _short(box.operation.op) if is_own else _short(box.operation.op)


def _short(op: str) -> str:
    """`add` of `aten.add.Tensor`."""
    parts = op.split(".")
    return parts[1] if parts[0] == "aten" and len(parts) > 1 else parts[-1].strip(" >'")


def opened(drawing: Drawing, most: int) -> frozenset[str]:
    """Groups that are open at first: outer ones before inner ones, as long as no more than so many boxes are seen."""
    found: frozenset[str] = frozenset()
    for group in drawing.groups:
        if group.parent in found or not group.parent:
            wider = found | {group.path}
            if len(seen(drawing, wider)) <= most:
                found = wider
    return found


def seen(drawing: Drawing, open_groups: Collection[str]) -> dict[str, tuple[str, ...]]:
    """What is seen while some groups are open: ids of boxes and paths of folded groups, and what each reads.

    A folded group is told by `group:` before its path, so that no module can be taken for an operation.
    """
    stands = standing(drawing, open_groups)
    found: dict[str, dict[str, None]] = {}
    for box in drawing.boxes:
        here = found.setdefault(stands[box.id], {})
        here.update((stands[name], None) for name in box.inputs if stands[name] != stands[box.id])
    return {name: tuple(inputs) for name, inputs in found.items()}


def standing(drawing: Drawing, open_groups: Collection[str]) -> dict[str, str]:
    """For every box what stands for it: itself, or the outermost group around it that is folded."""
    stands = {box.id: box.id for box in drawing.boxes}
    for group in reversed(drawing.groups):
        if group.path not in open_groups:
            stands.update((box, f"group:{group.path}") for box in group.boxes)
    return stands
