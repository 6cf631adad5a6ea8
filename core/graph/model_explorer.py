"""Files for Google's Model Explorer: the graph, and values to colour its nodes by. No torch.

A node is called as in the export, and the graph as Model Explorer's own reader of `.pt2` files calls it; so the values
also colour a `.pt2` that somebody exported of the same model, where the names are the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core import numbers
from core.graph.facts import LayerFacts
from core.graph.network import OUTPUT, Network, Operation
from core.graph.shown import limit_of
from core.workload.scale import Scale
from core.workload.target import Granularity

GRAPH = "graph"
# from what must stay to what may go, and from nothing to much; each is read on white and on black
MAY_GO = ("#c2562d", "#f5cf9d", "#2f7d5b")
MUCH = ("#f1f3f1", "#dd7a4b", "#a8324c")


@dataclass(frozen=True)
class NodeValues:
    """Numbers for nodes.

    Attributes:
        file: its name without the ending.
        name: as Model Explorer lists it, with unit and conditions.
        values: by node; a node of which nothing was measured has none.
        colours: from the least to the largest.
    """

    file: str
    name: str
    values: Mapping[str, float]
    colours: tuple[str, str, str]

    def document(self) -> dict[str, Any]:
        """The file."""
        stops = zip((0, 0.5, 1), self.colours, strict=True)
        gradient = [{"stop": stop, "bgColor": colour} for stop, colour in stops]
        results = {node: {"value": value} for node, value in self.values.items()}
        return {GRAPH: {"name": self.name, "results": results, "gradient": gradient}}


def graph_file(network: Network, name: str, facts: Sequence[LayerFacts]) -> dict[str, Any]:
    """The graph as Model Explorer reads it: a collection with one graph.

    Args:
        network: an export, or a tree of modules, which has no edges.
        name: of the model.
        facts: whose words stand beside a node that is chosen.
    """
    told = {one.operation: one for one in facts}
    nodes = [_node(one, network.modules, told.get(one.name)) for one in network.operations]
    about = {"model": name, "examples": str(network.examples)}
    if network.reason is not None:
        about["no edges"] = network.reason
    return {"label": name, "graphs": [{"id": GRAPH, "nodes": nodes, "groupNodeAttributes": {"": about}}]}


def _node(one: Operation, modules: Mapping[str, str], facts: LayerFacts | None) -> dict[str, Any]:
    attributes = {"operation": one.op, "module": one.path, **(_attributes(facts) if facts is not None else {})}
    shape = [] if one.shape is None else [{"id": "0", "attrs": [_pair("tensor_shape", numbers.shape_text(one.shape))]}]
    edges = [
        {"sourceNodeId": name, "sourceNodeOutputId": "0", "targetNodeInputId": str(i)}
        for i, name in enumerate(one.inputs)
    ]
    return {
        "id": one.name,
        "label": one.name if one.op == OUTPUT or one.op == "input" else one.op.removeprefix("aten.").split(".")[0],
        "namespace": _namespace(one.path, modules),
        "attrs": [_pair(key, value) for key, value in attributes.items() if value],
        "incomingEdges": edges,
        "outputsMetadata": shape,
    }


def _namespace(path: str, modules: Mapping[str, str]) -> str:
    """`stage1 (Sequential)/0 (BasicBlock)/conv1 (Conv2d)`."""
    parts = path.split(".") if path else []
    paths = [".".join(parts[: i + 1]) for i in range(len(parts))]
    return "/".join(f"{part} ({modules[at]})" if at in modules else part for part, at in zip(parts, paths, strict=True))


def _pair(key: str, value: str) -> dict[str, str]:
    return {"key": key, "value": value}


def _attributes(facts: LayerFacts) -> dict[str, str]:
    found = {"targets": ", ".join(f"{one.granularity} {one.target}" for one in facts.known)}
    if facts.weights:
        found["share of parameters"] = numbers.share_text(facts.share)
        found["inputs → outputs"] = f"{facts.inputs} → {facts.outputs}"
        if (facts.inputs_left, facts.outputs_left) != (facts.inputs, facts.outputs):
            found["planned"] = f"{facts.inputs_left} → {facts.outputs_left}"
    return found


def node_values(
    facts: Sequence[LayerFacts],
    scale: Scale,
    tolerance: float | None,
    planned: bool,
    timed: str = "",
) -> tuple[NodeValues, ...]:
    """What is known, a file for each kind of number; of what nobody measured there is none.

    Args:
        facts: of the network.
        scale, tolerance: of the drops; in the metric's unit.
        planned: whether they tell of a plan.
        timed: under which conditions milliseconds were measured.
    """
    found = [
        NodeValues(
            "share", "share of parameters, %", {one.operation: 100 * one.share for one in facts if one.weights}, MUCH
        )
    ]
    granularities = dict.fromkeys(one.granularity for layer in facts for one in layer.known)
    for name in granularities:
        if tolerance is not None:
            within = numbers.limit_text(scale, tolerance)
            limits = {one.operation: limit_of(one.of(name)) for one in facts}
            values = {node: 100 * limit for node, limit in limits.items() if limit is not None}
            found.append(NodeValues(f"limit-{name}", f"{name}: may go within {within}, %", values, MAY_GO))
        for sparsity in _sparsities(facts, name):
            at = "" if sparsity is None else f" at {numbers.sparsity_text(sparsity)}"
            stem = f"drop-{name}" if sparsity is None else f"drop-{name}-{100 * sparsity:.6g}"
            drops = {one.operation: _worst(one, name, sparsity) for one in facts}
            values = {node: scale.factor * drop for node, drop in drops.items() if drop is not None}
            found.append(NodeValues(stem, f"{name}: drop{at}, {numbers.drop_unit(scale)}", values, MUCH))
    if planned:
        cut = {one.operation: 100 * (1 - one.nonzero) for one in facts if one.weights}
        found.append(NodeValues("plan", "removed by the plan, % of weights", cut, MUCH))
    spent = {one.operation: one.milliseconds for one in facts if one.milliseconds is not None}
    found.append(NodeValues("milliseconds", f"ms{timed}", spent, MUCH))
    return tuple(one for one in found if one.values)


def _sparsities(facts: Iterable[LayerFacts], granularity: Granularity) -> list[float | None]:
    found = {drop.sparsity for layer in facts for one in layer.of(granularity) for drop in one.drops}
    return sorted(found, key=lambda sparsity: sparsity or 0.0)


def _worst(facts: LayerFacts, granularity: Granularity, sparsity: float | None) -> float | None:
    """The largest drop of what lies in a node at a sparsity."""
    drops = [drop.drop.value for one in facts.of(granularity) for drop in one.drops if drop.sparsity == sparsity]
    return max(drops, default=None)
