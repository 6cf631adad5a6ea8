"""A network as plain values: operations in the order in which they run, and where targets lie. No torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from core.workload.target import Granularity

INPUT, OUTPUT = "input", "output"


@dataclass(frozen=True)
class Operation:
    """One operation of an exported program.

    Attributes:
        name: unique; that of the node in the export.
        op: as torch calls it, `aten.conv2d.default`; `input` and `output` of the model; in a tree of modules the class.
        path: of the module whose code made it; empty for the model itself.
        inputs: names of the operations whose values it reads; the model's own tensors are no operations.
        shape: of its value for `Network.examples` examples; `None` where it has none, or several.
    """

    name: str
    op: str
    path: str
    inputs: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Place:
    """Where a target lies in a network.

    Attributes:
        granularity, target: of the target.
        operation: the one that computes with it; of a coupled group, of the first layer that makes its channels; of a
            block, its last. `None` where no operation was found.
        others: further ones: a shared module is called again, tied weights are read again, other layers of a group.
        reason: why there is no operation.
    """

    granularity: Granularity
    target: str
    operation: str | None
    others: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class Network:
    """A model as a graph.

    Attributes:
        operations: in the order in which they run.
        places: of every target, in the order of the description.
        modules: class of every module by its path; the model itself under the empty path.
        examples: in the pass that was traced.
        reason: why this is the tree of modules and no graph, without edges; `None` of a graph.
    """

    operations: tuple[Operation, ...]
    places: tuple[Place, ...]
    modules: Mapping[str, str] = field(hash=False)
    examples: int
    reason: str | None = None

    def place(self, granularity: Granularity, target: str) -> Place | None:
        """Where a target lies; `None` of one that the network does not know."""
        return next((one for one in self.places if (one.granularity, one.target) == (granularity, target)), None)

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries and lists of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Network":
        """Inverse of `to_json` after a trip through JSON."""
        operations = tuple(
            Operation(
                one["name"],
                one["op"],
                one["path"],
                tuple(one["inputs"]),
                tuple(one["shape"]) if one["shape"] is not None else None,
            )
            for one in fields["operations"]
        )
        places = tuple(Place(**{**one, "others": tuple(one["others"])}) for one in fields["places"])
        return cls(operations, places, dict(fields["modules"]), fields["examples"], fields["reason"])
