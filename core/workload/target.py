"""Plain values that describe what can be cut, and what cannot. No torch: the dashboard reads them."""

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

SKIP = "skip "  # no state-dict name begins like that
Granularity = Literal["weight", "head", "block"]


@dataclass(frozen=True)
class Target:
    """One thing that can be cut: the weights of a layer, or one attention head.

    Attributes:
        name: unique within its granularity; a layer's path, or `attention-path:head` for a head.
        granularity: `"weight"` (any fraction of single entries), `"head"` or `"block"` (all or nothing).
        kind: class of the layer, e.g. `"Conv2d"`; for a head, class of the attention module.
        parameter: state-dict name of the tensor that is masked; of a block, which is skipped whole, `skip_name`.
        shape: of that tensor.
        n_weights: entries that a full cut removes: of the tensor, or of the head's columns in it.
        shared_with: other state-dict names of the same tensor (tied weights are one target).
        layer, head: for a head, the attention module's path and the head counted from 0; else `None`.
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

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Target":
        """Inverse of `dataclasses.asdict` after a trip through JSON, where tuples become lists."""
        return cls(**{**fields, "shape": tuple(fields["shape"]), "shared_with": tuple(fields["shared_with"])})


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


def skip_name(block: str) -> str:
    """What stands for a skipped block among the names of changed tensors."""
    return f"{SKIP}{block}"


def is_skip(name: str) -> bool:
    """Whether a name stands for a skipped block; one that cannot be replayed is mostly one that cannot be skipped."""
    return name.startswith(SKIP)
