"""Plain values that describe what can be cut, and what cannot. No torch: the dashboard reads them."""

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

SKIP = "skip "  # no state-dict name begins like that
# "weight", "channel", "head", "kv_group" and "block"; of a cut also a pattern of weights, `core.plans.patterns`
Granularity = str
Layout = Literal["outputs_first", "inputs_first", "looked_up", "two_inputs", "transposed", "experts"]
RECURRENT_WEIGHTS = ("weight_ih", "weight_hh", "weight_hr")  # of inputs, of the last step, of a projection: torch's
READING_INPUTS = ("weight_ih", "weight_ih_l0", "weight_ih_l0_reverse")  # others read what the layer itself has made
Role = Literal["outputs", "norm", "inputs", "parameter"]


@dataclass(frozen=True)
class Member:
    """Part of a coupled group: a layer, and what of it goes with each channel.

    Attributes:
        layer: path of the module; of a bare parameter, or one of a recurrent layer's weights, its state-dict name.
        role: `"outputs"`: rows that make the channel. `"norm"`: scale, shift and statistics. `"inputs"`: columns that
            read it. `"parameter"`: entries of a parameter that belongs to no layer.
        n_places: rows or columns that the group's channels take up in it; `None` where that is not counted, and each
            channel of the group takes equally many.
    """

    layer: str
    role: Role
    n_places: int | None = None


@dataclass(frozen=True)
class Target:
    """One thing that can be cut: a layer's weights, a coupled group of channels, a head, a block.

    Attributes:
        name: unique within its granularity; a layer's path, `attention-path:head` for a head, `attention-path:kv0` for
            a key/value group. A coupled group is named after the first layer that makes its channels.
        granularity: `"weight"` (any fraction of single entries), `"channel"` (any fraction of the channels or neurons
            of a coupled group), `"head"`, `"kv_group"` (key/value heads with all the query heads that share them) or
            `"block"` (all or nothing).
        kind: class of the layer, e.g. `"Conv2d"`; for a head, class of the attention module.
        parameter: state-dict name of the tensor that is masked, of a group the first of several; of a block, which
            is skipped whole, `skip_name`.
        shape: of that tensor.
        n_weights: entries that a full cut removes: of the tensor, of the head's columns in it, of all members.
        shared_with: other state-dict names of the same tensor (tied weights are one target).
        layer, head: for a head, the attention module's path and the head counted from 0, for a key/value group the
            key/value head; else `None`.
        n_units: channels of a coupled group; `None` for what has none.
        n_parts: a coupled group loses equally many channels in each of so many parts (grouped convolutions, layers and
            directions of a recurrent net).
        members: of a coupled group, in network order.
        layout: of a weight, what its dimensions are. `"outputs_first"`: outputs, inputs, kernel. `"inputs_first"`:
            inputs, outputs, kernel (transposed convolutions). `"looked_up"`: rows that are chosen, not multiplied
            (embeddings). `"two_inputs"`: outputs and two inputs (bilinear). `"transposed"`: inputs and outputs of a
            linear layer that stores its weight so (the `Conv1D` of transformers). `"experts"`: several experts of a
            mixture, and of each inputs and outputs, in whichever order.
    """

    name: str
    granularity: Granularity
    kind: str
    parameter: str
    shape: tuple[int, ...]
    n_weights: int
    shared_with: tuple[str, ...] = ()
    layer: str | None = None
    head: int | None = None
    n_units: int | None = None
    n_parts: int = 1
    members: tuple[Member, ...] = ()
    layout: Layout = "outputs_first"

    @property
    def n_outputs(self) -> int:
        """Outputs of the layer whose weight it is; of a tensor without dimensions 1."""
        dim = 1 if self.layout in ("inputs_first", "looked_up", "transposed") else 0
        return self.shape[dim] if dim < len(self.shape) else 1

    @property
    def is_recurrent(self) -> bool:
        """Whether it is a weight of a recurrent layer."""
        return self.parameter.rpartition(".")[2].startswith(RECURRENT_WEIGHTS)

    @property
    def oriented_shape(self) -> tuple[int, ...]:
        """Shape of the weight with its outputs first, of a linear layer that stores it the other way round."""
        return self.shape[::-1] if self.layout == "transposed" else self.shape

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Target":
        """Inverse of `dataclasses.asdict` after a trip through JSON, where tuples become lists."""
        members = tuple(Member(**member) for member in fields.get("members", ()))
        lists = {name: tuple(fields[name]) for name in ("shape", "shared_with")}
        return cls(**{**fields, **lists, "members": members})


@dataclass(frozen=True)
class Uncuttable:
    """A parameter that stays as it is, and why.

    Attributes:
        name: state-dict name, or a module's path when a whole module is meant.
        shape: of the parameter; empty for a module.
        reason: one sentence, without a full stop.
    """

    name: str
    shape: tuple[int, ...]
    reason: str

    @property
    def n_weights(self) -> int:
        """Entries of the parameter; 0 for a module, whose parameters are listed on their own."""
        return prod(self.shape) if self.shape else 0


def head_name(layer: str, head: int) -> str:
    """The name of one attention head as a target: `blocks.0.attn:2`."""
    return f"{layer}:{head}"


def kv_name(layer: str, kv_head: int) -> str:
    """The name of a key/value head with its query heads as a target: `model.layers.0.self_attn:kv1`."""
    return f"{layer}:kv{kv_head}"


def skip_name(block: str) -> str:
    """What stands for a skipped block among the names of changed tensors."""
    return f"{SKIP}{block}"


def is_skip(name: str) -> bool:
    """Whether a name stands for a skipped block; one that cannot be replayed is mostly one that cannot be skipped."""
    return name.startswith(SKIP)
