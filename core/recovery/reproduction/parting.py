"""Where a bundle that was made again parts from the one that was written, as plain values. No torch."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Parting:
    """The first place at which weights that were made again are others, and how far they are apart at the end.

    Attributes:
        at: the place, such as "the dense weights", "round 3 of the recovery" or "the cut by the plan".
        tensor: name of the first tensor of the bundle that is another; `None` if the end was not reached.
        difference: of that tensor's shape or type, in words; `None` where both are alike.
        tensors: how many are others; `None` if the end was not reached.
        entries: how many entries of tensors of the same shape and type are others; `None` as above.
        largest: absolute difference of such an entry; `None` if there is none, or it is no finite number.
    """

    at: str
    tensor: str | None = None
    difference: str | None = None
    tensors: int | None = None
    entries: int | None = None
    largest: float | None = None


@dataclass(frozen=True)
class Reproduction:
    """What came of making the weights of a bundle again.

    Attributes:
        bundle: the folder or zip.
        workload: what it was made again from.
        tensors, entries: that the bundle's weights have.
        rounds: of recovery that were done again.
        parting: `None` if every bit is the same.
        otherwise: what is known to be otherwise than when the bundle was made, in words.
        taken: what was taken as it is and not done again, in words; `None` if everything was.
    """

    bundle: str
    workload: str
    tensors: int
    entries: int
    rounds: int
    parting: Parting | None
    otherwise: tuple[str, ...] = ()
    taken: str | None = None

    @property
    def is_same(self) -> bool:
        """Whether every bit is the same."""
        return self.parting is None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"reproduced": self.is_same, **asdict(self), "otherwise": list(self.otherwise)}
