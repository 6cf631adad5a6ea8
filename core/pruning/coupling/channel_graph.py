"""A graph of channels: which positions of which layers belong together."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from core.workload.target import Role

CONVS = nn.modules.conv._ConvNd
PRODUCERS = (CONVS, nn.Linear)

Place = tuple[int, Role, int]  # a layer by its number, what of it, and a position


@dataclass
class ChannelGraph:
    """Layers that carry channels, by number in network order, and which of their positions belong together."""

    layers: list[tuple[str, Any]] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    parent: dict[Place, Place] = field(default_factory=dict)
    dims: dict[int, int] = field(default_factory=dict)  # of bare parameters
    lost: list[int] = field(default_factory=list)  # layers whose channels could not be followed to the end

    def root(self, place: Place) -> Place:
        """The place that stands for all that belong together with this one."""
        parent = self.parent.setdefault(place, place)
        while parent != place:
            self.parent[place] = self.parent[parent]
            place, parent = parent, self.parent[parent]
        return place

    def join(self, a: Place, b: Place) -> None:
        """Two places belong together."""
        first, second = sorted((self.root(a), self.root(b)))
        self.parent[second] = first

    def together(self) -> dict[Place, list[Place]]:
        """All places, by the one that stands for those that belong together."""
        found: dict[Place, list[Place]] = defaultdict(list)
        for place in self.parent:
            found[self.root(place)].append(place)
        return found


def pair_halves(graph: ChannelGraph) -> None:
    """Join channel `i` with `i + n` of a layer that makes `2 n`, if whatever reads it reads `n`: a gated unit.

    In SwiGLU and GEGLU, Shazeer 2020, arXiv:2002.05202, with one projection, one half of the channels is multiplied by
    the other. Torch-Pruning lets a half go to nowhere, or gives readers positions that they do not have; only then is
    its word replaced. Whether the halves are what is multiplied (and not, say, neighbours) shows when it is tried.
    """
    together = graph.together()
    layers: dict[frozenset[tuple[int, Role]], frozenset[tuple[int, Role]]] = {}
    known: dict[Place, frozenset[tuple[int, Role]]] = {}  # by root; one object for all channels that go the same way

    def layers_of(root: Place) -> frozenset[tuple[int, Role]]:
        if root not in known:
            found = frozenset(place[:2] for place in together[root])
            known[root] = layers.setdefault(found, found)
        return known[root]

    for own, (_, module) in enumerate(graph.layers):
        if not isinstance(module, PRODUCERS):
            continue
        n = _n_outputs(module) // 2
        outputs: list[Place] = [(own, "outputs", i) for i in range(2 * n)]
        mine = {graph.root(place) for place in outputs if place in graph.parent}
        ways = {id(found): found for found in map(layers_of, mine)}.values()
        if any(_others_make(found, own) for found in ways):  # a residual stream: others make its channels, too
            continue
        others = {layer for found in ways for layer in found} - {(own, "outputs")}
        readers = sorted(number for number, role in others if role == "inputs")
        if not readers or len(readers) < len(others) or 2 * n != _n_outputs(module):
            continue
        if any(_n_inputs(graph.layers[reader][1]) != n for reader in readers):
            continue
        read = [sum(role == "inputs" for _, role, _ in together[root]) for root in mine]
        beyond = any(i >= n for root in mine for _, role, i in together[root] if role == "inputs")
        if all(read) and not beyond:
            continue
        for root in mine:
            known.pop(root, None)
            for place in together.pop(root):
                del graph.parent[place]
        for i in range(n):
            graph.join(outputs[i], outputs[i + n])
            for reader in readers:
                graph.join(outputs[i], (reader, "inputs", i))


def _others_make(layers: Collection[tuple[int, Role]], own: int) -> bool:
    """Whether any but readers have part in channels besides the layer itself; stops at the first."""
    return any(role != "inputs" and (number, role) != (own, "outputs") for number, role in layers)


def _n_outputs(module: Any) -> int:
    return module.out_features if isinstance(module, nn.Linear) else module.out_channels


def _n_inputs(module: Any) -> int | None:
    if isinstance(module, nn.Linear):
        return module.in_features
    return module.in_channels if isinstance(module, CONVS) and module.groups == 1 else None
